"""Nodes say which signing keys they hold, and keys when they first signed: a new key signs once every live node holds it."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 300),
    keys text[] NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE nodes IS 'processes that issue tokens, written by each every few seconds; one that is not seen for long is gone';
COMMENT ON COLUMN nodes.id IS 'made up at each start, as names return: of hosts, and of processes in containers';
COMMENT ON COLUMN nodes.keys IS 'the ids of the signing keys that it holds and has tested';

ALTER TABLE signing_keys ADD COLUMN activated_at timestamptz;
COMMENT ON COLUMN signing_keys.activated_at IS 'when it last began to sign; null: published, and waits for nodes or the operator';
UPDATE signing_keys SET activated_at = created_at;
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_activated CHECK (state <> 'active' OR activated_at IS NOT NULL);
"""

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON nodes TO authsvc_app;
GRANT SELECT ON nodes TO authsvc_auditor;
"""


def upgrade() -> None:
    """Create the table and the column; keys that were made before wait for nobody but the operator, as they did."""
    op.execute(_TABLES)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Drop them."""
    op.execute("ALTER TABLE signing_keys DROP COLUMN activated_at")
    op.execute("DROP TABLE nodes")
