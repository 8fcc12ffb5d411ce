"""What a process keeps in memory of requests stays within its bounds, and goes when its time is over."""

from datetime import timedelta

import pytest

from authsvc.operations import remember, remember_prepared, share_anonymous
from authsvc.operations.deps import Deps
from authsvc.operations.remember import REMEMBERED_FOR, Remembered
from authsvc.operations.remember_prepared import MAX_VERDICTS
from authsvc.operations.share_anonymous import SHARED_FOR, SharedKey, SharedToken, SharedTokens
from tests.clock import Clock
from tests.world import World

SECOND = timedelta(seconds=1)


def test_fingerprints_go_when_their_time_is_over(clock: Clock) -> None:
    """A fingerprint takes no memory once it is no longer remembered and another is added."""
    remembered = Remembered()
    for number in range(100):
        remembered.add(number.to_bytes(32, "big"), clock())
    clock.advance(REMEMBERED_FOR)
    remembered.add(b"new", clock())
    assert len(remembered._until) == 1
    assert remembered.holds(b"new", clock())


def test_fingerprints_are_so_many(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many fingerprints the newest stay."""
    monkeypatch.setattr(remember, "MAX_REMEMBERED", 10)
    remembered = Remembered()
    for number in range(100):
        remembered.add(bytes([number]), clock())
    assert [number for number in range(100) if remembered.holds(bytes([number]), clock())] == [
        *range(90, 100)
    ]


def _share(tokens: SharedTokens, name: str, clock: Clock) -> SharedKey:
    key = SharedKey("192.0.2.1", name, ())
    tokens.add(key, SharedToken("token", (), 0, clock(), clock() + timedelta(hours=1)))
    return key


def test_shared_tokens_go_when_their_time_is_over(clock: Clock) -> None:
    """An anonymous token takes no memory once it is no longer shared and another is added; one that still is stays."""
    tokens = SharedTokens()
    for number in range(100):
        _share(tokens, str(number), clock)
    clock.advance(SHARED_FOR - SECOND)
    young = _share(tokens, "young", clock)
    clock.advance(SECOND)
    new = _share(tokens, "new", clock)
    assert list(tokens._tokens) == [young, new]
    assert tokens.find(young, clock()) is not None


def test_shared_tokens_are_so_many(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many anonymous tokens the newest stay."""
    monkeypatch.setattr(share_anonymous, "MAX_SHARED", 10)
    tokens = SharedTokens()
    keys = [_share(tokens, str(number), clock) for number in range(100)]
    assert list(tokens._tokens) == keys[90:]


async def test_large_requests_are_not_kept(world: World, deps: Deps) -> None:
    """A request of many actions is decided each time it comes, as keeping it would take the room of many; usual ones are kept."""
    await world.add_user("alice")
    usual = "repository:acme/app:pull,push"
    assert (await world.ask_as("alice", usual)).status_code == 200
    assert [key.scopes for key in deps.prepared._kept] == [(usual,)]
    large = "repository:acme/app:" + ",".join("a" * n for n in range(1, MAX_VERDICTS + 2))
    assert (await world.ask_as("alice", large)).status_code == 200
    assert (await world.ask_as("alice", *(f"repository:a/{n}:pull" for n in range(13)))).status_code == 200
    assert [key.scopes for key in deps.prepared._kept] == [(usual,)]


async def test_kept_requests_are_so_many(world: World, deps: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many requests those stay that came last."""
    monkeypatch.setattr(remember_prepared, "MAX_PREPARED", 5)
    await world.add_user("alice")
    for number in range(20):
        assert (await world.ask_as("alice", f"repository:acme/{number}:pull")).status_code == 200
    assert [key.scopes for key in deps.prepared._kept] == [
        (f"repository:acme/{n}:pull",) for n in range(15, 20)
    ]
