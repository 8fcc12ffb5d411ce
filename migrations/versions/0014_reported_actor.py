"""Who did something at a registry is found by name, though its reporter is the event's actor."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INDEX = """
CREATE FUNCTION reported_actor(entry bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    RETURN convert_from(entry, 'UTF8')::json #>> '{reported,actor}';
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION reported_actor IS 'who did it, as a registry says; NULL of what is no report, or no entry at all';
CREATE INDEX log_reported_actor ON log (hashtext(reported_actor(entry)), seq)
    WHERE kind IN ('registry.pull', 'registry.push', 'registry.mount', 'registry.delete');
COMMENT ON INDEX log_reported_actor IS 'read out of the entry itself, so that no column can be false; of reports alone';
"""


def upgrade() -> None:
    """Make the index; on a large log this takes minutes, and stops tokens meanwhile."""
    op.execute(_INDEX)


def downgrade() -> None:
    """Refuse: the log only goes forward."""
    raise NotImplementedError("restore the database as it was before the migration")
