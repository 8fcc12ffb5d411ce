"""Rotating signing keys: a new one is published beside the old, and signs once every node holds it; see `keep_keys`.

Where registries know keys by name they must hold it first, so there it waits for the operator, too.
"""

import asyncio
from dataclasses import dataclass, replace

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.nodes import list_nodes, names_lacking
from authsvc.adapters.postgres.services import (
    insert_key,
    list_key_records,
    list_service_records,
    update_key_state,
)
from authsvc.core.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from authsvc.core.records import KeyRecord, KeyState, ServiceRecord
from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.register_keys import label_of, record_of

MANY = 10_000
PATIENCE = 5
"""Seconds in which nodes that read KEYS_DIR say that they hold a new key."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new key, and the services whose registries must be given it before it may sign."""

    key: KeyRecord
    waiting: tuple[str, ...]


async def rotate_keys(deps: Deps, actor: Actor, algorithm: Algorithm | None, label: str) -> Rotated:
    """Make a new key, shared (`label` empty) or a service's own; `algorithm` None is the service's, or ES256.

    It is published. Under `x5c` it signs seconds later, once every live node holds it. Where registries know keys by name
    (`waiting`) they must be given the new bundle and restarted first, and then it is activated. Raises
    ReadOnlyKeyFolderError when KEYS_DIR cannot be written.
    """
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("key:write", SYSTEM_WIDE)
        needed = await _algorithm_of(read, label) if label else Algorithm.ES256
    wanted = algorithm or needed
    now = deps.now()
    key = await asyncio.to_thread(lambda: deps.keys.create(wanted, label or None, now=now))
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("key:write", SYSTEM_WIDE)
        record = record_of(key, label)
        await insert_key(change, record)
        return Rotated(record, await list_waiting(change, record))


async def activate_key(deps: Deps, actor: Actor, id_: str) -> KeyRecord:
    """Let a published key sign, once every registry that knows keys by name holds it.

    Raises ConflictError when it is not published, or when a live node does not hold it.
    """
    await _await_nodes(deps, actor, id_)
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("key:write", SYSTEM_WIDE)
        records = {record.id: record for record in await list_key_records(change)}
        if id_ not in records:
            raise NotFoundError("there is no such key")
        if records[id_].stage is not KeyState.PUBLISHED:
            raise ConflictError(f"the key is {records[id_].stage}, not published")
        if deps.keys.find(id_, now=deps.now()) is None:
            raise ConflictError("KEYS_DIR does not hold this key: copy it from the node that made it")
        lacking = await _nodes_lacking(change, id_)
        if lacking:
            raise ConflictError(
                f"these nodes do not hold this key: {', '.join(lacking)}: copy KEYS_DIR to them, or stop them"
            )
        return await activate(change, records[id_])


async def list_waiting(read: Read, record: KeyRecord) -> tuple[str, ...]:
    """Return the names of the services whose registries know a key by name, and so must be given it before it signs."""
    return tuple(
        service.name
        for service in await _services_of(read, record.algorithm, record.label)
        if service.header is not HeaderProfile.X5C
    )


async def activate(change: Change, record: KeyRecord) -> KeyRecord:
    """Make one key of its algorithm and label the active one; its predecessor stays published, older ones are retired."""
    same = [
        other
        for other in await list_key_records(change)
        if (other.algorithm, other.label) == (record.algorithm, record.label) and other.id != record.id
    ]
    for other in same:
        if other.stage is KeyState.ACTIVE:
            await update_key_state(change, replace(other, stage=KeyState.PUBLISHED))
        elif other.stage is KeyState.PUBLISHED and other.created_at < record.created_at:
            await update_key_state(change, replace(other, stage=KeyState.RETIRED))
    activated = replace(record, stage=KeyState.ACTIVE, activated_at=change.time)
    await update_key_state(change, activated)
    return activated


async def _algorithm_of(read: Read, label: str) -> Algorithm:
    """Return what the key of a service's own is of; raises InvalidInputError for one that has none."""
    for record in await _all_services(read):
        if label_of(record.service) == label:
            return record.service.algorithm
    raise InvalidInputError(Fault("/service", "names no service that has a key of its own"))


async def _await_nodes(deps: Deps, actor: Actor, id_: str) -> None:
    """Give the nodes a moment to find a key that has just been made; who may not activate it waits for nothing."""
    for _ in range(PATIENCE):
        async with deps.database.read() as read:
            (await read_authority(deps, read, actor)).demand("key:write", SYSTEM_WIDE)
            if not await _nodes_lacking(read, id_):
                return
        await asyncio.sleep(1)


async def _nodes_lacking(read: Read, id_: str) -> list[str]:
    return names_lacking(await list_nodes(await read.driver()), id_)


async def _all_services(read: Read) -> list[ServiceRecord]:
    return await list_service_records(read, after="", limit=MANY)


async def _services_of(read: Read, algorithm: Algorithm, label: str) -> list[Service]:
    records = await _all_services(read)
    return [
        record.service
        for record in records
        if (record.service.algorithm, label_of(record.service)) == (algorithm, label)
    ]
