"""What a stolen application role could do in silence: policy changes only with the log, what was seen only moves forward.

Policy: a transaction that changes it must append to the log, where a batch that the audit key has not signed is found for ever.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

POLICY = (
    "users", "groups", "group_members", "projects", "robots", "credentials", "roles", "bindings", "services", "service_names",
    "signing_keys",
)  # fmt: skip

_FUNCTIONS = """
CREATE FUNCTION is_owner(relation regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT pg_has_role(session_user, relowner, 'USAGE') FROM pg_class WHERE oid = relation
$$;
COMMENT ON FUNCTION is_owner IS 'whether this session is the owner''s or a superuser''s: who can drop triggers';

CREATE FUNCTION refuse_unlogged() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (SELECT xmin FROM batches ORDER BY prev DESC LIMIT 1) AS newest WHERE xmin = pg_current_xact_id()::xid
    ) AND NOT is_owner(TG_RELID) THEN
        RAISE EXCEPTION 'a change of % without its event in the log', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_unlogged IS 'at the commit: policy changes in transactions that append to the log';

CREATE FUNCTION refuse_going_back() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT is_owner(TG_RELID) THEN
        RAISE EXCEPTION '% only go forward', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refuse_forgetting() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT is_owner(TG_RELID) THEN
        RAISE EXCEPTION 'what was % is known for a month', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
"""

_LOGGED = """
CREATE CONSTRAINT TRIGGER logged AFTER INSERT OR UPDATE OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse_unlogged();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER logged;
"""

_FORWARD = """
CREATE TRIGGER forward BEFORE UPDATE ON cursors
    FOR EACH ROW WHEN (NEW.seq < OLD.seq OR NEW.name <> OLD.name) EXECUTE FUNCTION refuse_going_back();
CREATE TRIGGER forward BEFORE UPDATE ON registries
    FOR EACH ROW WHEN (NEW.heard_at < OLD.heard_at OR NEW.service <> OLD.service) EXECUTE FUNCTION refuse_going_back();
CREATE TRIGGER known BEFORE DELETE ON reported
    FOR EACH ROW WHEN (OLD.received_at > now() - interval '29 days') EXECUTE FUNCTION refuse_forgetting();
ALTER TABLE cursors ENABLE ALWAYS TRIGGER forward;
ALTER TABLE registries ENABLE ALWAYS TRIGGER forward;
ALTER TABLE reported ENABLE ALWAYS TRIGGER known;
"""

_RIGHTS = """
REVOKE UPDATE ON hmac_key, cursors, registries FROM authsvc_app;
GRANT UPDATE (seq) ON cursors TO authsvc_app;
GRANT UPDATE (heard_at) ON registries TO authsvc_app;
REVOKE EXECUTE ON FUNCTION refuse_unlogged(), refuse_going_back(), refuse_forgetting() FROM PUBLIC;
"""


def upgrade() -> None:
    """Create the triggers, and take the rights that the owner can use instead."""
    op.execute(_FUNCTIONS)
    for table in POLICY:
        op.execute(_LOGGED.format(table=table))
    op.execute(_FORWARD)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Drop them, and give the rights back."""
    op.execute("DROP FUNCTION refuse_unlogged(), refuse_going_back(), refuse_forgetting() CASCADE")
    op.execute("DROP FUNCTION is_owner(regclass)")
    op.execute("GRANT UPDATE ON hmac_key, cursors, registries TO authsvc_app")
