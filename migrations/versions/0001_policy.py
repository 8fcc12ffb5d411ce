"""Who there is and what is bound to them: users, groups, projects, robots, credentials, roles, bindings, services, keys.

The first migration; it needs an empty database, and the roles `authsvc_app` and `authsvc_auditor`.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    name text COLLATE "C" NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128 AND name !~ '[+:[:space:][:cntrl:]]'),
    name_key text COLLATE "C" NOT NULL UNIQUE,
    email text CHECK (length(email) <= 254),
    display_name text CHECK (length(display_name) <= 255),
    disabled boolean NOT NULL DEFAULT false,
    password_hash text,
    credential_version bigint NOT NULL DEFAULT 1,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL
);
COMMENT ON COLUMN users.name_key IS 'the name without case: no two users look alike by case';
COMMENT ON COLUMN users.credential_version IS 'raised with every change of password; what was obtained under an older one ends';

CREATE TABLE groups (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    name text COLLATE "C" NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL
);

CREATE TABLE group_members (
    group_id text COLLATE "C" NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

CREATE TABLE projects (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    name text COLLATE "C" NOT NULL UNIQUE
        CHECK (length(name) BETWEEN 1 AND 128 AND name <> 'system' AND name !~ '[^a-z0-9._-]'),
    visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'internal', 'public')),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 2000),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL
);

CREATE TABLE robots (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    subject text COLLATE "C" NOT NULL UNIQUE CHECK (subject LIKE '%+' || name),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 2000),
    disabled boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (project_id, name)
);
COMMENT ON COLUMN robots.project_id IS 'null: a robot of the system';

CREATE TABLE credentials (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    kind text NOT NULL CHECK (kind IN ('personal', 'robot', 'refresh')),
    user_id text COLLATE "C" REFERENCES users ON DELETE CASCADE,
    robot_id text COLLATE "C" REFERENCES robots ON DELETE CASCADE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    label text NOT NULL DEFAULT '' CHECK (length(label) <= 255),
    slot smallint CHECK (slot IN (1, 2)),
    limits text[],
    cidrs cidr[] NOT NULL DEFAULT '{}',
    parent_id text COLLATE "C" REFERENCES credentials ON DELETE CASCADE,
    owner_version bigint,
    service text,
    client text CHECK (length(client) <= 255),
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT credentials_one_owner CHECK (num_nonnulls(user_id, robot_id) = 1),
    CONSTRAINT credentials_kind_fits CHECK (
        (kind = 'personal' AND user_id IS NOT NULL AND parent_id IS NULL AND slot IS NULL)
        OR (kind = 'robot' AND robot_id IS NOT NULL AND parent_id IS NULL AND slot IS NOT NULL)
        OR (kind = 'refresh' AND slot IS NULL AND service IS NOT NULL AND num_nonnulls(parent_id, owner_version) = 1)
    ),
    CONSTRAINT credentials_two_live UNIQUE (robot_id, slot)
);
COMMENT ON COLUMN credentials.parent_id IS 'the credential that a refresh token was obtained with, and dies with';
CREATE INDEX credentials_user ON credentials (user_id);
CREATE INDEX credentials_robot ON credentials (robot_id);
CREATE INDEX credentials_parent ON credentials (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE roles (
    name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128),
    permissions text[] NOT NULL,
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 2000),
    built_in boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL
);

CREATE TABLE bindings (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z2-7]{16}$'),
    role text COLLATE "C" NOT NULL REFERENCES roles,
    user_id text COLLATE "C" REFERENCES users ON DELETE CASCADE,
    group_id text COLLATE "C" REFERENCES groups ON DELETE CASCADE,
    robot_id text COLLATE "C" REFERENCES robots ON DELETE CASCADE,
    project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
    repositories text[] NOT NULL DEFAULT '{**}' CHECK (cardinality(repositories) BETWEEN 1 AND 64),
    services text[] NOT NULL DEFAULT '{}',
    cidrs cidr[] NOT NULL DEFAULT '{}',
    not_before timestamptz,
    expires_at timestamptz,
    comment text NOT NULL DEFAULT '' CHECK (length(comment) <= 2000),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CONSTRAINT bindings_one_subject CHECK (num_nonnulls(user_id, group_id, robot_id) = 1),
    CONSTRAINT bindings_some_time CHECK (not_before < expires_at),
    CONSTRAINT bindings_system_is_whole CHECK (project_id IS NOT NULL OR repositories = '{**}')
);
COMMENT ON COLUMN bindings.project_id IS 'null: bound on the whole system';
CREATE INDEX bindings_user ON bindings (user_id);
CREATE INDEX bindings_group ON bindings (group_id);
CREATE INDEX bindings_robot ON bindings (robot_id);
CREATE INDEX bindings_project ON bindings (project_id);
CREATE INDEX bindings_role ON bindings (role);

CREATE TABLE services (
    name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 255),
    algorithm text NOT NULL DEFAULT 'ES256' CHECK (algorithm IN ('ES256', 'RS256', 'EdDSA')),
    header text NOT NULL DEFAULT 'x5c' CHECK (header IN ('x5c', 'libtrust-kid', 'thumbprint-kid')),
    token_ttl_seconds integer NOT NULL CHECK (token_ttl_seconds BETWEEN 60 AND 86400),
    backdate_seconds integer NOT NULL DEFAULT 10 CHECK (backdate_seconds BETWEEN 0 AND 300),
    refresh_tokens boolean NOT NULL DEFAULT true,
    anonymous boolean NOT NULL DEFAULT true,
    own_key boolean NOT NULL DEFAULT false,
    isolated boolean NOT NULL DEFAULT false,
    name_prefix text NOT NULL DEFAULT '' CHECK (length(name_prefix) <= 255),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL
);

CREATE TABLE service_names (
    name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    service text COLLATE "C" NOT NULL REFERENCES services ON DELETE CASCADE
);
COMMENT ON TABLE service_names IS 'every audience: each service under its own name and its aliases, so that no two share one';
CREATE INDEX service_names_service ON service_names (service);

CREATE TABLE signing_keys (
    id text COLLATE "C" PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm IN ('ES256', 'RS256', 'EdDSA')),
    label text COLLATE "C" NOT NULL,
    certificate text NOT NULL CHECK (certificate LIKE '-----BEGIN CERTIFICATE-----%'),
    state text NOT NULL CHECK (state IN ('published', 'active', 'retired')),
    created_at timestamptz NOT NULL,
    not_after timestamptz NOT NULL
);
COMMENT ON TABLE signing_keys IS 'public halves and states; private keys are files in KEYS_DIR';
COMMENT ON COLUMN signing_keys.label IS 'empty: shared by services; else the service that has its own key';
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (algorithm, label) WHERE state = 'active';
"""

_RIGHTS = """
GRANT USAGE ON SCHEMA public TO authsvc_app, authsvc_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    users, groups, group_members, projects, robots, credentials, roles, bindings, services, service_names, signing_keys
    TO authsvc_app;
GRANT SELECT ON groups, group_members, projects, robots, roles, bindings, services, service_names, signing_keys
    TO authsvc_auditor;
GRANT SELECT (id, name, name_key, email, display_name, disabled, credential_version, version, created_at) ON users
    TO authsvc_auditor;
GRANT SELECT (id, kind, user_id, robot_id, label, slot, limits, cidrs, parent_id, owner_version, service, client,
    expires_at, created_at) ON credentials TO authsvc_auditor;
GRANT SELECT ON alembic_version TO authsvc_app, authsvc_auditor;
"""


def upgrade() -> None:
    """Create the policy tables and grant the application its rights on them, the auditor all but the secrets' digests."""
    op.execute(_TABLES)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Drop the policy tables with everything in them."""
    op.execute(
        "DROP TABLE signing_keys, service_names, services, bindings, roles, credentials, robots, projects,"
        " group_members, groups, users"
    )
