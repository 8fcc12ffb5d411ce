"""A clock that a test moves."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class Clock:
    """Called, it gives the time; `advance` is the only thing that moves it."""

    time: datetime

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self.time += by
