"""Reconciliation: every reported operation is held against the grant that must have been logged before it could happen.

A round runs beside requests, in one process at a time, from a cursor on; what it finds is stored, and can be found again from the
log. A token's event is in the log before the token exists, so an operation can be judged as soon as it is there.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import orjson

from authsvc.adapters.metrics import observe_operations, observe_registries
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.policy import find_service
from authsvc.adapters.postgres.reconciliation import (
    NewOperation,
    Registry,
    add_findings,
    begin_round,
    find_seq_at,
    list_granting_tokens,
    list_new_operations,
    list_registries,
    list_tokens_of,
    move_cursor,
)
from authsvc.core.canonical import Json
from authsvc.core.event import MalformedEntryError
from authsvc.core.finding import Finding, FindingKind
from authsvc.core.reported import LEEWAY, SKEW, Operation, is_covered, operation_of
from authsvc.core.service import DEFAULT_TOKEN_TTL
from authsvc.operations.deps import Deps

MAX_BATCH = 200
"""Operations of one transaction."""
PAGE = 100
SILENT_AFTER = timedelta(minutes=15)
"""How long a registry that has reported may be quiet while tokens for it are issued."""
FEW = 3
"""Tokens whose use nobody reported: one may never have been used."""
MAX_LOOKED_AT = 2_000
MAX_BEHIND = 50_000
"""Tokens, and events, that are looked through for the use of a quiet registry, from the newest on."""


async def reconcile(deps: Deps) -> None:
    """Hold what is new against grants, and look for registries that have gone silent; nothing when another process does."""
    while await _hold_some(deps):
        pass
    await _look_for_silence(deps)


async def _hold_some(deps: Deps) -> bool:
    """Judge the next operations; say whether there may be more."""
    async with deps.database.hot_read() as connection, connection.transaction():
        cursor = await begin_round(connection)
        if cursor is None:
            return False
        new = await list_new_operations(connection, after=cursor, limit=MAX_BATCH)
        if not new:
            return False
        findings = await _judge(connection, new, deps.now())
        await add_findings(connection, findings)
        await move_cursor(connection, new[-1].seq)
    observe_operations(len(new) - len(findings), len(findings))
    return len(new) == MAX_BATCH


async def _judge(connection: Connection, new: Sequence[NewOperation], now: datetime) -> list[Finding]:
    """Return the findings among operations, in order."""
    same: defaultdict[tuple[object, ...], list[tuple[int, Operation]]] = defaultdict(list)
    since: dict[int, datetime] = {}
    for each in new:
        since[each.seq] = each.received_at
        operation = _read(each)
        if operation is not None:
            since[each.seq] = operation.time
            # Of one hour: what lies between two that are far apart, perhaps all of the log, is not looked through.
            hour = operation.time.replace(minute=0, second=0, microsecond=0)
            same[operation.service, operation.subject, operation.needs, hour].append((each.seq, operation))
    covered: set[int] = set()
    places: dict[datetime, int] = {}
    for operations in same.values():
        covered |= await _find_covered(connection, operations, before=new[-1].seq, places=places)
    return [
        Finding(FindingKind.UNCOVERED, each.service, each.seq, since[each.seq], now)
        for each in new
        if each.seq not in covered
    ]


def _read(new: NewOperation) -> Operation | None:
    """Return what the log says of an operation; None, which nothing covers, where it says nothing that can be read."""
    try:
        return None if new.entry is None else operation_of(orjson.loads(new.entry))
    except (MalformedEntryError, orjson.JSONDecodeError):
        return None


def _read_token(entry: bytes) -> Mapping[str, Json]:
    """Return a token's entry; one that cannot be read says nothing, and so covers nothing and is of no service."""
    try:
        read = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


async def _find_covered(
    connection: Connection,
    operations: Sequence[tuple[int, Operation]],
    *,
    before: int,
    places: dict[datetime, int],
) -> set[int]:
    """Return which of the same operation, done at several times, are covered: tokens newest first, until all are.

    `places` keeps, by minute, where the log was.
    """
    _, one = operations[0]
    service = (await find_service(connection, one.service)).value
    life = timedelta(seconds=DEFAULT_TOKEN_TTL if service is None else service.token_ttl_seconds)
    since = min(operation.earliest_end for _, operation in operations) - life
    until = max(operation.latest_start for _, operation in operations)
    minute = (since - SKEW).replace(second=0, microsecond=0)
    if minute not in places:
        places[minute] = await find_seq_at(connection, minute)
    first = places[minute]
    open_ = dict(operations)
    covered: set[int] = set()
    while open_:
        tokens = await list_tokens_of(
            connection,
            actor=one.subject,
            repository=one.repository,
            first=first,
            before=before,
            since=since,
            until=until,
            limit=PAGE,
        )
        for token_seq, entry in tokens:
            issued = _read_token(entry)
            now_covered = [
                seq for seq, operation in open_.items() if token_seq < seq and is_covered(operation, issued)
            ]
            covered.update(now_covered)
            for seq in now_covered:
                del open_[seq]
        if len(tokens) < PAGE:
            break
        before = tokens[-1][0]
    return covered


async def _look_for_silence(deps: Deps) -> None:
    """Find registries that have not been heard for a while, though tokens were issued that they must have been shown."""
    now = deps.now()
    async with deps.database.hot_read() as connection, connection.transaction():
        registries = await list_registries(connection)
        quiet = [r for r in registries if not r.is_found_silent and r.heard_at < now - SILENT_AFTER]
        found: list[Finding] = []
        if quiet and await begin_round(connection) is not None:
            found = await _find_silent(connection, quiet, now)
            await add_findings(connection, found)
    silent = len(found) + sum(registry.is_found_silent for registry in registries)
    observe_registries({registry.service: registry.heard_at for registry in registries}, silent)


async def _find_silent(connection: Connection, quiet: Iterable[Registry], now: datetime) -> list[Finding]:
    by_service = {registry.service: registry for registry in quiet}
    since = min(registry.heard_at for registry in by_service.values())
    behind = await find_seq_at(connection, now) - MAX_BEHIND
    tokens = await list_granting_tokens(
        connection,
        first=max(behind, await find_seq_at(connection, since - SKEW)),
        since=since,
        until=now,
        limit=MAX_LOOKED_AT,
    )
    unheard: defaultdict[str, list[int]] = defaultdict(list)
    for seq, time, entry in tokens:
        registry = by_service.get(str(_read_token(entry).get("service")))
        if registry is not None and _should_be_heard(registry, time, now):
            unheard[registry.service].append(seq)
    return [
        Finding(FindingKind.SILENT, service, seqs[-1], by_service[service].heard_at, now)
        for service, seqs in sorted(unheard.items())
        if len(seqs) >= FEW
    ]


def _should_be_heard(registry: Registry, issued: datetime, now: datetime) -> bool:
    """Say whether a token is younger than the last report, and its use, if there was any, is over."""
    life = timedelta(seconds=registry.token_ttl_seconds)
    return registry.heard_at + SKEW < issued < now - life - LEEWAY
