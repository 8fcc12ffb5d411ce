"""Passwords at rest: argon2id through passlib's CryptContext (the `libpass` distribution), in a bounded pool of threads."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passlib.context import CryptContext

from authsvc.core.errors import ThrottledError
from authsvc.core.password import MAX_PASSWORD_BYTES, normal_password

_T = TypeVar("_T")

NICENESS = 19
WAITING_PER_SLOT = 16
RETRY_AFTER = 2


class PasswordHasher:
    """Hashes and verifies beside the event loop; both release the interpreter's lock while they compute.

    At most `slots` run and 16 × `slots` wait, so memory is bounded by slots × 19 MiB; who finds it full gets ThrottledError.
    """

    def __init__(self, *, slots: int) -> None:
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__time_cost=2,
            argon2__memory_cost=19_456,
            argon2__parallelism=1,
        )
        # What an unknown user's password is verified against, so that it costs the same; nobody knows a password for it.
        self._nobody = str(self._context.hash("nobody"))
        self._executor = ThreadPoolExecutor(slots, thread_name_prefix="hash", initializer=_step_back)
        self._limit = slots * (WAITING_PER_SLOT + 1)
        self._busy = 0

    @property
    def capacity(self) -> int:
        """Return how many computations may run or wait."""
        return self._limit

    @property
    def busy(self) -> int:
        """Return how many computations run or wait."""
        return self._busy

    async def hash(self, password: str) -> str:
        """Return the hash to store; raises ThrottledError when too many wait."""
        return await self._compute(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Say whether `password` is the one hashed; `stored` None costs the same and is never right."""
        right = await self._compute(self._verify, password, self._nobody if stored is None else stored)
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with less work than one made now, and is to be made again when the password is known."""
        return bool(self._context.needs_update(stored))

    def close(self) -> None:
        """Stop the threads once they are done."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _compute(self, work: Callable[..., _T], *arguments: str) -> _T:
        if self._busy >= self._limit:
            raise ThrottledError(RETRY_AFTER)
        self._busy += 1
        computing = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        computing.add_done_callback(self._done)
        # Shielded: a caller that gives up must not make room for more than the threads can do.
        return await asyncio.shield(computing)

    def _done(self, computing: "asyncio.Future[_T]") -> None:
        self._busy -= 1
        if not computing.cancelled():
            computing.exception()

    def _hash(self, password: str) -> str:
        return str(self._context.hash(normal_password(password)))

    def _verify(self, password: str, stored: str) -> bool:
        # Cut where none is set that is longer, as passlib raises for those; what is cut is wrong all the same.
        tried = normal_password(password)
        right = self._context.verify(tried[:MAX_PASSWORD_BYTES], stored)
        return bool(right) and len(tried) <= MAX_PASSWORD_BYTES


def _step_back() -> None:
    """Let this thread compute when nobody else wants the core: a flood of guesses must not make tokens wait.

    On Linux a priority is a thread's own.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
