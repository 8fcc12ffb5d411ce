"""What was answered in a long run, what should not have been, and which restart excuses it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

LOST = "lost"
"""No answer: the connection was reset, refused or silent for ten seconds."""


class Restart(StrEnum):
    """What is ended and comes again."""

    WORKER = "worker killed"
    POSTGRES = "Postgres killed"
    RENEWAL = "workers renewed"


EXCUSED = {
    Restart.WORKER: frozenset({LOST, "503"}),
    Restart.POSTGRES: frozenset({LOST, "503"}),
    Restart.RENEWAL: frozenset[str](),
}
"""What may be answered after each instead of what should be."""


@dataclass(frozen=True, slots=True)
class Error:
    """An answer that was not to be expected, to a request of so many seconds since the beginning."""

    asked: float
    answered: float
    kind: str
    status: str
    what: str = ""


@dataclass(slots=True)
class Answers:
    """Every answer by minute, kind and status; the errors one by one; and the restarts, in seconds since the beginning.

    `reopened` counts requests that a kept connection lost at once, and that a new one then answered.
    """

    counts: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    errors: list[Error] = field(default_factory=list)
    restarts: list[tuple[float, Restart]] = field(default_factory=list)
    reopened: int = 0

    def note(self, answer: Error, *, is_right: bool) -> None:
        """Count an answer."""
        self.counts[int(answer.answered // 60), answer.kind, answer.status] += 1
        if not is_right:
            self.errors.append(answer)

    def total(self, *statuses: str) -> int:
        """Return how many answers there were of these statuses, or of all."""
        return sum(n for (_, _, status), n in self.counts.items() if not statuses or status in statuses)

    def cause_of(self, error: Error, grace: float) -> tuple[float, Restart] | None:
        """Return the newest restart that excuses an error for `grace` seconds, or None."""
        for at, restart in reversed(self.restarts):
            if at <= error.answered and error.asked <= at + grace and error.status in EXCUSED[restart]:
                return at, restart
        return None

    def faults(self, grace: float) -> Sequence[Error]:
        """Return the errors that no restart excuses."""
        return [error for error in self.errors if self.cause_of(error, grace) is None]

    def recoveries(self, grace: float) -> dict[Restart, list[float]]:
        """Return for each restart, by what was restarted, after how many seconds the last error was that it excuses."""
        last = dict.fromkeys(self.restarts, 0.0)
        for error in self.errors:
            cause = self.cause_of(error, grace)
            if cause is not None:
                last[cause] = max(last[cause], error.answered - cause[0])
        return {kind: [s for (_, k), s in last.items() if k is kind] for kind in Restart}
