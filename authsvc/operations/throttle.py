"""Attempts counted in memory, so that guessing is slow and nobody can buy disk with requests that come to nothing."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network

from authsvc.core.errors import ThrottledError
from authsvc.core.principal import Address

WINDOW = timedelta(minutes=1)
WRONG_PASSWORDS = 20
"""Wrong passwords a minute for one (account, address) before the next is not evaluated."""
FAILURES = 120
"""Refused credentials a minute from one address that are evaluated and logged one by one."""
ANONYMOUS = 240
"""Anonymous tokens a minute from one address that are no repetition of another."""
SCOPES_AS_ONE, BYTES_AS_ONE = 4, 256
MAX_COUNTERS = 50_000

_IPV6_PREFIX = 64


@dataclass(slots=True)
class _Counter:
    since: datetime
    seen: set[bytes] = field(default_factory=set)
    count: int = 0


class Attempts:
    """Counts what was tried, by a typed key, within fixed windows; the oldest counters are forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counters: OrderedDict[tuple[str, str], _Counter] = OrderedDict()

    def is_over(self, key: tuple[str, str], now: datetime) -> int:
        """Return the seconds to wait when `key` is over its limit, else 0."""
        counter = self._counters.get(key)
        if counter is None or counter.count < self._limit or now - counter.since >= WINDOW:
            return 0
        return max(1, int((counter.since + WINDOW - now).total_seconds()))

    def count(
        self, key: tuple[str, str], now: datetime, *, fingerprint: bytes | None = None, weight: int = 1
    ) -> None:
        """Count one attempt; one with a fingerprint counts once a window, as a client's single try may be two requests."""
        counter = self._counters.get(key)
        if counter is None or now - counter.since >= WINDOW:
            counter = self._counters[key] = _Counter(now)
            self._counters.move_to_end(key)
            if len(self._counters) > MAX_COUNTERS:
                self._counters.popitem(last=False)
        if fingerprint is not None:
            if fingerprint in counter.seen:
                return
            if len(counter.seen) < self._limit:
                counter.seen.add(fingerprint)
        counter.count += weight


@dataclass(slots=True)
class Throttle:
    """Every limit on attempts, and how many requests were turned away since the log was last told."""

    passwords: Attempts = field(default_factory=lambda: Attempts(WRONG_PASSWORDS))
    failures: Attempts = field(default_factory=lambda: Attempts(FAILURES))
    anonymous: Attempts = field(default_factory=lambda: Attempts(ANONYMOUS))
    turned_away: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

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

    def _check(self, attempts: Attempts, key: tuple[str, str], now: datetime, told: tuple[str, str]) -> None:
        wait = attempts.is_over(key, now)
        if wait:
            self.turn_away(*told)
            raise ThrottledError(wait)

    def turn_away(self, what: str, address: str) -> None:
        """Note a request that was refused before it was evaluated; the log hears of it by the minute, as a number."""
        key = (what, address)
        if key in self.turned_away or len(self.turned_away) < MAX_COUNTERS:
            self.turned_away[key] = self.turned_away.get(key, 0) + 1

    def take_turned_away(self, most: int) -> list[tuple[str, str, int]]:
        """Return and forget up to `most` of the noted (what, address, count)."""
        taken: list[tuple[str, str, int]] = []
        while self.turned_away and len(taken) < most:
            (what, address), count = self.turned_away.popitem(last=False)
            taken.append((what, address, count))
        return taken


def address_key(address: Address | None) -> str:
    """Return what attempts are counted under: an IPv4 address, or the /64 that an IPv6 host commands."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return "" if address is None else str(address)
