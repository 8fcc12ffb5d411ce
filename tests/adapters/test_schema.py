"""The schema holds what it promises: tables as declared, every constraint, every right, and the append-only guards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, IntegrityError
from sqlalchemy import create_engine

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.tables import metadata

A, B, C = "a" * 16, "b" * 16, "c" * 16
NOW = "2026-01-01T00:00:00Z"
MOMENT = datetime.now(UTC)
ROOT, OTHER = b"r" * 32, b"s" * 32
CERTIFICATE = "-----BEGIN CERTIFICATE-----"
Row = dict[str, Any]
Connection = psycopg.Connection[tuple[Any, ...]]

_FIRST: dict[str, Row] = {
    "users": {"id": A, "name": "a", "name_key": "a", "created_at": NOW},
    "groups": {"id": A, "name": "a", "created_at": NOW},
    "group_members": {"group_id": A, "user_id": A},
    "projects": {"id": A, "name": "a", "created_at": NOW},
    "robots": {"id": A, "project_id": A, "name": "a", "subject": "a+a", "created_at": NOW},
    "credentials": {"id": A, "kind": "robot", "robot_id": A, "digest": ROOT, "slot": 1, "created_at": NOW},
    "roles": {"name": "a", "permissions": [], "created_at": NOW},
    "bindings": {"id": A, "role": "a", "user_id": A, "created_at": NOW},
    "services": {"name": "a", "issuer": "i", "token_ttl_seconds": 300, "created_at": NOW},
    "service_names": {"name": "a", "service": "a"},
    "signing_keys": {
        "id": "a", "algorithm": "ES256", "label": "", "certificate": CERTIFICATE, "state": "active",
        "created_at": NOW, "not_after": NOW, "activated_at": NOW,
    },
    "nodes": {"id": A, "name": "a", "keys": ["a"], "seen_at": NOW},
    "last_uses": {"id": A, "used_at": NOW},
    "hmac_key": {"fingerprint": ROOT},
    "reported": {"service": "a", "id": "1", "seq": 0, "received_at": NOW},
    "registries": {"service": "a", "heard_at": NOW},
    "cursors": {"name": "a", "seq": 0},
    "findings": {
        "number": 1, "kind": "uncovered", "service": "a", "seq": 0, "since": NOW, "found_at": NOW,
    },
    "epochs": {"number": 1, "origin": "a", "verifier_key": "a"},
    "batches": {
        "prev": 0, "size": 1, "entries": 1, "root": ROOT, "frontier": ROOT, "revision": -1, "epoch": 1, "checkpoint": "c",
    },
    "log": {
        "seq": 0, "time": MOMENT, "kind": "k", "outcome": "o", "actor": "a", "projects": [], "repositories": [],
        "actions": [], "entry": b"{}",
    },
    "tiles": {"level": 0, "index": 0, "root": ROOT, "hashes": ROOT * 256},
    "kept_policy": {"seq": 0, "entry": b"{}"},
    "legal_holds": {"reason": "a"},
}  # fmt: skip
"""A valid row of every table, in the order in which they can be inserted."""

_SECOND: dict[str, Row] = {
    "users": {"id": B, "name": "b", "name_key": "b"},
    "groups": {"id": B, "name": "b"},
    "group_members": {"user_id": C},
    "projects": {"id": B, "name": "b"},
    "robots": {"id": B, "name": "b", "subject": "a+b"},
    "credentials": {"id": B, "slot": 2},
    "roles": {"name": "b"},
    "bindings": {"id": B},
    "services": {"name": "b"},
    "service_names": {"name": "b"},
    "signing_keys": {"id": "b", "state": "retired"},
    "nodes": {"id": B},
    "last_uses": {"id": B},
    "hmac_key": {},
    "reported": {"id": "2", "seq": 1},
    "registries": {"service": "b"},
    "cursors": {"name": "b"},
    "findings": {"number": 2, "seq": 1},
    "epochs": {"number": 2, "origin": "b"},
    "batches": {"prev": 1, "size": 2},
    "log": {"seq": 1},
    "tiles": {"index": 1},
    "kept_policy": {"seq": 1},
    "legal_holds": {"reason": "b"},
}
"""What makes it another row."""

LONG = "x" * 3000
_VIOLATIONS: dict[str, tuple[str, Row]] = {
    "users_id_check": ("users", {"id": "short"}),
    "users_name_check": ("users", {"name": "a+b"}),
    "users_email_check": ("users", {"email": LONG}),
    "users_display_name_check": ("users", {"display_name": LONG}),
    "users_pkey": ("users", {"id": A}),
    "users_name_key": ("users", {"name": "a"}),
    "users_name_key_key": ("users", {"name_key": "a"}),
    "groups_id_check": ("groups", {"id": "short"}),
    "groups_name_check": ("groups", {"name": ""}),
    "groups_pkey": ("groups", {"id": A}),
    "groups_name_key": ("groups", {"name": "a"}),
    "group_members_group_id_fkey": ("group_members", {"group_id": B}),
    "group_members_user_id_fkey": ("group_members", {"user_id": B}),
    "group_members_pkey": ("group_members", {"user_id": A}),
    "projects_id_check": ("projects", {"id": "short"}),
    "projects_name_check": ("projects", {"name": "system"}),
    "projects_visibility_check": ("projects", {"visibility": "open"}),
    "projects_description_check": ("projects", {"description": LONG}),
    "projects_pkey": ("projects", {"id": A}),
    "projects_name_key": ("projects", {"name": "a"}),
    "robots_check": ("robots", {"subject": "a+x"}),
    "robots_id_check": ("robots", {"id": "short"}),
    "robots_name_check": ("robots", {"name": "", "subject": "a+"}),
    "robots_description_check": ("robots", {"description": LONG}),
    "robots_project_id_fkey": ("robots", {"project_id": B}),
    "robots_pkey": ("robots", {"id": A}),
    "robots_project_id_name_key": ("robots", {"name": "a", "subject": "b+a"}),
    "robots_subject_key": ("robots", {"project_id": None, "name": "a", "subject": "a+a"}),
    "credentials_id_check": ("credentials", {"id": "short"}),
    "credentials_kind_check": ("credentials", {"kind": "other"}),
    "credentials_kind_fits": ("credentials", {"slot": None}),
    "credentials_one_owner": ("credentials", {"user_id": A}),
    "credentials_digest_check": ("credentials", {"digest": b"short"}),
    "credentials_label_check": ("credentials", {"label": LONG}),
    "credentials_client_check": ("credentials", {"client": LONG}),
    "credentials_slot_check": ("credentials", {"slot": 3}),
    "credentials_parent_id_fkey": (
        "credentials", {"kind": "refresh", "slot": None, "service": "a", "parent_id": C},
    ),
    "credentials_robot_id_fkey": ("credentials", {"robot_id": C}),
    "credentials_user_id_fkey": (
        "credentials", {"kind": "personal", "robot_id": None, "user_id": C, "slot": None},
    ),
    "credentials_pkey": ("credentials", {"id": A}),
    "credentials_two_live": ("credentials", {"slot": 1}),
    "roles_name_check": ("roles", {"name": ""}),
    "roles_description_check": ("roles", {"description": LONG}),
    "roles_pkey": ("roles", {"name": "a"}),
    "bindings_id_check": ("bindings", {"id": "short"}),
    "bindings_comment_check": ("bindings", {"comment": LONG}),
    "bindings_one_subject": ("bindings", {"group_id": A}),
    "bindings_repositories_check": ("bindings", {"repositories": [], "project_id": A}),
    "bindings_some_time": ("bindings", {"not_before": NOW, "expires_at": NOW}),
    "bindings_system_is_whole": ("bindings", {"repositories": ["app"]}),
    "bindings_role_fkey": ("bindings", {"role": "c"}),
    "bindings_user_id_fkey": ("bindings", {"user_id": C}),
    "bindings_group_id_fkey": ("bindings", {"user_id": None, "group_id": C}),
    "bindings_robot_id_fkey": ("bindings", {"user_id": None, "robot_id": C}),
    "bindings_project_id_fkey": ("bindings", {"project_id": C}),
    "bindings_pkey": ("bindings", {"id": A}),
    "services_name_check": ("services", {"name": ""}),
    "services_issuer_check": ("services", {"issuer": ""}),
    "services_algorithm_check": ("services", {"algorithm": "none"}),
    "services_header_check": ("services", {"header": "jwk"}),
    "services_token_ttl_seconds_check": ("services", {"token_ttl_seconds": 59}),
    "services_backdate_seconds_check": ("services", {"backdate_seconds": -1}),
    "services_name_prefix_check": ("services", {"name_prefix": LONG}),
    "services_pkey": ("services", {"name": "a"}),
    "service_names_name_check": ("service_names", {"name": ""}),
    "service_names_service_fkey": ("service_names", {"service": "c"}),
    "service_names_pkey": ("service_names", {"name": "a"}),
    "signing_keys_algorithm_check": ("signing_keys", {"algorithm": "none"}),
    "signing_keys_certificate_check": ("signing_keys", {"certificate": "-----BEGIN PRIVATE KEY-----"}),
    "signing_keys_state_check": ("signing_keys", {"state": "lost"}),
    "signing_keys_pkey": ("signing_keys", {"id": "a"}),
    "signing_keys_one_active": ("signing_keys", {"state": "active"}),
    "signing_keys_activated": ("signing_keys", {"state": "active", "label": "b", "activated_at": None}),
    "nodes_id_check": ("nodes", {"id": "short"}),
    "nodes_name_check": ("nodes", {"name": ""}),
    "nodes_pkey": ("nodes", {"id": A}),
    "last_uses_id_check": ("last_uses", {"id": "short"}),
    "last_uses_pkey": ("last_uses", {"id": A}),
    "hmac_key_fingerprint_check": ("hmac_key", {"one": True, "fingerprint": b"short"}),
    "hmac_key_one_check": ("hmac_key", {"one": False}),
    "hmac_key_pkey": ("hmac_key", {"one": True}),
    "reported_service_check": ("reported", {"service": LONG}),
    "reported_id_check": ("reported", {"id": ""}),
    "reported_seq_check": ("reported", {"seq": -1}),
    "reported_pkey": ("reported", {"id": "1"}),
    "reported_seq_key": ("reported", {"seq": 0}),
    "registries_service_fkey": ("registries", {"service": "c"}),
    "registries_pkey": ("registries", {"service": "a"}),
    "cursors_name_check": ("cursors", {"name": ""}),
    "cursors_seq_check": ("cursors", {"seq": -2}),
    "cursors_pkey": ("cursors", {"name": "a"}),
    "findings_kind_check": ("findings", {"kind": "other"}),
    "findings_service_check": ("findings", {"service": LONG}),
    "findings_seq_check": ("findings", {"seq": -1}),
    "findings_pkey": ("findings", {"number": 1}),
    "findings_operation": ("findings", {"seq": 0}),
    "findings_silence": ("findings", {"kind": "silent"}),
    "epochs_number_check": ("epochs", {"number": 0}),
    "epochs_begins_check": ("epochs", {"begins": -1}),
    "epochs_lost_until_check": ("epochs", {"lost_until": -1}),
    "epochs_first": ("epochs", {"number": 1, "lost_until": 1}),
    "epochs_pkey": ("epochs", {"number": 1}),
    "epochs_origin_key": ("epochs", {"origin": "a"}),
    "batches_check": ("batches", {"revision": 2}),
    "batches_prev_check": ("batches", {"prev": -1, "size": 0, "revision": -1}),
    "batches_grow": ("batches", {"size": 3}),
    "batches_root_check": ("batches", {"root": b"short"}),
    "batches_frontier_check": ("batches", {"frontier": b"short"}),
    "batches_epoch_fkey": ("batches", {"epoch": 2}),
    "batches_parent_fkey": ("batches", {"prev": 2, "size": 3}),
    "batches_pkey": ("batches", {"prev": 0, "size": 2, "entries": 2}),
    "batches_size_key": ("batches", {"prev": -4, "size": 1, "entries": 5}),
    "log_entry_check": ("log", {"entry": b""}),
    "log_seq_check": ("log", {"seq": -1}),
    "log_pkey": ("log", {"seq": 0}),
    "kept_policy_seq_check": ("kept_policy", {"seq": -1}),
    "kept_policy_pkey": ("kept_policy", {"seq": 0}),
    "legal_holds_reason_check": ("legal_holds", {"reason": ""}),
    "legal_holds_pkey": ("legal_holds", {"reason": "a"}),
    "tiles_level_check": ("tiles", {"level": 8}),
    "tiles_index_check": ("tiles", {"index": -1}),
    "tiles_root_check": ("tiles", {"root": b"short"}),
    "tiles_hashes_check": ("tiles", {"hashes": ROOT}),
    "tiles_pkey": ("tiles", {"index": 0}),
}  # fmt: skip
"""For every constraint a row that breaks it and, as far as possible, no other."""

_NOT_VIOLATED = {
    "alembic_version_pkc",  # the migrations' own
    "batches_size_key",  # no row can: it would break batches_grow, batches_prev_check or batches_pkey before
}


def _insert(connection: Connection, table: str, row: Row) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() * len(row)),
    )
    connection.execute(statement, list(row.values()))


@pytest.fixture(scope="module")
def schema(postgres: EmbeddedServer) -> Iterator[str]:
    """Make a database with one row in every table."""
    superuser = postgres.cluster.url(ClusterRole.SUPERUSER, "postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_schema TEMPLATE authsvc OWNER authsvc_owner")
    with psycopg.connect(postgres.cluster.url(ClusterRole.SUPERUSER, "test_schema")) as connection:
        for table, row in _FIRST.items():
            _insert(connection, table, row)
    yield "test_schema"
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("DROP DATABASE test_schema WITH (FORCE)")


@pytest.fixture
def as_role(postgres: EmbeddedServer, schema: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Connect to it as the role that the test names, and leave nothing behind."""
    with psycopg.connect(postgres.cluster.url(request.param, schema)) as connection:
        yield connection
        connection.rollback()


