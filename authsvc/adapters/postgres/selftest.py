"""The start-up self-test: the database holds to append-only and durability, or the service does not start."""

from psycopg.errors import InsufficientPrivilege, UndefinedFunction

from authsvc.adapters.postgres.log import Connection
from authsvc.core.errors import StartupError

_GUARDED = """
SELECT c.oid, c.relname, c.relowner, c.relispartition FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND (c.relname IN ('log', 'batches', 'epochs', 'tiles', 'kept_policy')
         OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'log'::regclass))
"""

# A right on single columns counts; a partition is written through its parent only, what is listed by functions only.
_RIGHTS = f"""
SELECT g.relname, privilege FROM ({_GUARDED}) AS g,
    unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'INSERT']) AS privilege
WHERE (g.relispartition OR g.relname IN ('epochs', 'kept_policy', 'tiles') OR privilege <> 'INSERT') AND CASE
    WHEN privilege IN ('UPDATE', 'INSERT') THEN has_any_column_privilege(g.oid, privilege)
    ELSE has_table_privilege(g.oid, privilege) END
UNION ALL SELECT 'log', 'the right to prune' WHERE has_function_privilege('prune_log(timestamptz, bigint)', 'EXECUTE')
UNION ALL SELECT 'tiles', 'the right to make tiles' WHERE has_function_privilege('add_tile(integer, bigint, bytea)', 'EXECUTE')
    OR has_function_privilege('forget_tiles(bigint)', 'EXECUTE')
UNION ALL SELECT g.relname, 'ownership' FROM ({_GUARDED}) AS g WHERE pg_has_role(g.relowner, 'USAGE')
"""  # noqa: S608 - formatted from the constant above

_MISSING_GUARDS = f"""
SELECT g.relname FROM ({_GUARDED}) AS g WHERE (
    SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = g.oid AND t.tgname IN ('append_only', 'no_truncate') AND t.tgenabled = 'A'
) < 2
"""  # noqa: S608 - formatted from the constant above

# What a stolen application role could otherwise do in silence.
_MISSING_TRIGGERS = """
SELECT wanted.relation || '.' || wanted.name FROM (
    SELECT 'logged', unnest(ARRAY['users', 'groups', 'group_members', 'projects', 'robots', 'credentials', 'roles', 'bindings',
        'services', 'service_names', 'signing_keys'])
    UNION ALL VALUES ('forward', 'cursors'), ('forward', 'registries'), ('known', 'reported')
) AS wanted(name, relation)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t WHERE t.tgrelid = wanted.relation::regclass AND t.tgname = wanted.name AND t.tgenabled = 'A'
)
"""

_STRANGE_TRIGGERS = f"""
SELECT g.relname || '.' || t.tgname FROM pg_trigger t JOIN ({_GUARDED}) AS g ON g.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgname NOT IN ('append_only', 'no_truncate')
UNION ALL SELECT g.relname || '.' || r.rulename FROM pg_rewrite r JOIN ({_GUARDED}) AS g ON g.oid = r.ev_class
"""  # noqa: S608 - formatted from the constant above

# The guards all call one function: it must do nothing but raise.
_TOOTHLESS = f"""
SELECT DISTINCT p.proname FROM pg_trigger t JOIN ({_GUARDED}) AS g ON g.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgname IN ('append_only', 'no_truncate') AND p.prosrc !~ '^\\s*BEGIN\\s+RAISE EXCEPTION [^;]*;\\s*END\\s*$'
"""  # noqa: S608 - formatted from the constant above

_SETTINGS = """
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'
    OR name = 'synchronous_commit' AND setting NOT IN ('on', 'remote_apply')
"""


_FAULTS = (
    (
        _RIGHTS,
        "the application role has {1} on {0}, which must be append-only: revoke it, or use authsvc_app",
    ),
    (_MISSING_GUARDS, "the append-only triggers of {} are missing or not ENABLE ALWAYS: restore them"),
    (_MISSING_TRIGGERS, "the trigger {} is missing or not ENABLE ALWAYS: restore it"),
    (_STRANGE_TRIGGERS, "there is a trigger or rule of somebody else's on the log, {}: remove it"),
    (_TOOTHLESS, "the append-only triggers call {}, which no longer only refuses: restore it"),
)
"""Questions whose every answer is a fault, with what to do about it."""


async def check_database(connection: Connection, *, durable: bool) -> None:
    """Raise StartupError, naming the first thing that is wrong; `durable` false lets a test's server skip fsync."""
    row = await (
        await connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    ).fetchone()
    if row is None or row[1]:
        raise StartupError(
            "DATABASE_URL signs in as a superuser, whom nothing stops: use the role authsvc_app"
        )
    for question, fault in _FAULTS:
        for row in await _rows(connection, question):
            raise StartupError(fault.format(*row))
    for name, setting in await _rows(connection, _SETTINGS):
        if durable or name == "synchronous_commit":
            raise StartupError(
                f"Postgres runs with {name}={setting}, so that a crash could lose logged events: turn it on"
            )
    for (role,) in await _rows(connection, "SELECT current_setting('session_replication_role')"):
        if role != "origin":
            raise StartupError(f"the role runs with session_replication_role={role}: reset it to origin")


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
