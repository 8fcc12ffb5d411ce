"""The life of signing keys beside requests: each node says which it holds, and a new one signs once all of them do.

So a folder that is copied late, or not at all, delays a rotation and never costs a token.
"""

import asyncio

import structlog

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.deadline import finish_within
from authsvc.adapters.postgres.nodes import list_nodes, names_lacking, report_node
from authsvc.adapters.postgres.services import list_key_records
from authsvc.core.errors import AuthsvcError
from authsvc.core.event import Requester
from authsvc.core.principal import SYSTEM
from authsvc.core.records import KeyRecord, KeyState
from authsvc.operations.deps import Deps
from authsvc.operations.keep_going import keep_going
from authsvc.operations.renew_keys import observe_keys, renew_keys
from authsvc.operations.rotate_keys import activate, list_waiting

REPORT_SECONDS = 2.0
ROUND_SECONDS = 10.0
"""How long each may take: well within the time after which a node counts as gone."""
OBSERVE_EVERY = 30
"""Reports between two writings of the metrics: a minute."""
RENEW_EVERY = 30 * 60
"""Reports between two looks at the certificates' ends, the first at the start: an hour."""

_log = structlog.get_logger()


async def keep_keys(deps: Deps, *, id_: str, node: str) -> None:
    """Go round until cancelled; what fails is logged once, and again after it has been well in between."""
    done = 0

    async def go_round() -> None:
        nonlocal done
        await report_keys(deps, id_=id_, node=node)
        await finish_within(ROUND_SECONDS, activate_held_keys(deps))
        if done % RENEW_EVERY == 0:
            await renew_keys(deps)
        if done % OBSERVE_EVERY == 0:
            await observe_keys(deps)
        done += 1

    await keep_going(go_round, failed="keys.failed", every=REPORT_SECONDS)


async def report_keys(deps: Deps, *, id_: str, node: str) -> None:
    """Say which of the keys in use, or to come, this process holds; each of these has then passed its self-test."""
    await finish_within(ROUND_SECONDS, _report(deps, id_, node))


async def _report(deps: Deps, id_: str, node: str) -> None:
    async with deps.database.read() as read:
        records = await list_key_records(read)
    held = await asyncio.to_thread(_find_held, deps, [r for r in records if r.stage is not KeyState.RETIRED])
    async with deps.database.hot_read() as connection:
        await report_node(connection, id_, node, held)


def _find_held(deps: Deps, records: list[KeyRecord]) -> list[str]:
    """Return the ids of those that the folder holds and that registries would take; why another is not held is logged."""
    held, now = [], deps.now()
    for record in records:
        try:
            if deps.keys.find(record.id, now=now) is not None:
                held.append(record.id)
        except AuthsvcError as error:
            if record.is_new:
                _log.warning("keys.not_held", key=record.id, why=str(error))
    return held


async def activate_held_keys(deps: Deps) -> None:
    """Let new keys sign that every live node holds, under the policy lock; all nodes try, and the first does it."""
    async with deps.database.read() as read:
        ready = await _list_ready(read)
    if not ready:
        return
    async with deps.database.change(Requester(SYSTEM)) as change:
        for record in await _list_ready(change):
            await activate(change, record)
            _log.info("keys.activated", key=record.id, algorithm=record.algorithm, service=record.label)


async def _list_ready(read: Read) -> list[KeyRecord]:
    """Return the newest key of each algorithm and label that may begin to sign: no registry needs to be told of it first."""
    new = [record for record in await list_key_records(read) if record.is_new]
    nodes = await list_nodes(await read.driver()) if new else []
    ready = {
        (record.algorithm, record.label): record
        for record in new
        if not names_lacking(nodes, record.id) and not await list_waiting(read, record)
    }
    return list(ready.values())