app = pytest.mark.parametrize("as_role", [ClusterRole.APP], indirect=True)
auditor = pytest.mark.parametrize("as_role", [ClusterRole.AUDITOR], indirect=True)
superuser = pytest.mark.parametrize("as_role", [ClusterRole.SUPERUSER], indirect=True)
everybody = pytest.mark.parametrize(
    "as_role", [ClusterRole.APP, ClusterRole.AUDITOR, ClusterRole.OWNER, ClusterRole.SUPERUSER], indirect=True
)


def test_tables_are_what_was_migrated(postgres: EmbeddedServer, schema: str) -> None:
    """Tables, columns, types and nullability in the code are those of the migrated database."""
    url = postgres.cluster.url(ClusterRole.OWNER, schema).replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
    engine.dispose()
    flat = [
        entry
        for difference in found
        for entry in (difference if isinstance(difference, list) else [difference])
    ]
    about = ("table", "column", "modify_type", "modify_nullable")
    differences = [
        entry
        for entry in flat
        if str(entry[0]).endswith(about)
        and not (entry[0] == "remove_table" and entry[1].name.startswith("log_2"))
    ]
    assert differences == []


@superuser
def test_every_constraint_is_tried(as_role: Connection) -> None:
    """The table of violations below names every CHECK, UNIQUE, PRIMARY KEY and FOREIGN KEY that there is."""
    rows = as_role.execute(
        "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid WHERE NOT t.relispartition"
        " AND connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'p', 'f', 'x')"
        " UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indpred IS NOT NULL"
        " AND indrelid::regclass::text IN ('signing_keys', 'findings')"
    ).fetchall()
    assert {name for (name,) in rows} == set(_VIOLATIONS) | _NOT_VIOLATED


