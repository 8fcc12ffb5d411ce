"""Searching the log by its columns; keyset pages, no OFFSET, no COUNT."""

from sqlalchemy import select

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.tables import log
from authsvc.core.search import Filter


async def list_events(
    read: Read, wanted: Filter, *, after: int | None, limit: int, newest_first: bool
) -> list[tuple[int, bytes]]:
    """Return sequence numbers and entries in order, from beyond `after` on."""
    c = log.c
    statement = select(c.seq, c.entry)
    for column, value in (
        (c.actor, wanted.actor), (c.kind, wanted.kind), (c.outcome, wanted.outcome),
        (c.address, wanted.address), (c.seq, wanted.seq),
    ):  # fmt: skip
        if value is not None:
            statement = statement.where(column == value)
    if wanted.project is not None:
        statement = statement.where(c.projects.contains([wanted.project]))
    if wanted.repository is not None:
        statement = statement.where(c.repositories.contains([wanted.repository]))
    if wanted.action is not None:
        statement = statement.where(c.actions.contains([wanted.action]))
    if wanted.since is not None:
        statement = statement.where(c.time >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(c.time < wanted.until)
    if after is not None:
        statement = statement.where(c.seq < after if newest_first else c.seq > after)
    statement = statement.order_by(c.seq.desc() if newest_first else c.seq).limit(limit)
    return [(row[0], row[1]) for row in await read.rows(statement)]
