"""A large installation, by the same seed always the same: users, projects, bindings and events, loaded by COPY.

The rows are not made through the service, so their log proves nothing: it is there to be large.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core.credential import SECRET_LENGTH, CredentialKind, compose_secret

SCOPE = "repository:p{project}/app:pull,push"
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_SECRET = "0" * SECRET_LENGTH
_CREATED = "2026-01-01T00:00:00Z"

_EVENTS = """
WITH head AS MATERIALIZED (SELECT size, revision, epoch FROM batches ORDER BY prev DESC LIMIT 1), rows AS (
    INSERT INTO log (seq, time, kind, outcome, actor, projects, repositories, actions, address, entry)
    SELECT head.size + n, now() - (%(events)s - n) * interval '1 millisecond', 'token.issued', 'allowed', 'u' || u,
           ARRAY['p' || u %% %(projects)s], ARRAY['p' || u %% %(projects)s || '/app'], ARRAY['pull'], '192.0.2.1',
           convert_to(repeat(md5(n::text), 18), 'UTF8')
    FROM head, (SELECT n, (n::bigint * 7919) %% %(users)s AS u FROM generate_series(0, %(events)s - 1) AS n) AS made
    RETURNING 1
)
INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)
SELECT size, size + made, made, sha256('bench'),
       decode(repeat(md5('bench') || md5('bench'), length(replace((size + made)::bit(63)::text, '0', ''))), 'hex'),
       revision, epoch, 'bench'
FROM head, (SELECT count(*)::integer AS made FROM rows) AS counted
"""


@dataclass(frozen=True, slots=True)
class Population:
    """How much there is of everything; `asking` of the users have a personal access token that is known."""

    users: int
    projects: int
    events: int
    asking: int
    bindings_each: int = 1


def populate(folder: Path, size: Population, *, service: str) -> list[str]:
    """Fill the service's embedded database below `folder`; return a request for a token of each user that may ask."""
    digest = KeyFolder(folder / "keys").load().digest
    requests: list[str] = []

    def credentials() -> Iterable[tuple[object, ...]]:
        for user in range(size.asking):
            secret = compose_secret(CredentialKind.PERSONAL, _id(user, "c"), _SECRET)
            requests.append(_request(user, user % size.projects, secret.text, service))
            stored = digest.digest(secret.text, purpose="credential")
            yield secret.id, "personal", _id(user, "u"), stored, _CREATED

    with psycopg.connect(Cluster(folder).url(ClusterRole.SUPERUSER)) as connection:
        _copy(
            connection,
            "users (id, name, name_key, created_at)",
            ((_id(n, "u"), f"u{n}", f"u{n}", _CREATED) for n in range(size.users)),
        )
        _copy(
            connection,
            "projects (id, name, created_at)",
            ((_id(n, "p"), f"p{n}", _CREATED) for n in range(size.projects)),
        )
        _copy(
            connection,
            "bindings (id, role, user_id, project_id, created_at)",
            (
                (
                    _id(n * size.bindings_each + k, "b"),
                    "developer",
                    _id(n, "u"),
                    _id((n + k) % size.projects, "p"),
                    _CREATED,
                )
                for n in range(size.users)
                for k in range(size.bindings_each)
            ),
        )
        _copy(connection, "credentials (id, kind, user_id, digest, created_at)", credentials())
        connection.execute(_EVENTS, {"events": size.events, "users": size.users, "projects": size.projects})
    with psycopg.connect(Cluster(folder).url(ClusterRole.SUPERUSER), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return requests


def _copy(
    connection: psycopg.Connection[tuple[object, ...]], table: str, rows: Iterable[tuple[object, ...]]
) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _id(number: int, first: str) -> str:
    """Return an id of 16 letters that is this number's alone."""
    letters = ""
    for _ in range(15):
        number, digit = divmod(number, len(_LETTERS))
        letters += _LETTERS[digit]
    return first + letters


def _request(user: int, project: int, secret: str, service: str) -> str:
    basic = base64.b64encode(f"u{user}:{secret}".encode()).decode()
    scope = SCOPE.format(project=project)
    return (
        f"GET /token?account=u{user}&scope={scope}&service={service} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"User-Agent: docker/28.0.1\r\nAuthorization: Basic {basic}\r\nAccept-Encoding: gzip\r\n\r\n"
    )
