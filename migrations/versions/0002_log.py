"""The log: its entries by month, its batches with their signed checkpoints, and the guards that keep both append-only.

Runs on an empty or a policy-only database.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE epochs (
    number integer PRIMARY KEY CHECK (number > 0),
    origin text NOT NULL UNIQUE,
    verifier_key text NOT NULL
);
COMMENT ON TABLE epochs IS 'the names under which checkpoints are signed; a new epoch is opened only when a tail was lost';

CREATE TABLE log (
    seq bigint NOT NULL CHECK (seq >= 0),
    time timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    projects text[] COLLATE "C" NOT NULL,
    repositories text[] COLLATE "C" NOT NULL,
    actions text[] COLLATE "C" NOT NULL,
    address inet,
    entry bytea NOT NULL CHECK (length(entry) BETWEEN 2 AND 49152),
    PRIMARY KEY (seq, time)
) PARTITION BY RANGE (time);
COMMENT ON TABLE log IS 'one row an event; seq is the leaf index in the tree, entry the hashed bytes, the rest an index';
CREATE INDEX log_actor ON log (actor, seq);
CREATE INDEX log_repositories ON log USING gin (repositories);
CREATE INDEX log_projects ON log USING gin (projects);

CREATE TABLE batches (
    prev bigint PRIMARY KEY CHECK (prev >= 0),
    size bigint NOT NULL UNIQUE,
    parent bigint GENERATED ALWAYS AS (nullif(prev, 0)) STORED REFERENCES batches (size),
    entries integer NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    frontier bytea NOT NULL CHECK (length(frontier) % 32 = 0),
    revision bigint NOT NULL CHECK (revision >= -1 AND revision < size),
    epoch integer NOT NULL REFERENCES epochs,
    checkpoint text NOT NULL,
    CONSTRAINT batches_grow CHECK (entries > 0 AND size = prev + entries)
);
COMMENT ON TABLE batches IS 'one row a commit; prev is the size of the tree before it, so that a size has one child; insert-only';
COMMENT ON COLUMN batches.revision IS 'the policy revision after the batch: the seq of the newest event that changed policy';
"""

_GUARDS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION guard_table(guarded regclass, guard_rows boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF guard_rows THEN
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION refuse_change()', guarded);
    END IF;
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %s'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', guarded);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER no_truncate', guarded);
END $$;
COMMENT ON FUNCTION guard_table IS 'a partition has its row trigger from its parent, but no TRUNCATE trigger and no ALWAYS';

CREATE FUNCTION ensure_log_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(4703002);
    FOR ahead IN -1..3 LOOP
        first := date_trunc('month', now() AT TIME ZONE 'UTC' + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        name := 'log_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF log FOR VALUES FROM (%L) TO (%L)', name, first,
                           (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
            PERFORM guard_table(name::regclass, false);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION ensure_log_partitions IS 'creates the months around now that are missing; the application may call it';

CREATE FUNCTION open_first_epoch(origin text, verifier_key text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO epochs (number, origin, verifier_key)
    SELECT 1, open_first_epoch.origin, open_first_epoch.verifier_key WHERE NOT EXISTS (SELECT FROM epochs)
$$;
COMMENT ON FUNCTION open_first_epoch IS 'all that the application may add to epochs: an epoch of its own would stop every start';

SELECT guard_table('log', true), guard_table('batches', true), guard_table('epochs', true);
SELECT ensure_log_partitions();
"""

_RIGHTS = """
GRANT SELECT, INSERT ON log, batches TO authsvc_app;
GRANT SELECT ON epochs TO authsvc_app;
GRANT SELECT ON log, batches, epochs TO authsvc_auditor;
REVOKE EXECUTE ON FUNCTION
    ensure_log_partitions(), open_first_epoch(text, text), guard_table(regclass, boolean), refuse_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_log_partitions(), open_first_epoch(text, text) TO authsvc_app;
"""


def upgrade() -> None:
    """Create the log, guard it, and let the application insert and read, the auditor read."""
    op.execute(_TABLES)
    op.execute(_GUARDS)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Refuse: a log is not undone."""
    raise NotImplementedError(
        "the log cannot be dropped by a migration; drop the database if that is what you want"
    )
