"""Verifying a password that is not remembered: once at a time for the same one, and with a share of the queue an address."""

import asyncio
from collections import Counter

from authsvc.adapters.passwords import PasswordHasher
from authsvc.core.errors import ThrottledError

SHARE = 4
"""One address holds at most this part of the hashing queue, so that a flood from one leaves room for the others."""
RETRY_AFTER = 2


class PasswordChecks:
    """The verifications that run now, by the fingerprint of what they verify."""

    def __init__(self) -> None:
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._by_address: Counter[str] = Counter()

    async def verify(
        self, hasher: PasswordHasher, fingerprint: bytes, *, password: str, stored: str | None, address: str
    ) -> bool:
        """Say whether `password` is the one hashed; a thousand jobs that start with the same one wait for one computation.

        Raises ThrottledError when the queue, or the address's share of it, is full.
        """
        running = self._running.get(fingerprint)
        if running is None:
            if self._by_address[address] >= max(1, hasher.capacity // SHARE):
                raise ThrottledError(RETRY_AFTER)
            running = asyncio.ensure_future(hasher.verify(password, stored))
            self._running[fingerprint] = running
            self._by_address[address] += 1
            running.add_done_callback(lambda done: self._done(fingerprint, address, done))
        return await asyncio.shield(running)

    def _done(self, fingerprint: bytes, address: str, done: asyncio.Task[bool]) -> None:
        del self._running[fingerprint]
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if not done.cancelled():
            done.exception()  # its waiters have it; without any it is nobody's