@superuser
@pytest.mark.parametrize("constraint", sorted(set(_VIOLATIONS) - _NOT_VIOLATED))
def test_constraint_holds(as_role: Connection, constraint: str) -> None:
    """Not even a superuser's row gets past a constraint."""
    table, spoiled = _VIOLATIONS[constraint]
    if table == "registries":
        _insert(as_role, "services", {**_FIRST["services"], "name": "b"})
    if constraint == "findings_silence":
        _insert(as_role, "findings", {**_FIRST["findings"], "number": 3, "kind": "silent"})
    if constraint == "bindings_robot_id_fkey" or table == "group_members":
        _insert(as_role, "users", {**_FIRST["users"], "id": C, "name": "c", "name_key": "c"})
    with pytest.raises(IntegrityError) as caught:
        _insert(as_role, table, {**_FIRST[table], **_SECOND[table], **spoiled})
    diagnostic = caught.value.diag
    name = diagnostic.constraint_name or ""
    if (partition := diagnostic.table_name or "").startswith("log_2"):
        name = name.replace(partition, "log")  # a partition's key is called after it
    assert name == constraint


@superuser
@pytest.mark.parametrize("table", _FIRST)
def test_second_row_is_valid(as_role: Connection, table: str) -> None:
    """The row that violations are made from breaks nothing by itself, so that they show what they say."""
    if table == "group_members":
        _insert(as_role, "users", {**_FIRST["users"], "id": C, "name": "c", "name_key": "c"})
    if table == "hmac_key":  # there is one row at most
        as_role.execute("DELETE FROM hmac_key")
    if table == "registries":
        _insert(as_role, "services", {**_FIRST["services"], "name": "b"})
    _insert(as_role, table, {**_FIRST[table], **_SECOND[table]})


