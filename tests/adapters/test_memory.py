"""Policy in memory: it forgets what an event changed, keeps the rest, and never answers with a newer revision than it knows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.adapters.postgres import memory as memory_module
from authsvc.adapters.postgres.known import Known
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.memory import PolicyMemory, _Key, _Question
from authsvc.core.event import Thing
from authsvc.core.principal import ANONYMOUS, Principal, PrincipalKind, Visibility
from authsvc.core.service import Algorithm
from authsvc.operations.deps import Deps
from tests.world import ADMIN, SERVICE, World


class Reads:
    """Counts the connections that a memory borrows, and can hold them back."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.after_read: Callable[[], Awaitable[None]] | None = None

    def __call__(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection."""
        return self._lend()

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[Connection]:
        self.count += 1
        await self.gate.wait()
        async with self._deps.database.hot_read() as connection:
            yield connection
        if self.after_read is not None:
            pause, self.after_read = self.after_read, None
            await pause()


@pytest.fixture
def reads(deps: Deps) -> Reads:
    """Count the reads of this test's memory."""
    return Reads(deps)


@pytest.fixture
async def memory(reads: Reads) -> PolicyMemory:
    """A memory at the newest revision."""
    made = PolicyMemory(reads)
    await made.refresh()
    return made


Answer = Callable[[], Awaitable[Known[Any]]]


async def _is_remembered(reads: Reads, ask: Answer) -> bool:
    """Say whether an answer needs no read."""
    before = reads.count
    await ask()
    return reads.count == before


async def _principal(memory: PolicyMemory, name: str) -> Principal:
    user = (await memory.user(name)).value
    assert user is not None
    return user.principal


async def _robot(memory: PolicyMemory, secret: str) -> Principal:
    credential = (await memory.credential(_id_of(secret))).value
    assert credential is not None
    return credential.owner


def _id_of(secret: str) -> str:
    return secret.split("_")[1][1:]


async def _forgets(memory: PolicyMemory, reads: Reads, ask: Answer, change: Awaitable[Any]) -> Known[Any]:
    """Assert that an answer is remembered until a change, and forgotten after it; return the new one."""
    await ask()
    assert await _is_remembered(reads, ask)
    await change
    newest = await memory.refresh()
    assert not await _is_remembered(reads, ask)
    assert await _is_remembered(reads, ask) or not (await ask()).depends
    answer = await ask()
    assert answer.revision == newest
    return answer


async def test_user_disabled(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """A disabled user's policy is forgotten, and so is what signing in needs."""
    await world.add_user("ann")
    ann = await _principal(memory, "ann")
    await memory.principal_policy(ann)
    change = world.api("PATCH", "/users/ann", {"disabled": True}, expect=200)
    assert not (await _forgets(memory, reads, lambda: memory.principal_policy(ann), change)).value.enabled


async def test_password_changed(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """A change of password changes the version of the user's credentials."""
    await world.add_user("ann")
    before = (await memory.user("ANN")).value
    change = world.api("PUT", "/users/ann/password", {"password": "another-password"}, expect=204)
    after = (await _forgets(memory, reads, lambda: memory.user("Ann"), change)).value
    assert before is not None
    assert after.credential_version == before.credential_version + 1


async def test_membership_and_group_binding(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """A member's policy follows the membership, the group's bindings, and the group's end."""
    await world.add_user("ann")
    await world.add_project("acme")
    await world.api("POST", "/groups", {"name": "dev"}, expect=201)
    ann = await _principal(memory, "ann")

    def ask() -> Awaitable[Known[Any]]:
        return memory.principal_policy(ann)

    await _forgets(memory, reads, ask, world.api("PUT", "/groups/dev/members/ann", expect=204))
    bound = await _forgets(memory, reads, ask, world.bind("reader", "group", "dev", "acme"))
    assert [binding.group for binding in bound.value.bindings] == ["dev"]
    left = await _forgets(memory, reads, ask, world.api("DELETE", "/groups/dev/members/ann", expect=204))
    assert not left.value.bindings
    await _forgets(memory, reads, ask, world.api("PUT", "/groups/dev/members/ann", expect=204))
    gone = await _forgets(memory, reads, ask, world.api("DELETE", "/groups/dev", expect=204))
    assert not gone.value.bindings


async def test_role_changed(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """Whoever is bound to a role is forgotten when the role changes."""
    await world.add_user("ann")
    await world.add_project("acme")
    await world.api("POST", "/roles", {"name": "r", "permissions": ["repository:pull"]}, expect=201)
    await world.bind("r", "user", "ann", "acme")
    ann = await _principal(memory, "ann")
    change = world.api("PATCH", "/roles/r", {"permissions": ["repository:push"]}, expect=200)
    after = await _forgets(memory, reads, lambda: memory.principal_policy(ann), change)
    assert [str(p) for p in after.value.bindings[0].role.permissions] == ["repository:push"]


async def test_project_recreated(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """A new project of an old name has none of the old one's bindings, robots, or visibility."""
    await world.add_user("ann")
    await world.add_project("acme", visibility="public")
    await world.bind("reader", "user", "ann", "acme")
    secret = await world.add_robot("acme", "ci")
    ann, robot = await _principal(memory, "ann"), await _robot(memory, secret)
    questions: list[Answer] = [
        lambda: memory.principal_policy(ann),
        lambda: memory.principal_policy(robot),
        lambda: memory.credential(_id_of(secret)),
        lambda: memory.visibility("acme"),
    ]
    for ask in questions:
        await ask()
    await world.api("DELETE", "/projects/acme", expect=204)
    await world.add_project("acme")
    await memory.refresh()
    assert not (await memory.principal_policy(ann)).value.bindings
    assert not (await memory.principal_policy(robot)).value.exists
    assert (await memory.credential(_id_of(secret))).value is None
    assert (await memory.visibility("acme")).value is Visibility.PRIVATE


async def test_token_revoked_with_its_refresh_tokens(
    memory: PolicyMemory, reads: Reads, world: World
) -> None:
    """A personal access token takes along what was obtained with it."""
    await world.add_user("ann")
    token = await world.add_token("ann")
    answer = await world.ask(by=("ann", token), offline_token="true", client_id="test")
    refresh = answer.json()["refresh_token"]
    await memory.credential(_id_of(token))
    change = world.api("DELETE", f"/users/ann/tokens/{_id_of(token)}", expect=204)
    after = await _forgets(memory, reads, lambda: memory.credential(_id_of(refresh)), change)
    assert after.value is None
    assert (await memory.credential(_id_of(token))).value is None


async def test_service_alias_moved(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """An alias that goes from one service to another is asked for again, and so is the question for the only service."""
    assert (await memory.service("")).value is not None
    second = {"name": "second.test", "aliases": ["alias.test"]}
    only = await _forgets(
        memory, reads, lambda: memory.service(""), world.api("POST", "/services", second, expect=201)
    )
    assert only.value is None

    async def move() -> None:
        await world.api("PATCH", "/services/second.test", {"aliases": []}, expect=200)
        await world.api("PATCH", f"/services/{SERVICE}", {"aliases": ["alias.test"]}, expect=200)

    moved = await _forgets(memory, reads, lambda: memory.service("alias.test"), move())
    assert moved.value.name == SERVICE


async def test_absence_is_remembered_and_forgotten(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """That there is no such project or user is remembered until there is one; of services and credentials it never is."""
    assert (await memory.visibility("acme")).value is None
    assert (await memory.user("ann")).value is None
    for _ in range(2):
        assert not await _is_remembered(reads, lambda: memory.service("new.test"))
    made = await _forgets(memory, reads, lambda: memory.visibility("acme"), world.add_project("acme"))
    assert made.value is Visibility.PRIVATE
    assert (
        await _forgets(memory, reads, lambda: memory.user("ann"), world.add_user("ann"))
    ).value is not None


async def test_absent_credentials_are_never_remembered(
    memory: PolicyMemory, reads: Reads, world: World
) -> None:
    """Creating a credential moves no revision, so that its absence must be asked for each time."""
    for _ in range(3):
        assert not await _is_remembered(reads, lambda: memory.credential("a" * 16))


async def test_unrelated_changes_disturb_nothing(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """What an event does not name stays, and moves up to the new revision."""
    await world.add_user("ann")
    await memory.refresh()
    ann = await _principal(memory, "ann")
    await memory.principal_policy(ann)
    await world.add_user("bob")
    await world.add_project("acme")
    newest = await memory.refresh()
    assert await _is_remembered(reads, lambda: memory.principal_policy(ann))
    assert (await memory.principal_policy(ann)).revision == newest
    assert (await memory.principal_policy(ANONYMOUS)).revision == newest


async def test_the_signing_key_is_known_by_algorithm_and_label(memory: PolicyMemory, reads: Reads) -> None:
    """Keys of other algorithms or labels are other questions."""
    shared = await memory.active_key(Algorithm.ES256, "")
    assert shared.value is not None
    assert not await _is_remembered(reads, lambda: memory.active_key(Algorithm.ES256, "x"))
    assert not await _is_remembered(reads, lambda: memory.active_key(Algorithm.RS256, ""))
    assert await _is_remembered(reads, lambda: memory.active_key(Algorithm.ES256, ""))
    assert (await memory.active_key(Algorithm.ES256, "x")).value is None


async def test_single_flight(memory: PolicyMemory, reads: Reads) -> None:
    """Many who ask the same at once cost one read, and one who goes away takes it from nobody."""
    reads.gate.clear()
    before = reads.count
    asking = [asyncio.create_task(memory.user(ADMIN)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    reads.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert reads.count == before + 1
    assert isinstance(answers[0], asyncio.CancelledError)
    assert len({id(answer) for answer in answers[1:]}) == 1


async def test_a_load_across_a_catch_up_is_not_kept(memory: PolicyMemory, reads: Reads, world: World) -> None:
    """What was read before a change and arrives after the catch-up is answered at its own revision, and forgotten."""
    await world.add_project("acme", visibility="public")
    old = await memory.refresh()

    async def change() -> None:
        await world.api("PATCH", "/projects/acme", {"visibility": "private"}, expect=200)
        await memory.refresh()

    reads.after_read = change
    straddling = await memory.visibility("acme")
    assert (straddling.value, straddling.revision) == (Visibility.PUBLIC, old)
    assert memory.revision > old
    assert (await memory.visibility("acme")).value is Visibility.PRIVATE


async def test_bounded_size(deps: Deps, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory holds so many answers, and forgets the one that was not asked for longest."""
    monkeypatch.setattr(memory_module, "MAX_WEIGHT", 10)
    memory = PolicyMemory(reads)
    await memory.refresh()
    await memory.visibility("first")
    for number in range(30):
        await memory.visibility(f"p{number}")
        assert await _is_remembered(reads, lambda: memory.visibility("first"))
    assert len(memory._known) == 10
    assert not await _is_remembered(reads, lambda: memory.visibility("p3"))


async def test_a_bounded_number_of_changes_is_remembered(
    deps: Deps, reads: Reads, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many changes the newest are remembered; what rests on policy from before the others is forgotten, no more."""
    monkeypatch.setattr(memory_module, "MAX_CHANGED", 3)
    memory = PolicyMemory(reads)
    await memory.refresh()
    await memory.visibility("old")
    await world.add_project("first")
    await memory.refresh()
    await memory.visibility("newer")
    for name in ("p1", "p2", "p3"):
        await world.add_project(name)
        await memory.refresh()
    assert len(memory._changed) == 3
    assert await _is_remembered(reads, lambda: memory.visibility("newer"))
    assert not await _is_remembered(reads, lambda: memory.visibility("old"))


async def test_large_answers_weigh_more(
    deps: Deps, reads: Reads, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be remembered is counted in bindings: of principals with many there are fewer, and one asked again counts once."""
    monkeypatch.setattr(memory_module, "MAX_WEIGHT", 8)
    subjects = []
    for name in ("alice", "bob"):
        await world.add_user(name)
        for number in range(4):
            await world.add_project(f"{name}{number}")
            await world.bind("reader", "user", name, f"{name}{number}")
    memory = PolicyMemory(reads)
    await memory.refresh()
    for name in ("alice", "bob"):
        user = (await memory.user(name)).value
        assert user is not None
        subjects.append(user.principal)
    alice, bob = subjects
    for _ in range(2):
        await memory.principal_policy(alice)
        assert await _is_remembered(reads, lambda: memory.principal_policy(alice))
        await memory.principal_policy(bob)
        assert not await _is_remembered(reads, lambda: memory.principal_policy(alice))
    for name in ("alice", "bob"):
        await world.api("PATCH", f"/users/{name}", {"disabled": True}, expect=200)
        await memory.refresh()
        await memory.principal_policy(alice)
    assert (len(memory._known), memory._weight) == (1, 5)


async def test_too_far_behind_forgets_everything(
    memory: PolicyMemory, reads: Reads, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory that would have to look through too many entries starts afresh, and is right."""
    monkeypatch.setattr(memory_module, "MAX_REPLAY", 1)
    await memory.visibility("acme")
    await world.add_project("acme")
    await world.add_project("other")
    await memory.refresh()
    assert (await memory.visibility("acme")).value is Visibility.PRIVATE


_names = st.text(alphabet="ab/:+*\0é ", max_size=4)
_kinds = st.sampled_from([None, *PrincipalKind, *Algorithm])
_parts = st.tuples(st.sampled_from(_Question), _names, _kinds)


@given(_parts, _parts)
def test_keys_never_collide(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    """Two questions share an answer only when question, name and kind are the same, whatever characters they hold."""
    same = one[:2] == two[:2] and one[2] is two[2]
    assert (len({_Key(*one): 1, _Key(*two): 2}) == 1) == same


@given(st.tuples(_names, _names), st.tuples(_names, _names))
def test_things_never_collide(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Two things are one only when noun and name are."""
    assert (Thing(*one) == Thing(*two)) == (one == two)
