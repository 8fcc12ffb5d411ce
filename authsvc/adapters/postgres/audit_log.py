"""Searching the log by its columns: keyset pages, no OFFSET, no COUNT.

A page of one actor, repository or project is read in order off an index that begins with a hash of the name: hashes are of one
length, which lets a B-tree that grows at the end of each name keep its pages full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.exc import DBAPIError

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.tables import batches, log
from authsvc.core.errors import UnavailableError
from authsvc.core.search import Filter

_COMMON_KINDS = "kind NOT IN ('token.issued', 'registry.pull', 'registry.push')"
"""The condition of the index `log_uncommon`, as it stands in the migration: the planner must recognise it."""
_REPORTED = "kind IN ('registry.pull', 'registry.push', 'registry.mount', 'registry.delete')"
"""The condition of the index `log_reported_actor`, likewise."""
_FIRST, _LAST = -1, 2**63 - 1
_POSITIONS = 2
"""Names of one event that have an index of their own, by their place; events with more of them are few, and indexed as such."""


# A generic plan knows neither the months nor the partial indexes, and compiling one costs more than running it. The planner takes
# a name for rare, so that it would sort all that a busy one has; what an index gives in order is always better.
_PLANNING = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_sort', :sort, true)"
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A row of the log: its place, the epoch that it was signed in, and the entry's bytes."""

    seq: int
    epoch: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class _Arm:
    """A part of the log that one index gives in order: `column` has the `name`, whose hash the index begins with.

    Or that one gives in none, as it is small, without a column. `where` is what the index is about.
    """

    column: ColumnElement[str] | None = None
    name: str = ""
    where: Sequence[ColumnElement[bool]] = ()


async def list_events(
    read: Read,
    wanted: Filter,
    *,
    after: int | None,
    limit: int,
    newest_first: bool,
    end: int | None = None,
) -> list[LogEntry]:
    """Return entries in order, from beyond the sequence number `after` on; oldest first, up to but without `end`.

    Raises UnavailableError when the search would take too long.
    """
    if newest_first:
        beyond, before = _FIRST, _LAST if after is None else after
    else:
        beyond, before = _FIRST if after is None else after, _LAST if end is None else end
    arms = [
        _page(arm, wanted, beyond=beyond, before=before, limit=limit, newest_first=newest_first).subquery()
        for arm in _arms(wanted)
    ]
    together = union_all(*(select(arm.c.seq, arm.c.entry) for arm in arms)).subquery()
    seq = together.c.seq
    epoch = (
        select(batches.c.epoch).where(batches.c.prev <= seq).order_by(batches.c.prev.desc()).limit(1)
    ).scalar_subquery()
    statement = (
        select(seq, epoch, together.c.entry).order_by(seq.desc() if newest_first else seq).limit(limit)
    )
    await read.connection.execute(_PLANNING, {"sort": "on" if _must_sort(wanted) else "off"})
    try:
        return [LogEntry(*row) for row in await read.rows(statement)]
    except DBAPIError as error:
        if isinstance(error.orig, QueryCanceled):
            raise UnavailableError(
                "the search takes too long: narrow it by actor, repository, project, or since and until"
            ) from error
        raise


def _must_sort(wanted: Filter) -> bool:
    """Say whether an index finds what is wanted, and in no order: that of addresses, which is a bitmap."""
    names = (wanted.actor, wanted.repository, wanted.project, wanted.jti)
    return wanted.address is not None and names == (None, None, None, None)


def _arms(wanted: Filter) -> list[_Arm]:
    """Return parts that have nothing in common and, together, all that is looked for."""
    if wanted.jti is not None:
        return [_Arm()]
    if wanted.repository is not None:
        return _positions("repositories", wanted.repository)
    if wanted.actor is not None:
        return _roles(wanted.actor, wanted.kinds)
    if wanted.project is not None:
        return _positions("projects", wanted.project)
    return [_Arm()]


def _roles(actor: str, kinds: Sequence[str] | None) -> list[_Arm]:
    """Return the events of who acts or reports, and those in which another reports that he did it."""
    acting = _Arm(log.c.actor, actor)
    if kinds is not None and not any(f"'{kind}'" in _REPORTED for kind in kinds):
        return [acting]
    reported: list[Any] = [literal_column(_REPORTED), log.c.actor != actor]
    return [acting, _Arm(_reported_actor(), actor, reported)]


def _reported_actor() -> ColumnElement[str]:
    """Return who did it, as the registry says that reports it: no column has it, the index reads the entry."""
    return func.reported_actor(log.c.entry, type_=Text)


def _positions(column: str, name: str) -> list[_Arm]:
    """Return the events that have a name first, those that have it second, and those that have it further behind."""
    places: list[ColumnElement[str]] = [
        literal_column(f"{column}[{place}]", Text) for place in range(1, _POSITIONS + 1)
    ]
    many: ColumnElement[bool] = literal_column(f"{column}[{_POSITIONS + 1}] IS NOT NULL")
    behind: list[Any] = [many, log.c[column].contains([name]), *(place != name for place in places)]
    return [*(_Arm(place, name) for place in places), _Arm(where=behind)]


def _page(
    arm: _Arm, wanted: Filter, *, beyond: int, before: int, limit: int, newest_first: bool
) -> Select[tuple[int, bytes]]:
    seq = log.c.seq
    statement = select(seq, log.c.entry).where(*arm.where, *_narrowing(wanted))
    if arm.column is None:
        statement = statement.where(seq > beyond, seq < before)
        if arm.where:
            return statement
        return statement.order_by(seq.desc() if newest_first else seq).limit(limit)
    # A range from both ends and not `=`: for a column that it knows to be constant, the planner does not see that the
    # partitions' indexes are in order, and sorts all there is.
    has, wants = func.hashtext(arm.column), func.hashtext(literal(arm.name, Text))
    place = tuple_(has, seq)
    statement = statement.where(
        arm.column == arm.name,
        has >= wants,
        has <= wants,
        place > tuple_(wants, beyond),
        place < tuple_(wants, before),
    )
    return statement.order_by(*((has.desc(), seq.desc()) if newest_first else (has, seq))).limit(limit)


def _narrowing(wanted: Filter) -> list[ColumnElement[bool]]:
    """Return every condition that is asked for, whichever of them an index serves."""
    c = log.c
    conditions: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (c.seq, wanted.seq), (c.outcome, wanted.outcome), (c.address, wanted.address),
        )
        if value is not None
    ]  # fmt: skip
    conditions += [
        column.contains([value])
        for column, value in (
            (c.projects, wanted.project), (c.repositories, wanted.repository), (c.actions, wanted.action),
        )
        if value is not None
    ]  # fmt: skip
    if wanted.actor is not None:
        conditions.append(
            or_(
                c.actor == wanted.actor,
                and_(literal_column(_REPORTED), _reported_actor() == wanted.actor),
            )
        )
    if wanted.kinds is not None:
        conditions.append(c.kind.in_(wanted.kinds))
        if not any(f"'{kind}'" in _COMMON_KINDS for kind in wanted.kinds):
            conditions.append(literal_column(_COMMON_KINDS))
    if wanted.since is not None:
        conditions.append(c.time >= wanted.since)
    if wanted.until is not None:
        conditions.append(c.time < wanted.until)
    return conditions


async def read_size(read: Read) -> int:
    """Return how many entries the log has had."""
    row = await read.row(select(batches.c.size).order_by(batches.c.prev.desc()).limit(1))
    return 0 if row is None else int(row[0])
