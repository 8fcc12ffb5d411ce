"""What was found out about passwords lately, as keyed fingerprints in this process only: never a password, nothing on disk."""

from collections import OrderedDict
from datetime import datetime, timedelta

REMEMBERED_FOR = timedelta(minutes=10)
MAX_REMEMBERED = 50_000


class Remembered:
    """A bounded set of fingerprints that forgets each after ten minutes.

    A fingerprint covers the principal and the version of its credentials, so that a changed password is effective at once.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, datetime] = OrderedDict()

    def holds(self, fingerprint: bytes, now: datetime) -> bool:
        """Say whether `fingerprint` was added in the last ten minutes."""
        until = self._until.get(fingerprint)
        if until is not None and now >= until:
            del self._until[fingerprint]
            return False
        return until is not None

    def add(self, fingerprint: bytes, now: datetime) -> None:
        """Remember from now on; what is over goes, and the oldest when there are too many."""
        self._until.pop(fingerprint, None)
        self._until[fingerprint] = now + REMEMBERED_FOR
        while len(self._until) > MAX_REMEMBERED or next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
