"""Policy in memory, at one policy revision (DESIGN 7): what the hot path reads instead of the database.

Nothing here makes a grant fresh: the journal does, as it refuses every event that rests on an older revision than its own. This
only has to be honest about the revision of what it answers.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from authsvc.adapters.postgres.deadline import finish_within
from authsvc.adapters.postgres.known import Basis, Known
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.policy import (
    NOBODY,
    PrincipalPolicy,
    User,
    find_active_key,
    find_credential,
    find_only_service,
    find_principal_policy,
    find_service,
    find_user,
    find_visibility,
    list_changed_things,
    read_revision,
)
from authsvc.core.credential import Credential
from authsvc.core.event import Thing
from authsvc.core.names import user_key
from authsvc.core.principal import Principal, PrincipalKind, Visibility
from authsvc.core.service import Algorithm, Service

_T = TypeVar("_T")

MAX_WEIGHT = 80_000
"""Of everything remembered: an answer weighs 1, and 1 more for each binding and limit in it, 1,200 bytes at the most."""
MAX_REPLAY = 50_000
"""Entries of the log that a catch-up looks through; when policy is further behind, everything is forgotten instead."""
MAX_CHANGED = 100_000
"""Things that it is remembered of when they changed last; what rests on a time before that of the oldest is forgotten."""
LOAD_SECONDS = 4.0
_NUL = "\0"
"""Postgres' text cannot hold it: asking for a name with one would be an error of the database, and nothing is called so."""

Reading = Callable[[], AbstractAsyncContextManager[Connection]]


class _Question(IntEnum):
    CREDENTIAL = 1
    USER = 2
    PRINCIPAL = 3
    PROJECT = 4
    SERVICE = 5
    KEY = 6


class _Key(NamedTuple):
    """INVARIANT: a typed tuple, never a string put together: keys that collide are wrong grants."""

    question: _Question
    name: str
    kind: PrincipalKind | Algorithm | None = None


class PolicyMemory:
    """Answers the questions of `policy.py` from memory; loads what it does not know, each thing once at a time."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._known: OrderedDict[_Key, Known[Any]] = OrderedDict()
        self._weight = 0
        self._loading: dict[_Key, asyncio.Future[Known[Any]]] = {}
        self._revision = -1
        self._changed: OrderedDict[Thing, int] = OrderedDict()
        """The revision up to which a thing changed, the oldest first."""
        self._floor = -1
        self._catching_up = asyncio.Lock()

    @property
    def revision(self) -> int:
        """Return the policy revision that this process has caught up with."""
        return self._revision

    def is_current(self, basis: Basis) -> bool:
        """Say whether what rests on `basis` is valid at `revision` too: nothing of it has changed since.

        So a change costs what it names, and not what is remembered: a role that a hundred thousand have is one thing.
        """
        since, changed = basis.revision, self._changed
        if since >= self._revision:
            return True
        return since >= self._floor and all(changed.get(thing, -1) <= since for thing in basis.depends)

    async def credential(self, id_: str) -> Known[Credential | None]:
        """Return a machine credential; the absence of one is never remembered, as creating one moves no revision."""
        return await self._ask(_Key(_Question.CREDENTIAL, id_), lambda c: find_credential(c, id_))

    async def user(self, name: str) -> Known[User | None]:
        """Return a user by name, whatever its case."""
        key = user_key(name)
        if _NUL in key:
            return Known(None, self._revision)
        return await self._ask(_Key(_Question.USER, key), lambda c: find_user(c, key))

    async def principal_policy(self, principal: Principal) -> Known[PrincipalPolicy]:
        """Return what is bound to a principal; nothing ever is to anonymous."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return Known(NOBODY, self._revision)
        key = _Key(_Question.PRINCIPAL, principal.id, principal.kind)
        return await self._ask(key, lambda c: find_principal_policy(c, principal))

    async def visibility(self, project: str) -> Known[Visibility | None]:
        """Return a project's visibility, None when there is no such project."""
        return await self._ask(_Key(_Question.PROJECT, project), lambda c: find_visibility(c, project))

    async def service(self, name: str) -> Known[Service | None]:
        """Return the service of an audience; an empty name asks for the only service there is."""
        if not name:
            return await self._ask(_Key(_Question.SERVICE, ""), find_only_service)
        if _NUL in name:
            return Known(None, self._revision)
        return await self._ask(_Key(_Question.SERVICE, name), lambda c: find_service(c, name))

    async def active_key(self, algorithm: Algorithm, label: str) -> Known[str | None]:
        """Return the id of the key that signs for services of this algorithm and label (empty: the shared key)."""
        key = _Key(_Question.KEY, label, algorithm)
        return await self._ask(key, lambda c: find_active_key(c, algorithm, label))

    async def refresh(self) -> int:
        """Return the newest policy revision, read now, with everything remembered brought up to it."""
        newest = await finish_within(LOAD_SECONDS, self._read(read_revision))
        await self.catch_up(newest)
        return newest

    async def catch_up(self, newest: int) -> None:
        """Find out what the policy events up to `newest` changed."""
        async with self._catching_up:
            if newest <= self._revision:
                return
            if not self._known or newest - self._revision > MAX_REPLAY:
                self._floor = newest
                self._changed.clear()
            else:
                after = self._revision
                changed = await finish_within(
                    LOAD_SECONDS, self._read(lambda c: list_changed_things(c, after=after, until=newest))
                )
                self._note(changed, newest)
            # Loads that began before this may have read older rows: who asks from now on is not to wait for them.
            self._loading.clear()
            self._revision = newest

    def _note(self, changed: frozenset[Thing], newest: int) -> None:
        for thing in changed:
            self._changed[thing] = newest
            self._changed.move_to_end(thing)
        while len(self._changed) > MAX_CHANGED:
            _, self._floor = self._changed.popitem(last=False)

    async def _ask(self, key: _Key, find: Callable[[Connection], Awaitable[Known[_T]]]) -> Known[_T]:
        known = self._known.get(key)
        if known is not None and self.is_current(known.basis):
            self._known.move_to_end(key)
            if known.revision < self._revision:
                known = self._known[key] = Known(known.value, self._revision, known.depends)
            return known
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.ensure_future(self._load(key, find))
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        answer: Known[_T] = await asyncio.shield(loading)
        return answer

    async def _load(self, key: _Key, find: Callable[[Connection], Awaitable[Known[_T]]]) -> Known[_T]:
        known = await finish_within(LOAD_SECONDS, self._read(find))
        if known.depends:
            self._keep(key, known)
        return known

    def _keep(self, key: _Key, known: Known[Any]) -> None:
        """Remember an answer, and forget for it what was not asked for the longest."""
        replaced = self._known.pop(key, None)
        self._weight += _weigh(known) - (0 if replaced is None else _weigh(replaced))
        self._known[key] = known
        while self._weight > MAX_WEIGHT:
            _, oldest = self._known.popitem(last=False)
            self._weight -= _weigh(oldest)

    def _loaded(self, key: _Key, done: "asyncio.Future[Known[Any]]") -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()  # its waiters have it; without any it is nobody's

    async def _read(self, find: Callable[[Connection], Awaitable[_T]]) -> _T:
        async with self._reading() as connection:
            return await find(connection)


def _weigh(known: Known[Any]) -> int:
    """Return how much of `MAX_WEIGHT` an answer takes: principals with hundreds of bindings are large."""
    match known.value:
        case PrincipalPolicy(bindings=bindings):
            return 1 + len(bindings)
        case Credential(limits=limits) if limits is not None:
            return 1 + len(limits)
        case _:
            return 1
