"""Rotating signing keys: a new one beside the old, used at once where registries trust the authority, elsewhere on request."""

import asyncio
from dataclasses import dataclass, replace

from authsvc.adapters.postgres.database import Change, Read
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


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new key, and the services whose registries must be given it before it may sign."""

    key: KeyRecord
    waiting: tuple[str, ...]


async def rotate_keys(deps: Deps, actor: Actor, algorithm: Algorithm | None, label: str) -> Rotated:
    """Make a new key, shared (`label` empty) or a service's own; `algorithm` None is the service's, or ES256.

    Under `x5c` it signs from the next token on. Where registries know keys by name it is published only: they must be
    given the new bundle and restarted first, and then it is activated. Raises ReadOnlyKeyFolderError when KEYS_DIR cannot
    be written.
    """
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("key:write", SYSTEM_WIDE)
        needed = await _algorithm_of(read, label) if label else Algorithm.ES256
    wanted = algorithm or needed
    now = deps.now()
    key = await asyncio.to_thread(lambda: deps.keys.create(wanted, label or None, now=now))
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("key:write", SYSTEM_WIDE)
        waiting = tuple(
            service.name
            for service in await _services_of(change, wanted, label)
            if service.header is not HeaderProfile.X5C
        )
        record = record_of(key, label, KeyState.PUBLISHED)
        await insert_key(change, record)
        if not waiting:
            record = await _activate(change, record)
    return Rotated(record, waiting)


async def activate_key(deps: Deps, actor: Actor, id_: str) -> KeyRecord:
    """Let a published key sign, once every registry that knows keys by name holds it."""
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("key:write", SYSTEM_WIDE)
        records = {record.id: record for record in await list_key_records(change)}
        if id_ not in records:
            raise NotFoundError("there is no such key")
        if records[id_].stage is not KeyState.PUBLISHED:
            raise ConflictError(f"the key is {records[id_].stage}, not published")
        if deps.keys.find(id_, now=deps.now()) is None:
            raise ConflictError("KEYS_DIR does not hold this key: copy it from the node that made it")
        return await _activate(change, records[id_])


async def _activate(change: Change, record: KeyRecord) -> KeyRecord:
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
    activated = replace(record, stage=KeyState.ACTIVE)
    await update_key_state(change, activated)
    return activated


async def _algorithm_of(read: Read, label: str) -> Algorithm:
    """Return what the key of a service's own is of; raises InvalidInputError for one that has none."""
    for record in await _all_services(read):
        if label_of(record.service) == label:
            return record.service.algorithm
    raise InvalidInputError(Fault("/service", "names no service that has a key of its own"))


async def _all_services(read: Read) -> list[ServiceRecord]:
    return await list_service_records(read, after="", limit=MANY)


async def _services_of(change: Change, algorithm: Algorithm, label: str) -> list[Service]:
    records = await _all_services(change)
    return [
        record.service
        for record in records
        if (record.service.algorithm, label_of(record.service)) == (algorithm, label)
    ]
