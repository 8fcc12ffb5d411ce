"""Groups: create, read, list, delete, and who is in them."""

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.groups import (
    delete_group,
    delete_member,
    find_group_record,
    insert_group,
    insert_member,
    is_member,
    list_group_records,
    list_member_names,
)
from authsvc.adapters.postgres.policy import find_group_bindings
from authsvc.adapters.postgres.users import find_user_record
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.names import describe_bad_plain_name
from authsvc.core.records import GroupRecord, UserRecord
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.keep_administrator import keep_an_administrator
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of


async def create_group(deps: Deps, actor: Actor, name: str) -> GroupRecord:
    """Create a group; nobody is in it."""
    if fault := describe_bad_plain_name(name):
        raise InvalidInputError(Fault("/name", fault))
    async with deps.database.change(actor.by) as change:
        await _authority(deps, change, actor, "group:write")
        record = GroupRecord(deps.new_id(), name, change.time)
        await insert_group(change, record)
    return record


async def get_group(deps: Deps, actor: Actor, name: str) -> GroupRecord:
    """Return a group."""
    async with deps.database.read() as read:
        await _authority(deps, read, actor, "group:read")
        return found(await find_group_record(read, name), "group")


async def list_groups(deps: Deps, actor: Actor, asked: Asked) -> Page[GroupRecord]:
    """Return groups by name."""
    async with deps.database.read() as read:
        await _authority(deps, read, actor, "group:read")
        return await page_of(
            asked,
            lambda after, limit: list_group_records(read, after=after, limit=limit, where=asked.where),
            lambda g: g.name,
        )


async def delete_group_named(deps: Deps, actor: Actor, name: str, expected: Versions) -> None:
    """Delete a group with its bindings; the last administrator's cannot go."""
    async with deps.database.change(actor.by) as change:
        await _authority(deps, change, actor, "group:write")
        record = found(await find_group_record(change, name), "group")
        check_version(record.version, expected)
        await delete_group(change, record)
        await keep_an_administrator(change)


async def list_members(deps: Deps, actor: Actor, name: str, asked: Asked) -> Page[str]:
    """Return the names of a group's members."""
    async with deps.database.read() as read:
        await _authority(deps, read, actor, "group:read")
        group = found(await find_group_record(read, name), "group")
        return await page_of(
            asked,
            lambda after, limit: list_member_names(read, group, after=after, limit=limit, where=asked.where),
            lambda n: n,
        )


async def add_member(deps: Deps, actor: Actor, name: str, user: str, expected: Versions) -> None:
    """Put a user into a group, which hands out all that is bound to the group; repeating it changes nothing.

    A membership is part of its group, and `expected` names the group's versions.
    """
    async with deps.database.change(actor.by) as change:
        authority = await _authority(deps, change, actor, "group:write")
        group, member = await _pair(change, name, user)
        check_version(group.version, expected)
        authority.demand_all_of(await find_group_bindings(await change.driver(), group.id))
        if not await is_member(change, group, member):
            await insert_member(change, group, member)


async def remove_member(deps: Deps, actor: Actor, name: str, user: str, expected: Versions) -> None:
    """Take a user out of a group; the last administrator cannot go. `expected` is as for `add_member`."""
    async with deps.database.change(actor.by) as change:
        await _authority(deps, change, actor, "group:write")
        group, member = await _pair(change, name, user)
        found(member if await is_member(change, group, member) else None, "member")
        check_version(group.version, expected)
        await delete_member(change, group, member)
        await keep_an_administrator(change)


async def _authority(deps: Deps, read: Read, actor: Actor, permission: str) -> Authority:
    authority = await read_authority(deps, read, actor)
    authority.demand(permission, SYSTEM_WIDE)
    return authority


async def _pair(change: Change, group: str, user: str) -> tuple[GroupRecord, UserRecord]:
    record = found(await find_group_record(change, group), "group")
    return record, found(await find_user_record(change, user), "user")
