"""What the log is searched for."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; None does not narrow. `since` is included, `until` is not."""

    actor: str | None = None
    kind: str | None = None
    project: str | None = None
    repository: str | None = None
    action: str | None = None
    outcome: str | None = None
    address: str | None = None
    seq: int | None = None
    since: datetime | None = None
    until: datetime | None = None
