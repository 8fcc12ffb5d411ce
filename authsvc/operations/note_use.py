"""Last uses: noted in memory by every request, written together every few seconds, so that no request waits for them.

What a process notes and does not live to write is lost: at most a few seconds' uses, of a process that was killed.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from authsvc.adapters.postgres.database import Database, Read
from authsvc.adapters.postgres.last_uses import find_last_uses, write_last_uses
from authsvc.core.event import Requester
from authsvc.core.last_use import LastUse
from authsvc.core.records import CredentialRecord, ExpiringRecord, RobotRecord, UserRecord
from authsvc.operations.page import Page

MAX_NOTED = 50_000
"""Ids whose use is not written yet; beyond these a use is not noted, and the next one is."""
MAX_WRITTEN = 1_000
"""Ids in one statement."""

_R = TypeVar("_R", UserRecord, RobotRecord, CredentialRecord, ExpiringRecord)


class LastUses:
    """What this process has seen used and the database does not know yet."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[datetime, str | None]] = {}

    def note(self, by: Requester, now: datetime) -> None:
        """Remember that a principal, and the machine credential it came with, was let in now; it costs two entries of a table."""
        use = now, by.address
        if by.principal.id and len(self._noted) < MAX_NOTED:
            self._noted[by.principal.id] = use
            if by.credential_id is not None:
                self._noted[by.credential_id] = use

    async def write(self, database: Database) -> None:
        """Write what is noted; what cannot be written now stays noted. Raises UnavailableError."""
        waiting = list(self._noted.items())
        for first in range(0, len(waiting), MAX_WRITTEN):
            some = waiting[first : first + MAX_WRITTEN]
            async with database.hot_read() as connection:
                await write_last_uses(connection, {id_: LastUse(*use) for id_, use in some})
            for id_, use in some:
                if self._noted.get(id_) is use:
                    del self._noted[id_]

    async def of(self, read: Read, record: _R) -> _R:
        """Return a record with its last use: the stored one, or one noted here since."""
        (found,) = await self._of_all(read, [record])
        return found

    async def of_page(self, read: Read, page: Page[_R]) -> Page[_R]:
        """Return the records of a page with their last uses."""
        return Page(await self._of_all(read, page.items), page.next_after)

    async def _of_all(self, read: Read, records: Sequence[_R]) -> list[_R]:
        stored = await find_last_uses(read, [record.id for record in records])
        return [replace(record, last_use=self._latest(record.id, stored)) for record in records]

    def _latest(self, id_: str, stored: dict[str, LastUse]) -> LastUse | None:
        known = [use for use in (stored.get(id_), self._of_this_process(id_)) if use is not None]
        return max(known, key=lambda use: use.at, default=None)

    def _of_this_process(self, id_: str) -> LastUse | None:
        noted = self._noted.get(id_)
        return None if noted is None else LastUse(*noted)
