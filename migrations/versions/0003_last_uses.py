"""When and from where principals and credentials were last used, and what will expire.

No policy: nothing is decided by it, no event tells of it, and writing it touches no row that anything else writes.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE last_uses (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    used_at timestamptz NOT NULL,
    address inet
) WITH (fillfactor = 70);
COMMENT ON TABLE last_uses IS 'the last use of a user, robot or machine credential, seconds late';

CREATE INDEX credentials_expiring ON credentials (expires_at, id)
    WHERE expires_at IS NOT NULL AND kind IN ('personal', 'robot');
CREATE INDEX bindings_expiring ON bindings (expires_at, id) WHERE expires_at IS NOT NULL;
"""

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON last_uses TO authsvc_app;
GRANT SELECT ON last_uses TO authsvc_auditor;
"""


def upgrade() -> None:
    """Create the table and the indexes, and let the application write and the auditor read it."""
    op.execute(_TABLES)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX credentials_expiring, bindings_expiring")
    op.execute("DROP TABLE last_uses")
