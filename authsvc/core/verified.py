"""What verification has found, stretch by stretch, and the judgement over the whole."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import sub

from authsvc.core.canonical import Json
from authsvc.core.event import from_microseconds
from authsvc.core.kept_policy import Kept
from authsvc.core.merkle import EMPTY_ROOT
from authsvc.core.states import integer_of, object_of, text_of


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
    """Entries that were pruned: from `first` up to before `end`, and what `kept` says stayed of them, where it says so."""

    first: int
    end: int
    kept: Kept | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Json]) -> "Missing":
        """Return what an `audit.pruned` entry says; raises KeyError or TypeError."""
        kept = Kept.read(object_of(entry, "kept")) if "kept" in entry else None
        return cls(integer_of(entry, "first"), integer_of(entry, "end"), kept)


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
    `not_replayed` says why no decision was made again though that was asked for, None where all were.
    `began` and `ended` are the times of the first and the last entry, and `stepped_back` is the furthest that an entry's time
    lies before that of the one in front of it, as clocks of several nodes differ; all in microseconds.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    batches: int = 0
    entries: int = 0
    decisions: int = 0
    bridged: int = 0
    not_replayed: str | None = None
    began: int | None = None
    ended: int | None = None
    stepped_back: int = 0
    missing: list[Missing] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    agreed: set[tuple[int, bytes]] = field(default_factory=set)

    @property
    def first_time(self) -> datetime | None:
        """The time of the first entry."""
        return None if self.began is None else from_microseconds(self.began)

    @property
    def last_time(self) -> datetime | None:
        """The time of the last entry."""
        return None if self.ended is None else from_microseconds(self.ended)

    @property
    def step_back(self) -> timedelta:
        """What `stepped_back` says, as a duration."""
        return timedelta(microseconds=self.stepped_back)

    def note_times(self, times: Sequence[int]) -> None:
        """Note entries that follow, by their times."""
        if not times:
            return
        self.entries += len(times)
        if self.began is None or self.ended is None:
            self.began = self.ended = times[0]
        self.stepped_back = max(self.stepped_back, self.ended - times[0], *map(sub, times, times[1:]))
        self.ended = times[-1]

    def add(self, after: "Verified") -> None:
        """Take in what was found in the stretch that follows."""
        if self.ended is not None and after.began is not None:
            self.stepped_back = max(self.stepped_back, self.ended - after.began)
        self.stepped_back = max(self.stepped_back, after.stepped_back)
        self.began = after.began if self.began is None else self.began
        self.ended = self.ended if after.ended is None else after.ended
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
