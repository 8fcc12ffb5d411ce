"""A log of any size, as the service would have written it: policy, decisions by the rule, signed batches; the same for a seed.

`python -m bench.generate_log --dsn URI --keys DIR --events N` fills the empty log of a migrated database as its application role.
Only the log is written, not the tables of policy: verification and queries read nothing else.
"""

import argparse
import asyncio
import itertools
import random
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import psycopg

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.postgres.log import (
    EMPTY_HEAD,
    Batch,
    Epoch,
    Line,
    Seal,
    compose_batch,
    compose_line,
    open_epoch,
)
from authsvc.adapters.postgres.selftest import ensure_partitions
from authsvc.core.canonical import Json
from authsvc.core.claims import make_claims
from authsvc.core.credential import CredentialKind
from authsvc.core.decide import RULE_VERSION, Circumstances
from authsvc.core.event import Event, Requester, Thing, TokenIssued, policy_event
from authsvc.core.kind import Kind, Outcome
from authsvc.core.permission import BUILT_IN_ROLES, DEVELOPER, READER
from authsvc.core.principal import SYSTEM, Binding, Principal, PrincipalKind, Snapshot, Visibility
from authsvc.core.records import (
    BindingRecord,
    CredentialRecord,
    KeyRecord,
    KeyState,
    ProjectRecord,
    RobotRecord,
    RoleRecord,
    ServiceRecord,
    Subject,
)
from authsvc.core.repository import EVERYTHING
from authsvc.core.scope import Scope
from authsvc.core.service import Algorithm, Service
from authsvc.operations.decide_scopes import Decision, decide_scopes
from authsvc.wiring import make_seal

SERVICE = Service("registry.bench", "authsvc")
KEY = "BENC:HKEY"
AGENTS = (
    "docker/28.0.1 go/go1.23.5 os/linux arch/amd64",
    "containerd/v2.0.2",
    "skopeo/1.18.0",
    "curl/8.14.1",
)
REFUSED_EVERY = 50
DAYS = 28
RUNNERS = 4
"""Machines that a robot asks from, each as often."""
IMAGES = (12, 6, 4, 3)
"""How often a robot asks for each of its repositories: by Zipf's law."""
ASKING_TOO_MUCH = 20
"""Of so many robots that may pull, one asks to push as well, and is refused that."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the log holds: `events` in all, decisions by `principals` robots that are chosen by Zipf's law, `batch` a commit.

    A robot asks as a deployment does, over and over: for what its role lets it do, from one of its few machines, mostly for the
    same image. So seven of ten decisions are like an earlier one but for their times; the rest are of rare robots.
    """

    events: int
    seed: int = 1
    principals: int = 10_000
    projects: int = 1_000
    batch: int = 32
    policy_every: int = 5_000
    """A change of policy after so many decisions."""


@dataclass(slots=True)
class _Robot:
    principal: Principal
    project: str
    credential: str
    binding: Binding
    actions: tuple[str, ...]
    address: int
    agent: str
    decisions: dict[Scope, Decision] = field(default_factory=dict)


