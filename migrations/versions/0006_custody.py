"""Epochs say where they begin, and how much of the log before them was lost.

Runs on a database with a log; the application still opens the first epoch only, the owner any other.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_EPOCHS = """
ALTER TABLE epochs
    ADD COLUMN begins bigint NOT NULL DEFAULT 0 CHECK (begins >= 0),
    ADD COLUMN lost_until bigint NOT NULL DEFAULT 0 CHECK (lost_until >= 0),
    ADD CONSTRAINT epochs_first CHECK (number > 1 OR (begins = 0 AND lost_until = 0));
COMMENT ON COLUMN epochs.begins IS 'the seq of its first entry, which for all but the first says what was lost (audit.recovered)';
COMMENT ON COLUMN epochs.lost_until IS 'checkpoints of earlier epochs up to this size are no longer all in the log';
"""


def upgrade() -> None:
    """Add the two columns."""
    op.execute(_EPOCHS)


def downgrade() -> None:
    """Refuse: what was lost cannot be forgotten."""
    raise NotImplementedError("an epoch that was opened stays: restore a backup instead")
