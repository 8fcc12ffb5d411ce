"""The guard that the last administrator stays."""

from authsvc.adapters.postgres.bindings import count_lasting_administrators
from authsvc.adapters.postgres.database import Change
from authsvc.core.errors import ConflictError


async def keep_an_administrator(change: Change) -> None:
    """Raise ConflictError, which rolls the change back, when it would leave nobody who is an administrator for good."""
    if await count_lasting_administrators(change) == 0:
        raise ConflictError("this would leave no administrator: make another one first")
