"""Counting by key within fixed windows, in a piece of memory of fixed size that all workers of a machine may share.

No lock: each slot is written at once. Two workers that count the same key in the same microsecond may count one of the two, and a
slot that two keys want at once keeps one of them; nothing that is guarded here depends on the last digit.
"""

import hashlib
import struct
from datetime import datetime, timedelta

_SLOT = struct.Struct("=QdQ")
"""A key's digest (0: free), the time its window began, and the count."""
_WAYS = 8
"""Slots that a key may be in; when all are taken, the one whose window began first is given up."""

SLOT_BYTES = _SLOT.size


class Tally:
    """Counts in `memory`, which is zero at first; who shares it has the same `key`, so that no outsider can choose slots."""

    def __init__(self, memory: memoryview, *, key: bytes, window: timedelta) -> None:
        self._memory = memory
        self._key = key
        self._window = window.total_seconds()
        self._buckets = len(memory) // (SLOT_BYTES * _WAYS)

    def look(self, key: tuple[str, ...], now: datetime) -> tuple[int, float]:
        """Return how often `key` was counted in its window, and the seconds until that ends; 0 and 0 when there is none."""
        tag, first = self._place(key)
        for at in range(first, first + _WAYS * SLOT_BYTES, SLOT_BYTES):
            found, since, count = _SLOT.unpack_from(self._memory, at)
            if found == tag:
                left = since + self._window - now.timestamp()
                return (count, left) if 0 < left <= 2 * self._window else (0, 0.0)
        return 0, 0.0

    def add(self, key: tuple[str, ...], now: datetime, weight: int = 1) -> None:
        """Count `key` once more, or begin its window."""
        tag, first = self._place(key)
        time = now.timestamp()
        oldest, begun = first, float("inf")
        for at in range(first, first + _WAYS * SLOT_BYTES, SLOT_BYTES):
            found, since, count = _SLOT.unpack_from(self._memory, at)
            if found == tag:
                goes_on = since <= time + self._window and time < since + self._window
                _SLOT.pack_into(
                    self._memory, at, tag, *((since, count + weight) if goes_on else (time, weight))
                )
                return
            if since < begun:  # 0 where it is free
                oldest, begun = at, since
        _SLOT.pack_into(self._memory, oldest, tag, time, weight)

    def _place(self, key: tuple[str, ...]) -> tuple[int, int]:
        """Return the digest of a key, which is never 0, and where its slots begin."""
        # INVARIANT: with their lengths before them, no two keys are written alike.
        written = b"".join(
            len(data).to_bytes(4, "big") + data
            for data in (part.encode("utf-8", "surrogatepass") for part in key)
        )
        tag = int.from_bytes(hashlib.blake2b(written, digest_size=8, key=self._key).digest(), "big") or 1
        return tag, tag % self._buckets * _WAYS * SLOT_BYTES
