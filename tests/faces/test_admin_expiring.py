"""What expires soon, and who is told."""

from datetime import timedelta
from typing import Any

import pytest

from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, World, password_of

Told = list[tuple[str, str]]


@pytest.fixture
async def ending(world: World, clock: Clock) -> World:
    """Two projects with an owner each, a robot of the system, and something that ends on each of the next days."""

    def end(days: int) -> str:
        return (clock() + timedelta(days=days)).isoformat()

    for name in ("acme", "beta"):
        await world.add_project(name)
        await world.add_user(f"{name}-owner")
        await world.bind("owner", "user", f"{name}-owner", name)
    await world.add_user("auditor")
    await world.bind("auditor", "user", "auditor")
    await world.add_robot("acme", "ci", label="nightly", expires_at=end(1))
    await world.bind("reader", "user", "beta-owner", "acme", expires_at=end(2))
    await world.add_robot("beta", "ci", expires_at=end(3))
    await world.add_token("acme-owner", label="laptop", expires_at=end(4))
    await world.bind("scanner", "user", "acme-owner", expires_at=end(5))
    await world.add_robot(None, "root", expires_at=end(6))
    await world.bind("reader", "robot", "system+root", "beta", expires_at=end(40))
    return world


async def told(world: World, by: tuple[str, str], query: str = "") -> Told:
    """Return what somebody is told expires, in order."""
    page = await world.api("GET", f"/expiring{query}", expect=200, by=by)
    return [(item["kind"], item["subject"]["name"]) for item in page["items"]]


EVERYTHING = [
    ("robot_secret", "acme+ci"), ("binding", "beta-owner"), ("robot_secret", "beta+ci"),
    ("personal_access_token", "acme-owner"), ("binding", "acme-owner"), ("robot_secret", "system+root"),
]  # fmt: skip


async def test_everybody_is_told_what_he_may_read(ending: World) -> None:
    """An administrator and an auditor are told everything, an owner what is his project's and his own, a robot nothing."""
    admin = (ADMIN, ADMIN_PASSWORD)
    assert await told(ending, admin) == EVERYTHING
    assert await told(ending, ("auditor", password_of("auditor"))) == EVERYTHING
    assert await told(ending, ("acme-owner", password_of("acme-owner"))) == [
        EVERYTHING[0],
        EVERYTHING[1],
        EVERYTHING[3],
    ]
    # He may read acme too, as a reader reads the project: its bindings and robots with it.
    owner = ("beta-owner", password_of("beta-owner"))
    assert await told(ending, owner) == [EVERYTHING[0], EVERYTHING[1], EVERYTHING[2]]
    secret = await ending.add_robot("acme", "other")
    assert await told(ending, ("acme+other", secret)) == []
    limited = await ending.add_token("acme-owner", scopes=["repository:acme/**:pull"])
    assert await told(ending, ("acme-owner", limited)) == []


async def test_days_are_counted_from_now(ending: World, clock: Clock) -> None:
    """What ends later than asked is left out, and so is what has ended."""
    admin = (ADMIN, ADMIN_PASSWORD)
    assert await told(ending, admin, "?days=2") == EVERYTHING[:2]
    assert await told(ending, admin, "?days=40") == [*EVERYTHING, ("binding", "system+root")]
    clock.advance(timedelta(days=3, seconds=1))
    assert await told(ending, admin) == EVERYTHING[3:]
    for days in ("0", "-1", "x", "4000"):
        await ending.api("GET", f"/expiring?days={days}", expect=422)


async def test_pages_of_what_expires_repeat_and_skip_nothing(ending: World) -> None:
    """However short the pages, together they are the whole list, also where several things end at one moment."""
    whole = await ending.api("GET", "/expiring?days=60", expect=200)
    same = whole["items"][0]["expires_at"]
    for number in range(3):
        await ending.add_token("beta-owner", label=str(number), expires_at=same)
    whole = await ending.api("GET", "/expiring?days=60", expect=200)
    for limit in (1, 2, 3):
        items: list[dict[str, Any]] = []
        path: str | None = f"/expiring?days=60&limit={limit}"
        while path is not None:
            page = await ending.api("GET", path, expect=200)
            items += page["items"]
            following = page["next_cursor"]
            path = None if following is None else f"/expiring?days=60&limit={limit}&cursor={following}"
        assert items == whole["items"]


async def test_each_kind_says_what_ends(ending: World) -> None:
    """A binding names its role, a credential its label, and all the project and the end."""
    items = (await ending.api("GET", "/expiring", expect=200))["items"]
    first = {**items[0], "id": "", "expires_at": ""}
    assert first == {
        "kind": "robot_secret", "id": "", "subject": {"kind": "robot", "name": "acme+ci"}, "project": "acme",
        "role": None, "label": "nightly", "expires_at": "", "last_used_at": None, "last_used_address": None,
    }  # fmt: skip
    assert [(item["role"], item["label"], item["project"]) for item in items[1:5]] == [
        ("reader", None, "acme"), (None, "", "beta"), (None, "laptop", None), ("scanner", None, None),
    ]  # fmt: skip
