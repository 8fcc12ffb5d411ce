"""Attempts counted in memory, so that guessing is slow and nobody can buy disk with requests that come to nothing."""

import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network

from authsvc.core.errors import ThrottledError
from authsvc.core.principal import Address
from authsvc.operations.tally import SLOT_BYTES, Tally

WINDOW = timedelta(minutes=1)
WRONG_PASSWORDS = 20
"""Wrong passwords a minute for one (account, address) before the next is not evaluated."""
FAILURES = 120
"""Refused credentials a minute from one address that are evaluated and logged one by one."""
ANONYMOUS = 240
"""Anonymous tokens a minute from one address that are no repetition of another."""
SCOPES_AS_ONE, BYTES_AS_ONE = 4, 256
REPORTED = 30_000
"""Reported operations a minute under one credential: 500 a second, more than a registry sends, which waits for each answer."""
MAX_COUNTERS = 32_768
"""Keys that each limit counts at a time."""
_LIMITS = 4
THROTTLE_BYTES = _LIMITS * MAX_COUNTERS * SLOT_BYTES
ATTEMPTS_FILE = "attempts"
"""The file below DATA_DIR that workers count in, together."""
MAX_TURNED_AWAY = 50_000

_IPV6_PREFIX = 64


class Attempts:
    """Counts what was tried, by a typed key, up to a limit."""

    def __init__(self, limit: int, tally: Tally) -> None:
        self._limit = limit
        self._tally = tally

    def is_over(self, key: tuple[str, str], now: datetime) -> int:
        """Return the seconds to wait when `key` is over its limit, else 0."""
        count, left = self._tally.look(key, now)
        return 0 if count < self._limit else max(1, int(left))

    def count(
        self, key: tuple[str, str], now: datetime, *, fingerprint: bytes | None = None, weight: int = 1
    ) -> None:
        """Count one attempt; one with a fingerprint counts once a window, as a client's single try may be two requests."""
        if fingerprint is not None:
            once = (*key, fingerprint.hex())
            if self._tally.look(once, now)[0]:
                return
            self._tally.add(once, now)
        self._tally.add(key, now, weight)


class Throttle:
    """Every limit on attempts, and how many requests were turned away since the log was last told.

    `memory` is THROTTLE_BYTES that workers share, with their common `key`; None keeps both to this process.
    """

    def __init__(self, memory: memoryview | None = None, key: bytes | None = None) -> None:
        memory = memoryview(bytearray(THROTTLE_BYTES)) if memory is None else memory
        key = secrets.token_bytes(32) if key is None else key
        part = THROTTLE_BYTES // _LIMITS
        passwords, failures, anonymous, reported = (
            Tally(memory[at * part : (at + 1) * part], key=key, window=WINDOW) for at in range(_LIMITS)
        )
        self.passwords = Attempts(WRONG_PASSWORDS, passwords)
        self.failures = Attempts(FAILURES, failures)
        self.anonymous = Attempts(ANONYMOUS, anonymous)
        self.reported = Attempts(REPORTED, reported)
        self._turned_away: OrderedDict[tuple[str, str], int] = OrderedDict()

    def check_passwords(self, attempt: tuple[str, str], now: datetime) -> None:
        """Raise ThrottledError when an (account, address) has had enough wrong passwords lately."""
        self._check(self.passwords, attempt, now, ("password", attempt[1]))

    def check_failures(self, key: tuple[str, str], now: datetime) -> None:
        """Raise ThrottledError when `key` has had enough refused credentials lately."""
        self._check(self.failures, key, now, key)

    def admit_anonymous(self, key: tuple[str, str], now: datetime, *, scopes: int, size: int) -> None:
        """Count an anonymous request that needs an event of its own, a large one as several, as disk is what is protected.

        Raises ThrottledError when there were too many.
        """
        self._check(self.anonymous, key, now, key)
        self.anonymous.count(key, now, weight=1 + scopes // SCOPES_AS_ONE + size // BYTES_AS_ONE)

    def check_reported(self, credential: str, now: datetime, *, address: str) -> None:
        """Raise ThrottledError when a credential has reported enough lately: a stolen one must not fill the disk."""
        self._check(self.reported, ("reported", credential), now, ("reported", address))

    def count_reported(self, credential: str, now: datetime, *, weight: int) -> None:
        """Count what a credential reports."""
        self.reported.count(("reported", credential), now, weight=weight)

    def _check(self, attempts: Attempts, key: tuple[str, str], now: datetime, told: tuple[str, str]) -> None:
        wait = attempts.is_over(key, now)
        if wait:
            self.turn_away(*told)
            raise ThrottledError(wait)

    def turn_away(self, what: str, address: str, count: int = 1) -> None:
        """Note requests that were refused before they were evaluated; the log hears of them by the minute, as a number.

        Beyond so many addresses the rest is counted together, under none.
        """
        key = (what, address)
        if key not in self._turned_away and len(self._turned_away) >= MAX_TURNED_AWAY:
            key = (what, "")
        self._turned_away[key] = self._turned_away.get(key, 0) + count

    def take_turned_away(self, most: int, *, rest: bool = False) -> list[tuple[str, str, int]]:
        """Return and forget up to `most` of the noted (what, address, count); with `rest`, all others too, under no address."""
        taken: list[tuple[str, str, int]] = []
        while self._turned_away and len(taken) < most:
            (what, address), count = self._turned_away.popitem(last=False)
            taken.append((what, address, count))
        others: dict[str, int] = {}
        while rest and self._turned_away:
            (what, _), count = self._turned_away.popitem()
            others[what] = others.get(what, 0) + count
        return taken + [(what, "", count) for what, count in others.items()]


def address_key(address: Address | None) -> str:
    """Return what attempts are counted under: an IPv4 address, or the /64 that an IPv6 host commands."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return "" if address is None else str(address)
