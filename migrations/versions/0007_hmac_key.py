"""The fingerprint of the key that machine credentials are hashed under, so that a lost one is noticed at a start.

Public: it is made with the key, and says nothing about it.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and let the application keep its one row, the auditor read it."""
    op.execute("""
        CREATE TABLE hmac_key (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32)
        );
        COMMENT ON TABLE hmac_key IS 'a public fingerprint of hmac.key in KEYS_DIR, under which credentials.digest is made';
        GRANT SELECT, INSERT, UPDATE ON hmac_key TO authsvc_app;
        GRANT SELECT ON hmac_key TO authsvc_auditor;
    """)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE hmac_key")
