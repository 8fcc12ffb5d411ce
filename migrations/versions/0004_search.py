"""The log's indexes for searching: in order, whatever the number of events that a name has."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = """
DROP INDEX log_actor, log_repositories, log_projects;
CREATE INDEX log_actor ON log (hashtext(actor), seq);
CREATE INDEX log_repository_1 ON log (hashtext(repositories[1]), seq) WHERE repositories[1] IS NOT NULL;
CREATE INDEX log_repository_2 ON log (hashtext(repositories[2]), seq) WHERE repositories[2] IS NOT NULL;
CREATE INDEX log_repositories ON log USING gin (repositories) WHERE repositories[3] IS NOT NULL;
CREATE INDEX log_project_1 ON log (hashtext(projects[1]), seq) WHERE projects[1] IS NOT NULL;
CREATE INDEX log_project_2 ON log (hashtext(projects[2]), seq) WHERE projects[2] IS NOT NULL;
CREATE INDEX log_projects ON log USING gin (projects) WHERE projects[3] IS NOT NULL;
CREATE INDEX log_uncommon ON log (seq, kind) WHERE kind NOT IN ('token.issued', 'registry.pull', 'registry.push');
CREATE INDEX log_address ON log USING brin (address inet_bloom_ops) WITH (autosummarize = on);
COMMENT ON INDEX log_actor IS 'a hash is of one length, so that the pages of each name fill up; about 40 bytes an event';
COMMENT ON INDEX log_repositories IS 'the few events that are about more repositories than have an index of their own';
COMMENT ON INDEX log_uncommon IS 'a change of policy is found among a thousand times as many tokens';
COMMENT ON INDEX log_address IS 'says where an address was not seen; some bits an event';
"""


def upgrade() -> None:
    """Replace the indexes; on a large log this takes minutes, and stops tokens meanwhile."""
    op.execute(_INDEXES)


def downgrade() -> None:
    """Refuse: the log only goes forward."""
    raise NotImplementedError("restore the database as it was before the migration")
