"""What stays of pruned policy is what the event in the log says stays, so that it can be proved for ever after."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_FUNCTION = r"""
CREATE OR REPLACE FUNCTION prune_log(until timestamptz, event bigint) RETURNS bigint
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
    -- What is left out here could never be missed later: the event, which is in the signed log, says what there was.
    IF (said -> 'kept' ->> 'sha256') IS DISTINCT FROM (
        SELECT encode(sha256(coalesce(string_agg(
            int8send(log.seq) || sha256('\x00'::bytea || log.entry), ''::bytea ORDER BY log.seq), ''::bytea)), 'hex')
        FROM log WHERE log.seq < cut
            AND (log.kind LIKE 'policy.%' OR log.kind LIKE 'credential.%' OR log.kind LIKE 'key.%')
    ) THEN
        RAISE EXCEPTION 'the entries of policy that would be kept are not those that the event says';
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
"""


def upgrade() -> None:
    """Let the function prune nothing before it has compared."""
    op.execute(_FUNCTION)


def downgrade() -> None:
    """Refuse: events of pruning say what the older function does not look at."""
    raise NotImplementedError("restore the database as it was before the migration")
