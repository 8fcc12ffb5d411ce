"""Requests that come again are decided anew when, and only when, something changed that they rest on."""

from collections.abc import Awaitable, Callable

import pytest

from authsvc.operations.deps import Deps
from authsvc.operations.remember_prepared import Prepared
from tests.world import World, access_of

SCOPE = "repository:acme/app:pull"

Change = Callable[[World], Awaitable[object]]


def _only(deps: Deps) -> Prepared:
    (prepared,) = deps.prepared._kept.values()
    return prepared


async def _ask(world: World, secret: str) -> list[str]:
    answer = await world.ask(SCOPE, by=("acme+ci", secret))
    return access_of(answer).get("acme/app", [])


async def _build(world: World) -> str:
    await world.add_project("acme")
    secret = await world.add_robot("acme", "ci")
    await world.bind("reader", "robot", "acme+ci", "acme")
    assert await _ask(world, secret) == ["pull"]
    return secret


async def test_what_changes_elsewhere_disturbs_nothing(world: World, deps: Deps) -> None:
    """A change of other things leaves a decision as it was, and the next event rests on the newest policy all the same."""
    secret = await _build(world)
    before = _only(deps)
    await world.add_user("ann")
    await world.add_project("other")
    await world.bind("reader", "user", "ann", "other")
    assert await _ask(world, secret) == ["pull"]
    after = _only(deps)
    assert after.decision is before.decision
    assert after.revision > before.revision
    issued = await world.events(kind="token.issued")
    assert issued[-1][1]["revision"] == after.revision


async def _disable(world: World) -> None:
    await world.api("PATCH", "/projects/acme/robots/ci", {"disabled": True}, expect=200)
    await world.api("PATCH", "/projects/acme/robots/ci", {"disabled": False}, expect=200)


async def _publish(world: World) -> None:
    await world.api("PATCH", "/projects/acme", {"visibility": "internal"}, expect=200)


async def _bind(world: World) -> None:
    await world.bind("developer", "robot", "acme+ci", "acme")


async def _shorten(world: World) -> None:
    await world.api("PATCH", "/services/registry.test", {"token_ttl_seconds": 60}, expect=200)


@pytest.mark.parametrize("change", [_disable, _publish, _bind, _shorten])
async def test_what_it_rests_on_makes_it_new(world: World, deps: Deps, change: Change) -> None:
    """The robot, the project, a binding of it and the service: when one changes, the request is decided anew."""
    secret = await _build(world)
    before = _only(deps)
    await change(world)
    assert await _ask(world, secret) == ["pull"]
    assert _only(deps).decision is not before.decision
