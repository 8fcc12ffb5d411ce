"""Roles: create, read, list, change, delete; nobody puts into a role what he does not hold himself, everywhere."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authsvc.adapters.postgres.roles import (
    delete_role,
    find_role_record,
    insert_role,
    list_role_records,
    update_role,
)
from authsvc.core.errors import ConflictError, Fault, InvalidInputError
from authsvc.core.names import describe_bad_plain_name
from authsvc.core.permission import Permission, Role
from authsvc.core.principal import Binding
from authsvc.core.records import RoleRecord
from authsvc.core.repository import EVERYTHING
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.keep_administrator import keep_an_administrator
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of


async def create_role(
    deps: Deps, actor: Actor, name: str, permissions: tuple[Permission, ...], description: str
) -> RoleRecord:
    """Create a role."""
    if fault := describe_bad_plain_name(name):
        raise InvalidInputError(Fault("/name", fault))
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("role:write", SYSTEM_WIDE)
        record = RoleRecord(name, tuple(sorted(set(permissions))), change.time, description)
        _demand_everywhere(authority, record)
        await insert_role(change, record)
    return record


async def get_role(deps: Deps, actor: Actor, name: str) -> RoleRecord:
    """Return a role; whoever signs in may, as it says what a binding is worth."""
    async with deps.database.read() as read:
        await read_authority(deps, read, actor)
        return found(await find_role_record(read, name), "role")


async def list_roles(deps: Deps, actor: Actor, asked: Asked) -> Page[RoleRecord]:
    """Return roles by name; whoever signs in may."""
    async with deps.database.read() as read:
        await read_authority(deps, read, actor)
        return await page_of(
            asked,
            lambda after, limit: list_role_records(read, after=after, limit=limit, where=asked.where),
            lambda r: r.name,
        )


async def change_role(
    deps: Deps, actor: Actor, name: str, fields: Mapping[str, Any], expected: Versions
) -> RoleRecord:
    """Change a role's permissions or description, at once for everybody it is bound to; the last administrator stays."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("role:write", SYSTEM_WIDE)
        old = found(await find_role_record(change, name), "role")
        check_version(old.version, expected)
        if not fields:
            return old
        _refuse_built_in(old)
        record = replace(old, **fields, version=old.version + 1)
        record = replace(record, permissions=tuple(sorted(set(record.permissions))))
        _demand_everywhere(authority, record)
        await update_role(change, record)
        await keep_an_administrator(change)
    return record


async def delete_role_named(deps: Deps, actor: Actor, name: str, expected: Versions) -> None:
    """Delete a role that no binding uses."""
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("role:write", SYSTEM_WIDE)
        record = found(await find_role_record(change, name), "role")
        check_version(record.version, expected)
        _refuse_built_in(record)
        await delete_role(change, record)


def _refuse_built_in(record: RoleRecord) -> None:
    if record.built_in:
        raise ConflictError("a built-in role cannot be changed: make another one")


def _demand_everywhere(authority: Authority, record: RoleRecord) -> None:
    """Demand each permission over the whole system: the role may be bound anywhere."""
    role = Role(record.name, frozenset(record.permissions))
    authority.demand_all_of([Binding("", role, None, (EVERYTHING,))])