GUARDED = ("log", "batches", "epochs", "tiles", "kept_policy", "{partition}")
_CHANGES = ("UPDATE {t} SET {c} = {c}", "DELETE FROM {t}", "TRUNCATE {t} CASCADE")


def _guarded_statement(connection: Connection, table: str, change: str) -> bytes:
    """Return a change of a guarded table, or of the partition that has the row."""
    row = connection.execute("SELECT tableoid::regclass::text FROM log").fetchone()
    assert row is not None
    table = table.format(partition=row[0])
    column = {"batches": "checkpoint", "epochs": "origin", "tiles": "root", "kept_policy": "entry"}.get(
        table, "actor"
    )
    return change.format(t=table, c=column).encode()


@everybody
@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("change", _CHANGES)
def test_nobody_changes_the_log(as_role: Connection, table: str, change: str) -> None:
    """UPDATE, DELETE and TRUNCATE of the log, its partitions, its batches and epochs are refused to every role there is."""
    with pytest.raises(InsufficientPrivilege):
        as_role.execute(_guarded_statement(as_role, table, change))


@superuser
@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("change", _CHANGES)
def test_replication_role_opens_no_door(as_role: Connection, table: str, change: str) -> None:
    """The guards hold for a superuser under session_replication_role = replica, which switches ordinary triggers off."""
    as_role.execute("SET session_replication_role = replica")
    with pytest.raises(InsufficientPrivilege, match="append-only"):
        as_role.execute(_guarded_statement(as_role, table, change))


