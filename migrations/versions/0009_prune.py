"""Pruning: months that are old enough leave the log, in one function that only the owner may call.

The entries of policy stay, so that any decision that is still there can be made again; the tree's tiles stay too.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE kept_policy (
    seq bigint PRIMARY KEY CHECK (seq >= 0),
    entry bytea NOT NULL
);
COMMENT ON TABLE kept_policy IS 'entries of policy, credentials and keys from pruned months: what later decisions rest on';
SELECT guard_table('kept_policy', true);

CREATE TABLE legal_holds (
    reason text PRIMARY KEY CHECK (length(reason) BETWEEN 1 AND 200),
    placed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE legal_holds IS 'while there is a row, nothing is pruned; the owner inserts and deletes it';
GRANT SELECT ON kept_policy, legal_holds TO authsvc_app, authsvc_auditor;
"""

_FUNCTIONS = """
CREATE FUNCTION list_log_months() RETURNS TABLE (name name, ends timestamptz)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT c.relname, (to_date(substr(c.relname, 5), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC'
    FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
    WHERE inhparent = 'log'::regclass AND c.relname ~ '^log_[0-9]{4}_[0-9]{2}$'
    ORDER BY 2
$$;
COMMENT ON FUNCTION list_log_months IS 'the partitions of the log, and when each ends';

CREATE FUNCTION prune_log(until timestamptz, event bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first bigint;
    cut bigint;
    said json;
    month record;
BEGIN
    PERFORM set_config('lock_timeout', '2000', true);
    LOCK TABLE log IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM legal_holds) THEN
        RAISE EXCEPTION 'a legal hold stops pruning: %', (SELECT min(reason) FROM legal_holds);
    END IF;
    -- Months are by the events' time, the log is by seq, and clocks differ: what was logged from the first event of a later
    -- month on stays, whichever month it says, so that what is left has no gaps.
    SELECT min(seq) INTO first FROM log;
    SELECT min(seq) INTO cut FROM log WHERE time >= until;
    SELECT convert_from(entry, 'UTF8')::json INTO said FROM log WHERE seq = event AND kind = 'audit.pruned';
    IF said IS NULL OR (said ->> 'first')::bigint IS DISTINCT FROM first OR (said ->> 'end')::bigint IS DISTINCT FROM cut THEN
        RAISE EXCEPTION 'no event says that the entries from % up to before % are pruned', first, cut;
    END IF;
    IF (said ->> 'retention_days')::integer < 184
        OR until > now() - make_interval(days => (said ->> 'retention_days')::integer) THEN
        RAISE EXCEPTION 'the log is kept for its retention, and for 184 days at least';
    END IF;
    IF NOT EXISTS (SELECT FROM tiles WHERE level = 0 AND (index + 1) * 256 >= cut) THEN
        RAISE EXCEPTION 'the tree has no tiles yet for what is pruned: proofs would end';
    END IF;
    INSERT INTO kept_policy SELECT log.seq, log.entry FROM log WHERE log.seq < cut
        AND (log.kind LIKE 'policy.%' OR log.kind LIKE 'credential.%' OR log.kind LIKE 'key.%');
    FOR month IN SELECT name FROM list_log_months() WHERE ends <= until LOOP
        EXECUTE format('ALTER TABLE log DETACH PARTITION %I', month.name);
        EXECUTE format('ALTER TABLE %I RENAME TO pruned_log', month.name);
        IF EXISTS (SELECT FROM pruned_log WHERE seq >= cut) THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF log FOR VALUES FROM (%L) TO (%L)', month.name,
                to_date(substr(month.name, 5), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC',
                (to_date(substr(month.name, 5), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC');
            PERFORM guard_table(month.name::text::regclass, false);
            INSERT INTO log SELECT * FROM pruned_log WHERE seq >= cut;
        END IF;
        DROP TABLE pruned_log;
    END LOOP;
    RETURN cut - first;
END $$;
COMMENT ON FUNCTION prune_log IS 'drops the months up to a time, which an event in the log must say; for the owner alone';
REVOKE EXECUTE ON FUNCTION prune_log(timestamptz, bigint), list_log_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_log_months() TO authsvc_app, authsvc_auditor;
"""


def upgrade() -> None:
    """Create the function, and what it needs."""
    op.execute(_TABLES)
    op.execute(_FUNCTIONS)


def downgrade() -> None:
    """Refuse: what was pruned cannot be put back."""
    raise NotImplementedError("restore the database as it was before the migration")