class _World:
    """Makes the events, one after another, at times that grow."""

    def __init__(self, shape: Shape, start: datetime) -> None:
        self.pick = random.Random(shape.seed)
        self.shape = shape
        self.now = start
        self.step = timedelta(days=DAYS) / max(shape.events, 1)
        self.by = Requester(SYSTEM)
        self.written = 0
        self.revision = -1

    def events(self) -> Iterator[Event]:
        """Yield the policy first, then decisions with a change among them now and then."""
        robots = yield from self._policy()
        weights = list(itertools.accumulate(1 / rank for rank in range(1, len(robots) + 1)))
        for number in itertools.count(1):
            if number % self.shape.policy_every == 0:
                yield self._event(
                    Kind.PROJECT_CHANGED, ProjectRecord(self._id(), robots[-1].project, self.now)
                )
                continue
            robot = robots[self.pick.choices(range(len(robots)), cum_weights=weights)[0]]
            yield self._refusal(robot) if number % REFUSED_EVERY == 0 else self._issue(robot)

    def _tick(self) -> datetime:
        self.written += 1
        self.now += self.step
        return self.now

    def _id(self) -> str:
        return "".join(self.pick.choices("abcdefghijklmnopqrstuvwxyz234567", k=16))

    def _nonce(self) -> str:
        return f"{self.pick.getrandbits(62):011x}"[:11]

    def _event(
        self,
        kind: Kind,
        record: BindingRecord
        | CredentialRecord
        | KeyRecord
        | ProjectRecord
        | RobotRecord
        | RoleRecord
        | ServiceRecord,
    ) -> Event:
        if kind.moves_policy:
            self.revision = self.written
        return policy_event(
            kind,
            time=self._tick(),
            nonce=self._nonce(),
            by=self.by,
            state=record.state(),
            things=[Thing("bench", "bench")],
            rule=RULE_VERSION,
        )

    def _policy(self) -> Generator[Event, None, list[_Robot]]:
        for role in BUILT_IN_ROLES:
            yield self._event(
                Kind.ROLE_CREATED, RoleRecord(role.name, tuple(role.permissions), self.now, built_in=True)
            )
        yield self._event(Kind.SERVICE_CREATED, ServiceRecord(SERVICE, self.now))
        key = KeyRecord(
            KEY, Algorithm.ES256, "", "certificate", KeyState.ACTIVE, self.now, self.now + timedelta(days=999)
        )
        yield self._event(Kind.KEY_CREATED, key)
        projects = [f"project-{number}" for number in range(self.shape.projects)]
        for name in projects:
            yield self._event(Kind.PROJECT_CREATED, ProjectRecord(self._id(), name, self.now))
        robots = []
        for number in range(self.shape.principals):
            robot = yield from self._robot(projects[number % len(projects)], f"ci-{number}")
            robots.append(robot)
        return robots

    def _robot(self, project: str, name: str) -> Generator[Event, None, _Robot]:
        record = RobotRecord(self._id(), project, name, self.now)
        principal = Principal(PrincipalKind.ROBOT, record.id, record.subject)
        role = self.pick.choice((READER, DEVELOPER))
        subject = Subject("robot", record.id, record.subject)
        binding = BindingRecord(self._id(), role.name, subject, project, self.now, (EVERYTHING,))
        secret = CredentialRecord(self._id(), CredentialKind.ROBOT, principal, self.now, b"", slot=1)
        yield self._event(Kind.ROBOT_CREATED, record)
        yield self._event(Kind.BINDING_CREATED, binding)
        yield self._event(Kind.CREDENTIAL_CREATED, secret)
        address, agent = 0x0A000000 + self.pick.randrange(2**20), self.pick.choice(AGENTS)
        pushes = role is DEVELOPER or self.pick.randrange(ASKING_TOO_MUCH) == 0
        bound, actions = Binding(binding.id, role, project), ("pull", "push") if pushes else ("pull",)
        return _Robot(principal, project, secret.id, bound, actions, address, agent)

    def _by(self, robot: _Robot) -> Requester:
        return Requester(
            robot.principal,
            str(IPv4Address(robot.address + self.pick.randrange(RUNNERS))),
            agent=robot.agent,
            credential_kind="robot",
            credential_id=robot.credential,
        )

    def _refusal(self, robot: _Robot) -> Event:
        body = {"service": SERVICE.name, "reason": "bad_secret", "asked": ["repository:acme/app:pull"]}
        return Event(Kind.TOKEN_REFUSED, self._tick(), self._nonce(), self._by(robot), Outcome.REFUSED, body)

    def _issue(self, robot: _Robot) -> TokenIssued:
        now = self._tick()
        (app,) = self.pick.choices(range(len(IMAGES)), weights=IMAGES)
        scope = Scope("repository", f"{robot.project}/app-{app}", robot.actions)
        decision = robot.decisions.get(scope)
        if decision is None:
            snapshot = Snapshot(
                robot.principal, (robot.binding,), projects={robot.project: Visibility.PRIVATE}
            )
            circumstances = Circumstances(SERVICE.name, None, now)
            decision = decide_scopes(snapshot, [scope], service=SERVICE, circumstances=circumstances)
            robot.decisions[scope] = decision
        claims = make_claims(
            service=SERVICE,
            audience=SERVICE.name,
            subject=robot.principal.name,
            now=now,
            expires_at=now + timedelta(seconds=SERVICE.token_ttl_seconds),
            access=decision.access,
        )
        body: dict[str, Json] = {
            "rule": RULE_VERSION,
            "revision": self.revision,
            "service": SERVICE.name,
            "key": KEY,
            "token": claims.entry(),
            "grants": decision.described,
        }
        by, nonce = self._by(robot), self._nonce()
        return TokenIssued(
            Kind.TOKEN_ISSUED, now, nonce, by, decision.outcome, body, claims=claims, index=decision.index
        )


