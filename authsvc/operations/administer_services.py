"""Services: register, read, list, change, retire."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authsvc.adapters.postgres.services import (
    delete_service,
    find_service_record,
    insert_service,
    list_service_records,
    update_service,
)
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.names import describe_bad_service_name
from authsvc.core.records import ServiceRecord
from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of
from authsvc.operations.register_keys import active_or_new_key, label_of


async def create_service(deps: Deps, actor: Actor, service: Service) -> ServiceRecord:
    """Register a service, with a key where it is the first that needs such one.

    A name prefix says which project a name is in, and so whose rights it needs: who sets one must hold everything everywhere.
    """
    _check(service)
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("service:write", SYSTEM_WIDE)
    await _prepare_key(deps, service)
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("service:write", SYSTEM_WIDE)
        if service.name_prefix:
            authority.demand_to_hand_out("repository:*", SYSTEM_WIDE)
        record = ServiceRecord(service, change.time)
        await insert_service(change, record)
        await active_or_new_key(deps, change, service)
    return record


async def get_service(deps: Deps, actor: Actor, name: str) -> ServiceRecord:
    """Return a service by its name."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("service:read", SYSTEM_WIDE)
        return found(await find_service_record(read, name), "service")


async def list_services(deps: Deps, actor: Actor, asked: Asked) -> Page[ServiceRecord]:
    """Return services by name."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("service:read", SYSTEM_WIDE)
        return await page_of(
            asked,
            lambda after, limit: list_service_records(read, after=after, limit=limit, where=asked.where),
            lambda record: record.service.name,
        )


async def change_service(
    deps: Deps, actor: Actor, name: str, fields: Mapping[str, Any], expected: Versions
) -> ServiceRecord:
    """Change everything of a service but its name."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("service:write", SYSTEM_WIDE)
        seen = found(await find_service_record(read, name), "service")
    await _prepare_key(deps, replace(seen.service, **fields))
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("service:write", SYSTEM_WIDE)
        old = found(await find_service_record(change, name), "service")
        check_version(old.version, expected)
        if not fields:
            return old
        service = replace(old.service, **fields)
        _check(service)
        if service.name_prefix != old.service.name_prefix:
            authority.demand_to_hand_out("repository:*", SYSTEM_WIDE)
        record = replace(old, service=service, version=old.version + 1)
        await update_service(change, record, old)
        await active_or_new_key(deps, change, service)
    return record


async def delete_service_named(deps: Deps, actor: Actor, name: str, expected: Versions) -> None:
    """Retire a service: its registry gets no more tokens, and what was signed in for it is signed out."""
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("service:write", SYSTEM_WIDE)
        record = found(await find_service_record(change, name), "service")
        check_version(record.version, expected)
        await delete_service(change, record)


def _check(service: Service) -> None:
    """Raise InvalidInputError for what no registry could work with."""
    for where, names in (("/name", (service.name,)), ("/aliases", service.aliases)):
        for name in names:
            if fault := describe_bad_service_name(name):
                raise InvalidInputError(Fault(where, fault))
    if len({service.name, *service.aliases}) != 1 + len(service.aliases):
        raise InvalidInputError(Fault("/aliases", "must differ from one another and from the name"))
    if service.algorithm is Algorithm.EDDSA and service.header is HeaderProfile.LIBTRUST_KID:
        raise InvalidInputError(
            Fault("/header", "libtrust-kid is for registries that cannot load an Ed25519 key")
        )


async def _prepare_key(deps: Deps, service: Service) -> None:
    """Make the key that the service needs before any transaction begins: an RSA key may take seconds."""
    label = label_of(service) or None
    if deps.keys.newest(service.algorithm, label) is None:
        now = deps.now()
        await asyncio.to_thread(lambda: deps.keys.create(service.algorithm, label, now=now))
