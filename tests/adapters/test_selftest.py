"""The start-up self-test refuses every database that could lose or change the log, and says what to do."""

import psycopg
import pytest

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.migrate import check_migrated
from authsvc.adapters.postgres.selftest import check_database, ensure_partitions
from authsvc.config import Settings
from authsvc.core.errors import StartupError

_SWALLOW = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "


async def _check(url: str, *, durable: bool = False) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await check_migrated(connection)
        await check_database(connection, durable=durable)


def _app_url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


async def test_a_sound_database_passes(settings: Settings) -> None:
    """A database as migrations leave it is accepted."""
    await _check(_app_url(settings))


async def test_a_superuser_is_refused(superuser_url: str) -> None:
    """Nothing stops a superuser, so the service does not work as one."""
    with pytest.raises(StartupError, match="use the role authsvc_app"):
        await _check(superuser_url)


async def test_the_owner_is_refused(settings: Settings) -> None:
    """Who owns the log can drop its guards."""
    assert settings.owner_database_url is not None
    with pytest.raises(StartupError, match="use authsvc_app"):
        await _check(settings.owner_database_url.get_secret_value())


PARTITION = "{partition}"


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        ("GRANT UPDATE ON log TO authsvc_app", "UPDATE on log.*revoke it"),
        ("GRANT UPDATE (actor) ON log TO authsvc_app", "UPDATE on log.*revoke it"),
        ("GRANT DELETE ON batches TO authsvc_app", "DELETE on batches.*revoke it"),
        ("GRANT TRUNCATE ON epochs TO PUBLIC", "TRUNCATE on epochs.*revoke it"),
        ("GRANT TRIGGER ON log TO authsvc_app", "TRIGGER on log.*revoke it"),
        ("GRANT DELETE ON {partition} TO authsvc_app", "DELETE on log_.*revoke it"),
        ("GRANT INSERT ON {partition} TO authsvc_app", "INSERT on log_.*revoke it"),
        ("GRANT INSERT ON epochs TO authsvc_app", "INSERT on epochs.*revoke it"),
        ("GRANT INSERT ON kept_policy TO authsvc_app", "INSERT on kept_policy.*revoke it"),
        ("GRANT INSERT ON tiles TO authsvc_app", "INSERT on tiles.*revoke it"),
        (
            "GRANT EXECUTE ON FUNCTION add_tile(integer, bigint, bytea) TO authsvc_app",
            "the right to make tiles on tiles.*revoke it",
        ),
        ("GRANT EXECUTE ON FUNCTION forget_tiles(bigint) TO PUBLIC", "the right to make tiles"),
        (
            "GRANT EXECUTE ON FUNCTION prune_log(timestamptz, bigint) TO authsvc_app",
            "the right to prune on log.*revoke it",
        ),
        ("ALTER TABLE log OWNER TO authsvc_app", "on log.*authsvc_app"),
        ("GRANT authsvc_owner TO authsvc_app", "use authsvc_app"),
        ("DROP TRIGGER logged ON bindings", "the trigger bindings.logged is missing.*restore"),
        (
            "ALTER TABLE credentials ENABLE TRIGGER logged",
            "the trigger credentials.logged.*not ENABLE ALWAYS",
        ),
        ("ALTER TABLE cursors DISABLE TRIGGER forward", "the trigger cursors.forward"),
        ("DROP TRIGGER append_only ON batches", "triggers of batches.*restore"),
        ("DROP TRIGGER no_truncate ON {partition}", "triggers of log_.*restore"),
        ("ALTER TABLE epochs DISABLE TRIGGER no_truncate", "triggers of epochs.*restore"),
        ("ALTER TABLE log DISABLE TRIGGER append_only", "triggers of log.*restore"),
        ("ALTER TABLE {partition} ENABLE TRIGGER append_only", "not ENABLE ALWAYS"),
        ("ALTER TABLE batches ENABLE REPLICA TRIGGER append_only", "not ENABLE ALWAYS"),
        (
            _SWALLOW + "CREATE TRIGGER quiet BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION swallow()",
            "quiet: remove it",
        ),
        (
            _SWALLOW
            + "CREATE TRIGGER quiet BEFORE INSERT ON {partition} FOR EACH ROW EXECUTE FUNCTION swallow()",
            "quiet: remove it",
        ),
        ("CREATE RULE quiet AS ON INSERT TO batches DO INSTEAD NOTHING", "quiet: remove it"),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "refuse_change.*restore",
        ),
        (
            "ALTER ROLE authsvc_app IN DATABASE {database} SET synchronous_commit = off",
            "synchronous_commit.*turn it on",
        ),
        (
            "ALTER ROLE authsvc_app IN DATABASE {database} SET synchronous_commit = local",
            "synchronous_commit",
        ),
        (
            "ALTER ROLE authsvc_app IN DATABASE {database} SET session_replication_role = replica",
            "session_replication_role",
        ),
        ("UPDATE alembic_version SET version_num = '0001'", "run 'authsvc migrate'"),
        ("DROP TABLE alembic_version", "run 'authsvc migrate'"),
    ],
)
async def test_sabotage_is_refused(
    settings: Settings, superuser_url: str, database: str, sabotage: str, says: str
) -> None:
    """Every way of taking a guard away is found before the service starts, and the message says what to do."""
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        row = superuser.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log'::regclass ORDER BY 1 LIMIT 1"
        ).fetchone()
        assert row is not None
        statement = sabotage.replace("{partition}", row[0]).replace("{database}", database)
        superuser.execute(statement.encode())
        try:
            with pytest.raises(StartupError, match=says):
                await _check(_app_url(settings))
        finally:
            if "authsvc_owner TO" in sabotage:  # the one that outlives the database
                superuser.execute("REVOKE authsvc_owner FROM authsvc_app")


async def test_a_server_that_loses_commits_is_refused(settings: Settings) -> None:
    """A server without fsync, as the tests' own, is not good enough for a service."""
    with pytest.raises(StartupError, match=r"(fsync|full_page_writes)=off.*turn it on"):
        await _check(_app_url(settings), durable=True)


async def test_an_empty_database_is_refused(postgres: EmbeddedServer) -> None:
    """Before the first migration there is nothing to work with."""
    with pytest.raises(StartupError, match="run 'authsvc migrate'"):
        await _check(postgres.cluster.url(ClusterRole.SUPERUSER, "postgres"))


async def test_partitions_that_cannot_be_made_are_told(settings: Settings, superuser_url: str) -> None:
    """Without the right to make partitions the service says so at its start, not at the end of the month."""
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("REVOKE EXECUTE ON FUNCTION ensure_log_partitions() FROM authsvc_app")
    async with await psycopg.AsyncConnection.connect(_app_url(settings), autocommit=True) as connection:
        with pytest.raises(StartupError, match="run 'authsvc migrate'"):
            await ensure_partitions(connection)