def generate_events(shape: Shape, *, start: datetime) -> Iterator[Event]:
    """Yield the events of a log, the first at `start` and the last 28 days later."""
    return itertools.islice(_World(shape, start).events(), shape.events)


def compose_batches(events: Iterable[Event], *, size: int, epoch: Epoch, seal: Seal) -> Iterator[Batch]:
    """Yield the events as batches of `size`, each signed."""
    head, remaining = EMPTY_HEAD, iter(events)
    while lines := [compose_line(event) for event in itertools.islice(remaining, size)]:
        batch = compose_batch(head, lines, epoch=epoch, seal=seal)
        head = batch.after
        yield batch


def write_batches(dsn: str, batches: Iterable[Batch], epoch: Epoch) -> int:
    """Copy batches into the empty log of a database; return the number of entries."""
    written = 0
    with psycopg.connect(dsn) as connection, psycopg.connect(dsn) as other:
        with (
            connection.cursor().copy(_COPY_LOG) as log,
            other.cursor().copy(_COPY_BATCHES) as rows,
        ):
            log.set_types(
                ["int8", "timestamptz", "text", "text", "text", "text[]", "text[]", "text[]", "inet", "bytea"]
            )
            rows.set_types(["int8", "int8", "int4", "bytea", "bytea", "int8", "int4", "text"])
            for batch in batches:
                for seq, line in enumerate(batch.lines, start=batch.prev):
                    log.write_row(_row(seq, line))
                rows.write_row(_batch_row(batch, epoch))
                written += len(batch.lines)
        other.commit()
    return written


_COPY_LOG = (
    "COPY log (seq, time, kind, outcome, actor, projects, repositories, actions, address, entry)"
    " FROM STDIN (FORMAT binary)"
)
_COPY_BATCHES = "COPY batches (prev, size, entries, root, frontier, revision, epoch, checkpoint) FROM STDIN (FORMAT binary)"


def _row(seq: int, line: Line) -> tuple[object, ...]:
    index = line.index
    address = None if index.address is None else IPv4Address(index.address)
    arrays = (list(index.projects), list(index.repositories), list(index.actions))
    return (seq, index.time, index.kind, index.outcome, index.actor, *arrays, address, line.entry)


def _batch_row(batch: Batch, epoch: Epoch) -> tuple[object, ...]:
    after = batch.after
    tree = (batch.prev, after.size, len(batch.lines), batch.root, after.frontier.to_bytes())
    return (*tree, after.revision, epoch.number, batch.checkpoint)


async def _open(dsn: str, public: bytes) -> Epoch:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        await ensure_partitions(connection)
        return await open_epoch(connection, public=public, name="bench")


def generate_log(dsn: str, keys: Path, shape: Shape) -> int:
    """Fill the empty log of the database at `dsn`, signed with the audit key of the folder `keys`; return its size."""
    loaded = KeyFolder(keys).load()
    seal = make_seal(loaded)
    epoch = asyncio.run(_open(dsn, loaded.audit.public_bytes))
    events = generate_events(shape, start=datetime.now(UTC) - timedelta(days=DAYS))
    return write_batches(dsn, compose_batches(events, size=shape.batch, epoch=epoch, seal=seal), epoch)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.generate_log", description=__doc__)
    parser.add_argument(
        "--dsn", required=True, help="the application role's, of a database with an empty log"
    )
    parser.add_argument("--keys", type=Path, required=True, help="the KEYS_DIR that the log is signed with")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32, help="events a commit")
    given = parser.parse_args()
    shape = Shape(given.events, seed=given.seed, batch=given.batch)
    print(f"{generate_log(given.dsn, given.keys, shape):,} events")


if __name__ == "__main__":
    main()