@app
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {p} SELECT 7, time, kind, outcome, actor, projects, repositories, actions, address, entry FROM log",
        "ALTER TABLE log DISABLE TRIGGER append_only",
        "ALTER TABLE {p} DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON log",
        "CREATE TRIGGER mine BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "ALTER TABLE log DETACH PARTITION {p}",
        "DROP TABLE {p}",
        "DROP TABLE batches",
        "SELECT * FROM log FOR UPDATE",
        "INSERT INTO epochs VALUES (2, 'mine', 'mine')",
        "INSERT INTO batches SELECT * FROM batches ON CONFLICT (prev) DO UPDATE SET checkpoint = ''",
        "CREATE TABLE mine (x int)",
        "SELECT guard_table('users', true)",
        "SELECT prune_log(now() - interval '2 years', 0)",
        "INSERT INTO kept_policy VALUES (7, '')",
        "INSERT INTO tiles VALUES (0, 1, tile_root(repeat('x', 8192)::bytea), repeat('x', 8192)::bytea)",
        "SELECT add_tile(0, 1, repeat('x', 8192)::bytea)",
        "SELECT forget_tiles(0)",
        "DELETE FROM legal_holds",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY log TO '/tmp/log'",
        "SET ROLE authsvc_owner",
        "UPDATE alembic_version SET version_num = '0'",
    ],
)
def test_the_application_cannot_reach_around(as_role: Connection, statement: str) -> None:
    """The application's role can neither write past the log's parent, nor switch its guards off, nor become another."""
    row = as_role.execute("SELECT tableoid::regclass::text FROM log").fetchone()
    assert row is not None
    with pytest.raises((InsufficientPrivilege, psycopg.errors.GeneratedAlways)):
        as_role.execute(statement.format(p=row[0]).encode())


