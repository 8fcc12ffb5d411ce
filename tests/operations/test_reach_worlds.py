"""forward_and_reverse_agree, through Postgres: explain and who-can against each other and the oracle, over generated worlds."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from random import Random
from typing import Any

import psycopg

from authsvc.faces.cli.console import at_console
from authsvc.operations.deps import Deps
from authsvc.operations.explain import Question, explain
from authsvc.operations.page import MAX_LIMIT, Asked
from authsvc.operations.who_can import Sought, who_can
from tests.clock import Clock
from tests.core import oracle
from tests.core.oracle import Binding, World
from tests.core.worlds import (
    ACTIONS,
    ADDRESSES,
    CIDRS,
    NOW,
    OFTEN,
    PATTERNS,
    PERMISSIONS,
    PROJECTS,
    SELDOM,
    SERVICES,
)

WORLDS = 1000 if os.environ.get("CAMPAIGN") == "full" else 100
ASKS = 4
USERS = {"alice": "a", "bob": "b", "carol": "c"}
ROBOTS = {"acme+ci": "d", "system+scan": "e"}
GROUPS = {"devs": "f", "ops": "g"}
VISIBILITIES = ("private", "private", "internal", "public", None)
BOUNDS = (None, None, None, NOW - 1, NOW, NOW + 1)


@dataclass(frozen=True)
class Bound:
    """A binding with its subject, and its place among the world's."""

    number: int
    subject: str
    plain: Binding


@dataclass(frozen=True)
class Population:
    """A generated world of several principals."""

    projects: dict[str, str]
    members: set[tuple[str, str]]
    disabled: set[str]
    bound: list[Bound]

    def seen_by(self, name: str, address: str, service: str) -> World:
        """The world as the oracle knows it: about one principal, `""` anonymous."""
        groups = {group for group, user in self.members if user == name}
        kind = "anonymous" if not name else "robot" if name in ROBOTS else "user"
        return World(
            principal={"kind": kind, "enabled": name not in self.disabled},
            bindings=[each.plain for each in self.bound if each.subject in {name, *groups} and name],
            projects=self.projects,
            limits=None,
            held=[],
            now=NOW,
            address=address,
            service=service,
        )


def id_of(letter: str) -> str:
    """Return an id of the form that the tables want."""
    return letter * 16


def make(random: Random) -> Population:
    """Return a world whose names, places and conditions collide."""
    visible = {project: random.choice(VISIBILITIES) for project in PROJECTS}
    subjects = [*USERS, *ROBOTS, *GROUPS]
    return Population(
        projects={project: visibility for project, visibility in visible.items() if visibility},
        members={(group, user) for group in GROUPS for user in USERS if random.random() < 0.5},
        disabled={name for name in (*USERS, *ROBOTS) if random.random() < 0.1},
        bound=[
            Bound(number, random.choice(subjects), _binding(random, visible))
            for number in range(random.randint(1, 7))
        ],
    )


def _binding(random: Random, visible: dict[str, str | None]) -> Binding:
    project = random.choice([None, *(name for name in PROJECTS if visible[name])] * 2)
    begin, end = random.choice(BOUNDS), random.choice(BOUNDS)
    services = random.choice([(), (), (), (SERVICES[0],), (SERVICES[1],)])
    return Binding(
        project=project,
        patterns=["**"] if project is None else random.sample(PATTERNS, k=2),
        permissions=frozenset(random.sample(PERMISSIONS, k=random.randint(1, 3))),
        services=frozenset(services),
        cidrs=list(random.choice(CIDRS)),
        not_before=begin if begin is None or end is None or begin < end else None,
        expires_at=end,
    )


