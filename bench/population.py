"""A large installation, by the same seed always the same: users, projects, bindings and events, loaded by COPY.

The rows are not made through the service, so their log proves nothing: it is there to be large.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.postgres.log import LOG_LOCK, Seal
from authsvc.core.credential import SECRET_LENGTH, CredentialKind, compose_secret
from authsvc.core.note import Checkpoint
from authsvc.wiring import make_seal

SCOPE = "repository:p{project}/app:pull,push"
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_SECRET = "0" * SECRET_LENGTH
_CREATED = "2026-01-01T00:00:00Z"

_SPAN_DAYS = 25
"""Over which the events are spread: as far back as a new installation has partitions."""
_EVENTS = """
INSERT INTO log (seq, time, kind, outcome, actor, projects, repositories, actions, address, entry)
SELECT %(size)s + n, moment, 'token.issued', 'allowed', 'u' || u, ARRAY['p' || p], ARRAY['p' || p || '/app'],
       ARRAY['pull', 'push'], ('10.' || u / 65536 || '.' || u / 256 %% 256 || '.' || u %% 256)::inet, convert_to(
           format(
               '{"actor":{"id":"uaaaaaaaaaaaaaaa","kind":"user","name":"u%%s"},"address":"10.0.0.1","agent":"docker/28.0.1",'
               '"credential":{"id":"caaaaaaaaaaaaaaa","kind":"personal"},"grants":[{"asked":["pull","push"],"granted":'
               '{"pull":"baaaaaaaaaaaaaaa","push":"baaaaaaaaaaaaaaa"},"name":"p%%s/app","type":"repository"}],'
               '"key":"%%s","kind":"token.issued","nonce":"%%s","outcome":"allowed","revision":1,"rule":1,'
               '"service":"registry.bench","time":%%s,"token":{"aud":"registry.bench","exp":%%s,"iss":"authsvc",'
               '"nbf":%%s,"sub":"u%%s"},"v":1}',
               u, p, repeat('k', 43), substr(md5(n::text), 1, 11), (extract(epoch FROM moment) * 1000000)::bigint,
               extract(epoch FROM moment)::bigint + 300, extract(epoch FROM moment)::bigint, u
           ), 'UTF8'
       )
FROM (
    SELECT n, (n::bigint * 7919) %% %(users)s AS u, (n::bigint * 7919) %% %(users)s %% %(projects)s AS p,
           now() - (%(events)s - n) * (interval '1 day' * %(days)s / %(events)s) AS moment
    FROM generate_series(0, %(events)s - 1) AS n
) AS made
"""
_HEAD = """
SELECT b.size, b.revision, b.epoch, e.origin FROM batches b JOIN epochs e ON e.number = b.epoch ORDER BY b.prev DESC LIMIT 1
"""
_BATCH = """
INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)
VALUES (%(size)s, %(after)s, %(events)s, %(root)s, %(frontier)s, %(revision)s, %(epoch)s, %(checkpoint)s)
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
    keys = KeyFolder(folder / "keys").load()
    requests: list[str] = []

    def credentials() -> Iterable[tuple[object, ...]]:
        for user in range(size.asking):
            secret = compose_secret(CredentialKind.PERSONAL, _id(user, "c"), _SECRET)
            requests.append(_request(user, user % size.projects, secret.text, service))
            stored = keys.digest.digest(secret.text, purpose="credential")
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
        _fill_log(connection, size, make_seal(keys))
    with psycopg.connect(Cluster(folder).url(ClusterRole.SUPERUSER), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return requests


def _fill_log(connection: psycopg.Connection[tuple[Any, ...]], size: Population, seal: Seal) -> None:
    """Append events in one batch, whose root is signed and is not their tree's: making 10^7 leaves would take an hour."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOG_LOCK])  # workers may still be starting
    head = connection.execute(_HEAD).fetchone()
    assert head is not None
    start, revision, epoch, origin = head
    after, root = start + size.events, hashlib.sha256(b"bench").digest()
    connection.execute(
        _EVENTS,
        {
            "size": start,
            "events": size.events,
            "users": size.users,
            "projects": size.projects,
            "days": _SPAN_DAYS,
        },
    )
    connection.execute(
        _BATCH,
        {
            "size": start,
            "after": after,
            "events": size.events,
            "root": root,
            "frontier": root * after.bit_count(),
            "revision": revision,
            "epoch": epoch,
            "checkpoint": seal(Checkpoint(origin=origin, size=after, root=root)),
        },
    )


def _copy(
    connection: psycopg.Connection[tuple[Any, ...]], table: str, rows: Iterable[tuple[object, ...]]
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
