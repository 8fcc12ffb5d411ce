"""What verification has found, stretch by stretch, and the judgement over the whole."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from authsvc.core.canonical import Json
from authsvc.core.merkle import EMPTY_ROOT
from authsvc.core.states import integer_of, text_of


class TamperedError(Exception):
    """The log is not what was signed; `seq` is the first sequence number that is wrong, or that its batch covers."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(f"entry {seq}: {what}")
        self.seq = seq
        self.what = what

    def __reduce__(self) -> tuple[type["TamperedError"], tuple[int, str]]:
        return TamperedError, (self.seq, self.what)


@dataclass(frozen=True, slots=True)
class Missing:
    """Entries that were pruned: from `first` up to before `end`."""

    first: int
    end: int

    @classmethod
    def read(cls, entry: Mapping[str, Json]) -> "Missing":
        """Return what an `audit.pruned` entry says; raises KeyError or TypeError."""
        return cls(integer_of(entry, "first"), integer_of(entry, "end"))


@dataclass(frozen=True, slots=True)
class Loss:
    """What an `audit.recovered` entry writes off: checkpoints of epochs before `epoch`, up to the size `lost_until`.

    `checkpoint` is the note of the old head.
    """

    epoch: int
    lost_from: int
    lost_until: int
    checkpoint: str

    @classmethod
    def read(cls, entry: Mapping[str, Json]) -> "Loss":
        """Return what an entry says; raises KeyError or TypeError."""
        lost_from, lost_until = integer_of(entry, "lost_from"), integer_of(entry, "lost_until")
        return cls(integer_of(entry, "epoch"), lost_from, lost_until, text_of(entry, "checkpoint"))


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that was kept elsewhere, its signature verified."""

    epoch: int
    size: int
    root: bytes


@dataclass(slots=True)
class Verified:
    """What was proved: entries up to `size` under this root, in so many signed batches.

    `decisions` were made again, `bridged` entries were pruned and are proved by nothing but the signature over their tree.
    `step_back` is the furthest that an entry's time lies before that of the one in front of it: clocks of several nodes differ.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    batches: int = 0
    entries: int = 0
    decisions: int = 0
    bridged: int = 0
    first_time: datetime | None = None
    last_time: datetime | None = None
    step_back: timedelta = timedelta()
    missing: list[Missing] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    agreed: set[tuple[int, bytes]] = field(default_factory=set)

    def note_time(self, time: datetime) -> None:
        """Note an entry and its time."""
        self.entries += 1
        if self.last_time is None:
            self.first_time = time
        elif time < self.last_time:
            self.step_back = max(self.step_back, self.last_time - time)
        self.last_time = time

    def add(self, after: "Verified") -> None:
        """Take in what was found in the stretch that follows."""
        if self.last_time is not None and after.first_time is not None:
            self.step_back = max(self.step_back, self.last_time - after.first_time)
        self.step_back = max(self.step_back, after.step_back)
        self.first_time = self.first_time or after.first_time
        self.last_time = after.last_time or self.last_time
        self.size, self.root = after.size, after.root
        self.batches += after.batches
        self.entries += after.entries
        self.decisions += after.decisions
        self.bridged += after.bridged
        self.missing += after.missing
        self.losses += after.losses
        self.agreed |= after.agreed

    def judge(self, known: Collection[Known], missing: Collection[Missing]) -> None:
        """Hold the whole log against checkpoints kept elsewhere, and against the gaps that were taken for pruned.

        Raises TamperedError.
        """
        for gap in missing:
            if gap not in self.missing:
                raise TamperedError(gap.first, "the entry is missing, and no entry says that it was pruned")
        for checkpoint in sorted(known, key=lambda one: one.size):
            if not self._explains(checkpoint):
                if checkpoint.size > self.size:
                    raise TamperedError(
                        self.size,
                        f"the tail is missing: a checkpoint of {checkpoint.size} entries was signed",
                    )
                agreed = [size for size, _ in self.agreed if size < checkpoint.size]
                raise TamperedError(
                    max(agreed, default=0),
                    f"the log is another than the one a checkpoint of {checkpoint.size} entries was signed for",
                )

    def _explains(self, checkpoint: Known) -> bool:
        if checkpoint.size == 0 or (checkpoint.size, checkpoint.root) in self.agreed:
            return True
        # What a loss leaves whole explains nothing: a checkpoint of that must agree.
        return any(
            loss.epoch > checkpoint.epoch and loss.lost_from < checkpoint.size <= loss.lost_until
            for loss in self.losses
        )
