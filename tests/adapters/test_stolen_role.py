"""What whoever has stolen the application's role can do: nothing in silence, and nothing backwards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from authsvc.adapters.postgres.custody import PausedError
from authsvc.config import Settings
from authsvc.core.verified import TamperedError
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import look
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import audit_public_key
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE, World

Connection = psycopg.Connection[tuple[Any, ...]]

_RIGHTS = """
SELECT relname || coalesce('.' || attname, ''), string_agg(DISTINCT privilege_type, ' ' ORDER BY privilege_type) FROM (
    SELECT relname, NULL AS attname, (aclexplode(relacl)).* FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT relname, attname, (aclexplode(attacl)).*
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
) AS given
WHERE grantee IN ('authsvc_app'::regrole, 0) GROUP BY 1
"""
_CALLS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE pronamespace = 'public'::regnamespace AND prosecdef AND has_function_privilege('authsvc_app', p.oid, 'EXECUTE')
"""
POLICY = (
    "users", "groups", "group_members", "projects", "robots", "credentials", "roles", "bindings", "services", "service_names",
    "signing_keys",
)  # fmt: skip
EVERYTHING = "DELETE INSERT SELECT UPDATE"
RIGHTS = {
    **dict.fromkeys(POLICY, EVERYTHING),  # with the log alone: the trigger `logged`
    "log": "INSERT SELECT",  # what no signed batch covers is found
    "batches": "INSERT SELECT",  # what the audit key has not signed is found
    "epochs": "SELECT",
    "tiles": "SELECT",
    "kept_policy": "SELECT",
    "legal_holds": "SELECT",
    "alembic_version": "SELECT",
    "hmac_key": "INSERT SELECT",  # its one row, at the first start
    "reported": "DELETE INSERT SELECT",  # a month later
    "registries": "INSERT SELECT",
    "registries.heard_at": "UPDATE",  # forward
    "cursors": "SELECT",
    "cursors.seq": "UPDATE",  # forward
    "findings": "INSERT SELECT",
    "nodes": EVERYTHING,  # who holds which key, for seconds: it can delay a rotation, or hurry one
    "last_uses": EVERYTHING,  # nothing is decided by it
}
"""Whatever stands here was thought through: what a thief could do with it is in the README, "A stolen application role"."""


@pytest.fixture
def thief(settings: Settings, deps: Deps) -> Iterator[Connection]:
    """A session of the application's role, on a bootstrapped database."""
    del deps
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        yield connection


def test_the_application_s_rights_are_these(superuser_url: str) -> None:
    """No table or column gives the application another right than is listed, and no function lends it the owner's but three."""
    with psycopg.connect(superuser_url) as connection:
        assert dict(connection.execute(_RIGHTS).fetchall()) == RIGHTS
        assert {name for (name,) in connection.execute(_CALLS)} == {
            "ensure_log_partitions()", "open_first_epoch(text,text)", "fill_tiles(integer)",
        }  # fmt: skip


UNLOGGED = (
    "INSERT INTO users (id, name, name_key, created_at) VALUES ('aaaaaaaaaaaaaaaa', 'eve', 'eve', now())",
    "UPDATE users SET password_hash = 'mine'",
    "UPDATE users SET disabled = false",
    "DELETE FROM bindings",
    "UPDATE roles SET permissions = '{*:*}'",
    "UPDATE services SET token_ttl_seconds = 86400",
    "INSERT INTO service_names SELECT 'mine', name FROM services",
    "UPDATE signing_keys SET certificate = certificate || ' '",
    "UPDATE credentials SET digest = sha256('mine'); DELETE FROM users",
    "INSERT INTO groups (id, name, created_at) VALUES ('aaaaaaaaaaaaaaaa', 'mine', now())",
    "INSERT INTO projects (id, name, created_at) VALUES ('aaaaaaaaaaaaaaaa', 'mine', now())",
    "SAVEPOINT s; UPDATE roles SET permissions = '{*:*}'; RELEASE SAVEPOINT s",
)


def commit(thief: Connection, *statements: str) -> None:
    """Execute statements as one transaction."""
    with thief.transaction():
        for statement in statements:
            thief.execute(statement.encode())


@pytest.mark.parametrize("change", UNLOGGED)
@pytest.mark.parametrize("then", [[], ["SET CONSTRAINTS ALL IMMEDIATE"]])
def test_policy_changes_with_the_log_only(thief: Connection, change: str, then: list[str]) -> None:
    """No change of policy is committed by a transaction that appends nothing to the log, at once or at its end."""
    with pytest.raises(InsufficientPrivilege, match="without its event in the log"):
        commit(thief, change, *then)


_SEIZE = "UPDATE roles SET permissions = '{*:*}'"
_FORGED_BATCH = """
INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)
SELECT size, size + 1, 1, sha256('mine'), frontier, revision, epoch, checkpoint FROM batches ORDER BY prev DESC LIMIT 1
"""