def store(connection: psycopg.Connection[Any], population: Population, start: datetime) -> None:
    """Write the world into empty tables."""

    def time(seconds: int | None) -> datetime | None:
        return None if seconds is None else start + timedelta(seconds=seconds - NOW)

    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM bindings; DELETE FROM roles WHERE NOT built_in; DELETE FROM projects")
        cursor.execute("DELETE FROM groups; DELETE FROM robots; DELETE FROM users")
        ids = {name: id_of("hij"[at]) for at, name in enumerate(population.projects)}
        for name, visibility in population.projects.items():
            cursor.execute(
                "INSERT INTO projects (id, name, visibility, created_at) VALUES (%s, %s, %s, %s)",
                [ids[name], name, visibility, start],
            )
        for name, letter in USERS.items():
            cursor.execute(
                "INSERT INTO users (id, name, name_key, disabled, created_at) VALUES (%s, %s, %s, %s, %s)",
                [id_of(letter), name, name, name in population.disabled, start],
            )
        for subject, letter in ROBOTS.items():
            cursor.execute(
                "INSERT INTO robots (id, name, subject, disabled, created_at) VALUES (%s, %s, %s, %s, %s)",
                [id_of(letter), subject.partition("+")[2], subject, subject in population.disabled, start],
            )
        for name, letter in GROUPS.items():
            cursor.execute(
                "INSERT INTO groups (id, name, created_at) VALUES (%s, %s, %s)", [id_of(letter), name, start]
            )
        for group, user in population.members:
            cursor.execute(
                "INSERT INTO group_members VALUES (%s, %s)", [id_of(GROUPS[group]), id_of(USERS[user])]
            )
        for each in population.bound:
            plain, letter = each.plain, "klmnopq"[each.number]
            cursor.execute(
                "INSERT INTO roles (name, permissions, created_at) VALUES (%s, %s, %s)",
                [letter, sorted(plain["permissions"]), start],
            )
            holders = [
                id_of(named[each.subject]) if each.subject in named else None
                for named in (USERS, GROUPS, ROBOTS)
            ]
            cursor.execute(
                "INSERT INTO bindings (id, role, user_id, group_id, robot_id, project_id, repositories, services, cidrs,"
                " not_before, expires_at, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::cidr[], %s, %s, %s)",
                [id_of(letter), letter, *holders, None if plain["project"] is None else ids[plain["project"]],
                 plain["patterns"], sorted(plain["services"]), plain["cidrs"], time(plain["not_before"]),
                 time(plain["expires_at"]), start],
            )  # fmt: skip


async def test_forward_and_reverse_agree(deps: Deps, superuser_url: str, clock: Clock) -> None:
    """In every world explain grants somebody an action where who-can names him, with that binding, and the oracle grants it."""
    random, granted, start = Random(3), 0, clock()
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for service in SERVICES:
            connection.execute(
                "INSERT INTO services (name, issuer, token_ttl_seconds, created_at) VALUES (%s, 'x', 300, %s)",
                [service, start],
            )
            connection.execute("INSERT INTO service_names VALUES (%s, %s)", [service, service])
        for _ in range(WORLDS):
            population = make(random)
            store(connection, population, start)
            granted += await _compare(deps, population, random)
    assert granted > WORLDS


async def _compare(deps: Deps, population: Population, random: Random) -> int:
    """Return how many grants there were, once both directions and the oracle agree on all of them."""
    actor, granted = at_console(), 0
    address, service = random.choice(ADDRESSES), random.choice(SERVICES)
    asks = [(random.choice([*OFTEN, *SELDOM]), random.choice([*ACTIONS, "*"])) for _ in range(ASKS)]
    reached = []
    for name, action in asks:
        sought = Sought(name, action, service, ip_address(address))
        page = await who_can(deps, actor, sought, Asked(limit=MAX_LIMIT))
        assert page.next_after is None
        reached.append(page.items)
    for who in ("", *USERS, *ROBOTS):
        scopes = [f"repository:{name}:{action}" for name, action in asks]
        answers = await explain(deps, actor, Question(who, service, scopes, ip_address(address)))
        world = population.seen_by(who, address, service)
        for (name, action), items, answer in zip(asks, reached, answers, strict=True):
            (verdict,) = [each for each in answer.grant.verdicts if each.action == action]
            mine = [reach.binding for reach in items if reach.binding is not None and reach.name == who]
            door = any(reach.kind == ("authenticated" if who else "anonymous") for reach in items)
            case = (population, who, name, action, verdict, items)
            assert verdict.allowed == bool(mine or (door and who not in population.disabled)), case
            assert verdict.allowed == (
                action in oracle.granted(world, ("repository", name, frozenset({action})))
            ), case
            assert not verdict.allowed or verdict.binding is None or verdict.binding in mine, case
            granted += verdict.allowed
    return granted