@app
def test_only_the_first_epoch_is_opened_by_the_application(as_role: Connection) -> None:
    """The function that opens the first epoch opens no other: one of somebody else's would stop every later start."""
    before = as_role.execute("SELECT * FROM epochs").fetchall()
    as_role.execute("SELECT open_first_epoch('mine', 'mine')")
    assert as_role.execute("SELECT * FROM epochs").fetchall() == before


@auditor
def test_the_auditor_opens_no_epoch(as_role: Connection) -> None:
    """Neither that function nor the other one with its owner's rights is the auditor's to call."""
    for call in (
        "open_first_epoch('mine', 'mine')",
        "ensure_log_partitions()",
        "prune_log(now(), 0)",
        "fill_tiles(1)",
    ):
        with pytest.raises(InsufficientPrivilege):
            as_role.execute(f"SELECT {call}".encode())
        as_role.rollback()


@auditor
def test_the_auditor_reads_the_log(as_role: Connection) -> None:
    """The auditor reads the log, its batches, and policy."""
    for table in ("log", "batches", "epochs", "bindings", "roles", "signing_keys"):
        assert as_role.execute(f"SELECT * FROM {table}".encode()).fetchall()
    assert as_role.execute("SELECT id, name FROM users").fetchall()
    assert as_role.execute("SELECT id, kind FROM credentials").fetchall()


@auditor
@pytest.mark.parametrize(
    "column",
    ["users.password_hash", "users.*", "credentials.digest", "credentials.*", "(users).password_hash"],
)
def test_the_auditor_reads_no_secret(as_role: Connection, column: str) -> None:
    """No password hash and no credential's digest is readable by the auditor, whatever else of these tables is."""
    table = column.strip("(").split(".")[0].strip(")")
    with pytest.raises(InsufficientPrivilege):
        as_role.execute(f"SELECT {column} FROM {table}".encode())


@auditor
@pytest.mark.parametrize("table", _FIRST)
def test_the_auditor_writes_nothing(as_role: Connection, table: str) -> None:
    """The auditor inserts into, changes and empties no table."""
    column = next(iter(_FIRST[table]))
    for statement in (
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    ):
        with pytest.raises(InsufficientPrivilege):
            as_role.execute(statement.encode())
        as_role.rollback()
    with pytest.raises(InsufficientPrivilege):
        _insert(as_role, table, {**_FIRST[table], **_SECOND[table]})
