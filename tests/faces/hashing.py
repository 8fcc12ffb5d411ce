"""A hasher that counts, for what must not depend on a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from authsvc.adapters.passwords import PasswordHasher
from authsvc.operations.remember import Remembered
from authsvc.operations.throttle import Throttle
from tests.faces.realm import Realm


class CountingHasher(PasswordHasher):
    """Knows nobody's password, at once, and counts how often it was asked, and about how many stored hashes."""

    def __init__(self) -> None:
        super().__init__(slots=1)
        self.known = self.unknown = 0

    @property
    def asked(self) -> int:
        """Return how many passwords were evaluated."""
        return self.known + self.unknown

    async def verify(self, password: str, stored: str | None) -> bool:
        """Count."""
        self.known += stored is not None
        self.unknown += stored is None
        return False


@asynccontextmanager
async def counting(realm: Realm) -> AsyncIterator[tuple[httpx.AsyncClient, CountingHasher]]:
    """Serve the endpoint over a hasher that counts, with throttles and memories of its own."""
    hasher = CountingHasher()
    deps = replace(
        realm.deps, hasher=hasher, throttle=Throttle(),
        right_passwords=Remembered(), wrong_passwords=Remembered(),
    )  # fmt: skip
    async with realm.over(deps) as client:
        yield client, hasher
    hasher.close()
