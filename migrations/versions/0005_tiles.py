"""The tree's full tiles, from which proofs are made."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE tiles (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index bigint NOT NULL CHECK (index >= 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, index)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE tiles IS 'full tiles of the tree (C2SP tlog-tiles), derived from the log, kept when it is pruned; insert-only';
COMMENT ON COLUMN tiles.root IS 'the root over the hashes: one hash of the tile above, which is not stored before it is full';
SELECT guard_table('tiles', true);
GRANT SELECT, INSERT ON tiles TO authsvc_app;
GRANT SELECT ON tiles TO authsvc_auditor;
"""


def upgrade() -> None:
    """Create the tiles; the service fills them behind the log's end."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Refuse: what was pruned can be proved by them only."""
    raise NotImplementedError("restore the database as it was before the migration")
