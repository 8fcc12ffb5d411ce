"""One token for anonymous requests that are the same within a few seconds, so that nobody can buy disk by repeating himself."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from authsvc.core.service import MIN_TOKEN_TTL

SHARED_FOR = timedelta(seconds=5)
MAX_SHARED = 10_000


@dataclass(frozen=True, slots=True)
class SharedKey:
    """What makes two anonymous requests the same."""

    address: str
    service: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedToken:
    """A token that was issued to anonymous at `issued_at` under `revision`."""

    token: str
    granted: tuple[str, ...]
    revision: int
    issued_at: datetime
    expires_at: datetime


class SharedTokens:
    """The newest anonymous tokens.

    INVARIANT: who takes one reads the policy revision and finds it still the token's; else it could be a stale grant.
    """

    def __init__(self) -> None:
        self._tokens: OrderedDict[SharedKey, SharedToken] = OrderedDict()

    def find(self, key: SharedKey, now: datetime) -> SharedToken | None:
        """Return the token issued to the same request within the last seconds, or None."""
        shared = self._tokens.get(key)
        if shared is None or not shared.issued_at <= now < shared.issued_at + SHARED_FOR:
            return None
        if shared.expires_at - now < timedelta(seconds=MIN_TOKEN_TTL):
            return None  # clients take every token to live for that long
        return shared

    def add(self, key: SharedKey, token: SharedToken) -> None:
        """Keep a token for the seconds to come, and no longer those whose seconds are over."""
        self._tokens[key] = token
        self._tokens.move_to_end(key)
        over = token.issued_at - SHARED_FOR
        while len(self._tokens) > MAX_SHARED or next(iter(self._tokens.values())).issued_at <= over:
            self._tokens.popitem(last=False)
