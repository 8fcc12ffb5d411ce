"""The two answers of the journal: what proves that an event is in the log, and what says that it rests on old policy."""

from dataclasses import dataclass

from authsvc.core.event import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """Proof that the journal has committed an event.

    INVARIANT: built by the journal only, after the commit (a test looks for other places); signing takes nothing else, so that
    there is no token without its event, and none that says something else than its event.
    """

    event: Event
    epoch: int
    seq: int

    @property
    def jti(self) -> str:
        """Return the token's id: it leads to the event without an index."""
        return f"{self.epoch}.{self.seq}.{self.event.nonce}"


@dataclass(frozen=True, slots=True)
class Stale:
    """The event was not appended: policy has moved on to `revision` since the decision was made."""

    revision: int