def test_what_is_forged_to_change_policy_is_found(
    thief: Connection, settings: Settings, superuser_url: str
) -> None:
    """A batch of his own lets a thief change policy, stays for ever, and is what verification names."""
    assert verify_audit(superuser_url, public=audit_public_key(settings)).size
    row = thief.execute("SELECT max(size) FROM batches").fetchone()
    commit(thief, _FORGED_BATCH, _SEIZE)
    with pytest.raises(InsufficientPrivilege):
        thief.execute("DELETE FROM batches WHERE root = sha256('mine')")
    with pytest.raises(TamperedError) as told:
        verify_audit(superuser_url, public=audit_public_key(settings))
    assert (told.value.seq,) == row


_TABLES = "SELECT 'batches' UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log'::regclass"


@pytest.mark.parametrize("frontier", ["frontier", "''"])
async def test_nothing_is_signed_onto_what_is_forged(
    world: World, thief: Connection, settings: Settings, superuser_url: str, frontier: str
) -> None:
    """No token and no change follow a batch of a thief; once a superuser has removed it, all goes on without a restart."""
    row = thief.execute("SELECT max(size) FROM batches").fetchone()
    assert row is not None
    commit(thief, _FORGED_BATCH.replace("'mine'), frontier", f"'mine'), {frontier}"), _SEIZE)
    for _ in range(2):
        assert (await world.ask("repository:acme/app:pull", by=None)).status_code == 503
        answer = await world.client.post(
            "/api/v1/projects", json={"name": "mine"}, auth=(ADMIN, ADMIN_PASSWORD)
        )
        assert answer.status_code == 503
        with pytest.raises(PausedError, match="not signed by our audit key"):
            await look(world.deps)
        ready = await world.client.get("/readyz")
        assert (ready.status_code, "somebody else wrote it" in ready.json()["why"]) == (503, True)
    assert thief.execute("SELECT max(size) FROM batches").fetchone() == (row[0] + 1,)

    with psycopg.connect(superuser_url) as superuser:
        tables = [name for (name,) in superuser.execute(_TABLES)]
        for table in tables:
            superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only".encode())
        superuser.execute("DELETE FROM batches WHERE prev >= %s", row)
        for table in tables:
            superuser.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only".encode())
    await look(world.deps)
    assert (await world.ask("repository:acme/app:pull", by=None)).status_code == 200
    assert (await world.client.get("/readyz")).status_code == 200
    assert verify_audit(superuser_url, public=audit_public_key(settings)).size == row[0] + 1


@pytest.mark.parametrize(
    "statements",
    [
        ("SAVEPOINT s", _FORGED_BATCH, _SEIZE, "ROLLBACK TO SAVEPOINT s", _SEIZE),
        (_SEIZE, "SAVEPOINT s", _FORGED_BATCH, "SET CONSTRAINTS ALL IMMEDIATE"),
    ],
)
def test_a_batch_that_is_taken_back_is_no_excuse(thief: Connection, statements: list[str]) -> None:
    """Neither an older batch, nor one that a savepoint can take back, covers a change."""
    with pytest.raises(InsufficientPrivilege, match="without its event in the log"):
        commit(thief, *statements)


async def test_what_was_seen_only_moves_forward(
    world: World, thief: Connection, superuser_url: str, settings: Settings
) -> None:
    """Cursors, last reports, the fingerprint and fresh ids cannot be set back or taken away, but by the owner."""
    del world
    now = datetime.now(UTC)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("UPDATE cursors SET seq = 5")
    thief.execute("INSERT INTO registries VALUES (%s, %s)", [SERVICE, now])
    thief.execute(
        "INSERT INTO reported VALUES (%s, 'a', 0, %s), (%s, 'b', 1, '2020-01-01')", [SERVICE, now, SERVICE]
    )
    back = (
        "UPDATE cursors SET seq = 4",
        "UPDATE cursors SET name = 'other'",
        "UPDATE registries SET heard_at = heard_at - interval '1 second'",
        "UPDATE registries SET service = 'other'",
        "UPDATE hmac_key SET fingerprint = sha256('mine')",
        "INSERT INTO hmac_key VALUES (true, sha256('mine')) ON CONFLICT (one) DO UPDATE SET fingerprint = sha256('mine')",
        "DELETE FROM hmac_key",
        "DELETE FROM cursors",
        "DELETE FROM registries",
        "DELETE FROM findings",
        "DELETE FROM reported WHERE id = 'a'",
        "UPDATE reported SET received_at = '2020-01-01'",
    )
    for change in back:
        with pytest.raises(InsufficientPrivilege):
            thief.execute(change.encode())
    for change in (
        "UPDATE cursors SET seq = 6",
        "UPDATE registries SET heard_at = now()",
        "DELETE FROM reported WHERE id = 'b'",
    ):
        assert thief.execute(change.encode()).rowcount == 1
    assert settings.owner_database_url is not None
    with psycopg.connect(settings.owner_database_url.get_secret_value()) as owner:
        for change in (
            "UPDATE cursors SET seq = -1",
            "UPDATE registries SET heard_at = '2020-01-01'",
            "DELETE FROM reported",
        ):
            assert owner.execute(change.encode()).rowcount == 1
