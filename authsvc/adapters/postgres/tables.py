"""The schema as tables for statements; the truth, with its constraints and rights, is in `migrations/`.

A test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET

metadata = MetaData()

_TIME = DateTime(timezone=True)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("email", Text),
    Column("display_name", Text),
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("credential_version", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

robots = Table(
    "robots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Text),
    Column("robot_id", Text),
    Column("digest", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("slot", SmallInteger),
    Column("limits", ARRAY(Text)),
    Column("cidrs", ARRAY(CIDR), nullable=False),
    Column("parent_id", Text),
    Column("owner_version", BigInteger),
    Column("service", Text),
    Column("client", Text),
    Column("expires_at", _TIME),
    Column("created_at", _TIME, nullable=False),
)

roles = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("permissions", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False),
    Column("built_in", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

bindings = Table(
    "bindings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("user_id", Text),
    Column("group_id", Text),
    Column("robot_id", Text),
    Column("project_id", Text),
    Column("repositories", ARRAY(Text), nullable=False),
    Column("services", ARRAY(Text), nullable=False),
    Column("cidrs", ARRAY(CIDR), nullable=False),
    Column("not_before", _TIME),
    Column("expires_at", _TIME),
    Column("comment", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

services = Table(
    "services",
    metadata,
    Column("name", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("token_ttl_seconds", Integer, nullable=False),
    Column("backdate_seconds", Integer, nullable=False),
    Column("refresh_tokens", Boolean, nullable=False),
    Column("anonymous", Boolean, nullable=False),
    Column("own_key", Boolean, nullable=False),
    Column("isolated", Boolean, nullable=False),
    Column("name_prefix", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

service_names = Table(
    "service_names",
    metadata,
    Column("name", Text, primary_key=True),
    Column("service", Text, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("not_after", _TIME, nullable=False),
    Column("activated_at", _TIME),
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("keys", ARRAY(Text), nullable=False),
    Column("seen_at", _TIME, nullable=False),
)

last_uses = Table(
    "last_uses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("used_at", _TIME, nullable=False),
    Column("address", INET),
)

hmac_key = Table(
    "hmac_key",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("verifier_key", Text, nullable=False),
    Column("begins", BigInteger, nullable=False),
    Column("lost_until", BigInteger, nullable=False),
)

log = Table(
    "log",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("time", _TIME, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("projects", ARRAY(Text), nullable=False),
    Column("repositories", ARRAY(Text), nullable=False),
    Column("actions", ARRAY(Text), nullable=False),
    Column("address", INET),
    Column("entry", LargeBinary, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("prev", BigInteger, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("parent", BigInteger),
    Column("entries", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("checkpoint", Text, nullable=False),
)

tiles = Table(
    "tiles",
    metadata,
    Column("level", SmallInteger, primary_key=True),
    Column("index", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)

reported = Table(
    "reported",
    metadata,
    Column("service", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("received_at", _TIME, nullable=False),
)

registries = Table(
    "registries",
    metadata,
    Column("service", Text, primary_key=True),
    Column("heard_at", _TIME, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("since", _TIME, nullable=False),
    Column("found_at", _TIME, nullable=False),
)

kept_policy = Table(
    "kept_policy",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("entry", LargeBinary, nullable=False),
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("reason", Text, primary_key=True),
    Column("placed_at", _TIME, nullable=False),
)
