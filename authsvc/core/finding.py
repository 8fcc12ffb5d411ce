"""What reconciliation finds: operations that no grant covers, and registries that no longer report."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FindingKind(StrEnum):
    """What is wrong."""

    UNCOVERED = "uncovered"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something an auditor has to look at; it can be made again from the log.

    `seq` is the operation of an uncovered one, and of a silence a token whose use should have been reported. `since` is when the
    operation happened, as reported, or when the registry was last heard.
    """

    kind: FindingKind
    service: str
    seq: int
    since: datetime
    found_at: datetime
