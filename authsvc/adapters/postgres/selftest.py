"""The start-up self-test: the database holds to append-only and durability, or the service does not start."""

from psycopg.errors import InsufficientPrivilege, UndefinedFunction

from authsvc.adapters.postgres.log import Connection
from authsvc.core.errors import StartupError

_RIGHTS = """
SELECT relation, privilege FROM unnest(ARRAY['log', 'batches', 'epochs']) AS relation,
    unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
WHERE has_table_privilege(relation, privilege)
UNION ALL SELECT c.relname, 'ownership' FROM pg_class c
WHERE c.relname IN ('log', 'batches', 'epochs') AND c.relnamespace = 'public'::regnamespace
    AND pg_has_role(c.relowner, 'USAGE')
"""

_GUARDED = """
SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND (c.relname IN ('log', 'batches', 'epochs')
         OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'log'::regclass))
"""

_MISSING_GUARDS = f"""
SELECT g.relname FROM ({_GUARDED}) AS g WHERE (
    SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = g.oid AND t.tgname IN ('append_only', 'no_truncate') AND t.tgenabled = 'A'
) < 2
"""  # noqa: S608 - formatted from the constant above

_STRANGE_TRIGGERS = f"""
SELECT g.relname || '.' || t.tgname FROM pg_trigger t JOIN ({_GUARDED}) AS g ON g.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgname NOT IN ('append_only', 'no_truncate')
"""  # noqa: S608 - formatted from the constant above

_SETTINGS = (
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
)


async def check_database(connection: Connection, *, durable: bool) -> None:
    """Raise StartupError, naming the first thing that is wrong; `durable` false lets a test's server skip fsync."""
    row = await (
        await connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    ).fetchone()
    if row is None or row[1]:
        raise StartupError(
            "DATABASE_URL signs in as a superuser, whom nothing stops: use the role authsvc_app"
        )
    for relation, privilege in await _rows(connection, _RIGHTS):
        raise StartupError(
            f"the application role has {privilege} on {relation}, which must be append-only: revoke it, or use authsvc_app"
        )
    for (relation,) in await _rows(connection, _MISSING_GUARDS):
        raise StartupError(
            f"the append-only triggers of {relation} are missing or not ENABLE ALWAYS: restore them"
        )
    for (trigger,) in await _rows(connection, _STRANGE_TRIGGERS):
        raise StartupError(f"there is a trigger of somebody else's on the log, {trigger}: remove it")
    for name, setting in await _rows(connection, _SETTINGS):
        if setting == "off" and (durable or name == "synchronous_commit"):
            raise StartupError(
                f"Postgres runs with {name}=off, so that a crash could lose logged events: turn it on"
            )


async def ensure_partitions(connection: Connection) -> None:
    """Create the log's partitions around this month; raises StartupError when this role may not."""
    try:
        await connection.execute("SELECT ensure_log_partitions()")
    except (InsufficientPrivilege, UndefinedFunction) as error:
        raise StartupError(
            "the application role may not create the log's partitions: run 'authsvc migrate'"
        ) from error


async def _rows(connection: Connection, statement: str) -> list[tuple[str, ...]]:
    return await (await connection.execute(statement)).fetchall()
