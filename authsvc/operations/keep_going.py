"""Rounds that must not end: whatever one meets, the next comes."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from authsvc.core.errors import AuthsvcError
from authsvc.core.note import NoteError

_log = structlog.get_logger()


async def keep_going(go_round: Callable[[], Awaitable[None]], *, failed: str, every: float) -> None:
    """Go round every so many seconds until cancelled; what fails is logged once as `failed`, and again after it has been well.

    INVARIANT: an error that nobody has thought of ends one round, not the rounds: custody or keys would be kept no longer, and
    nothing would say so. Of such an error the kind alone is told, as its words may hold what must not be logged.
    """
    said = ""
    while True:
        try:
            await go_round()
            said = ""
        except Exception as error:  # noqa: BLE001 - see the invariant
            is_known = isinstance(error, AuthsvcError | NoteError | OSError)
            why = f"{type(error).__name__}: {error}" if is_known else type(error).__name__
            if why != said:
                _log.error(failed, why=why)
            said = why
        await asyncio.sleep(every)
