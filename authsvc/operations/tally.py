"""Counting by key within fixed windows, in a piece of memory of fixed size that all workers of a machine may share.

No lock: each slot is written at once. Two workers that count the same key in the same microsecond may count one of the two, and a
slot that two keys want at once keeps one of them; nothing that is guarded here depends on the last digit.
"""

import hashlib
import struct
from datetime import datetime, timedelta

_WAYS = 8
"""Slots that a key may be in; when all are taken, the one whose window began first is given up."""
_SLOT = struct.Struct("=QdQ")
"""A key's digest (0: free), the time its window began, and the count."""
_SLOTS = struct.Struct("=" + "QdQ" * _WAYS)
_MEMBERS = 3

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
        slots = _SLOTS.unpack_from(self._memory, first)
        tags = slots[::_MEMBERS]
        if tag not in tags:
            return 0, 0.0
        at = tags.index(tag) * _MEMBERS
        left = slots[at + 1] + self._window - now.timestamp()
        return (slots[at + 2], left) if 0 < left <= 2 * self._window else (0, 0.0)

    def add(self, key: tuple[str, ...], now: datetime, weight: int = 1) -> None:
        """Count `key` once more, or begin its window."""
        tag, first = self._place(key)
        time = now.timestamp()
        slots = _SLOTS.unpack_from(self._memory, first)
        tags, begun = slots[::_MEMBERS], slots[1::_MEMBERS]
        since, count = time, weight
        if tag in tags:
            at = tags.index(tag)
            if begun[at] <= time + self._window and time < begun[at] + self._window:
                since, count = begun[at], slots[at * _MEMBERS + 2] + weight
        else:
            at = begun.index(min(begun))  # 0.0 where it is free
        _SLOT.pack_into(self._memory, first + at * SLOT_BYTES, tag, since, count)

    def _place(self, key: tuple[str, ...]) -> tuple[int, int]:
        """Return the digest of a key, which is never 0, and where its slots begin."""
        # INVARIANT: with their lengths before them, no two keys are written alike.
        written = b"".join(
            len(data).to_bytes(4, "big") + data
            for data in (part.encode("utf-8", "surrogatepass") for part in key)
        )
        tag = int.from_bytes(hashlib.blake2b(written, digest_size=8, key=self._key).digest(), "big") or 1
        return tag, tag % self._buckets * _WAYS * SLOT_BYTES
