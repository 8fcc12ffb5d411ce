"""Groups and their members as stored."""

from typing import Any

from sqlalchemy import Select, delete, insert, select

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, begins, equals, narrow
from authsvc.adapters.postgres.tables import group_members, groups, users
from authsvc.core.canonical import Json
from authsvc.core.event import Thing
from authsvc.core.kind import Kind
from authsvc.core.names import user_key
from authsvc.core.records import GroupRecord, UserRecord

_CONDITIONS: Conditions = {"name": equals(groups.c.name), "q": begins(groups.c.name)}
_MEMBER_CONDITIONS: Conditions = {
    "name": lambda name: users.c.name_key == user_key(name),
    "q": lambda text: begins(users.c.name_key)(user_key(text)),
}


async def insert_group(change: Change, record: GroupRecord) -> None:
    """Store a new group."""
    statement = insert(groups).values(id=record.id, name=record.name, created_at=record.created_at)
    await change.write(statement, Kind.GROUP_CREATED, state=record.state(), things=record.things())


async def delete_group(change: Change, record: GroupRecord) -> None:
    """Remove a group with its memberships and bindings."""
    statement = delete(groups).where(groups.c.id == record.id)
    await change.write(statement, Kind.GROUP_DELETED, state=record.state(), things=record.things())


async def insert_member(change: Change, group: GroupRecord, user: UserRecord) -> None:
    """Put a user into a group."""
    statement = insert(group_members).values(group_id=group.id, user_id=user.id)
    await change.write(
        statement, Kind.MEMBERSHIP_CREATED, state=_membership(group, user), things=(Thing("user", user.id),)
    )


async def delete_member(change: Change, group: GroupRecord, user: UserRecord) -> None:
    """Take a user out of a group."""
    c = group_members.c
    statement = delete(group_members).where(c.group_id == group.id, c.user_id == user.id)
    await change.write(
        statement, Kind.MEMBERSHIP_DELETED, state=_membership(group, user), things=(Thing("user", user.id),)
    )


async def find_group_record(read: Read, name: str) -> GroupRecord | None:
    """Return a group by name."""
    row = await read.row(_select().where(groups.c.name == name))
    return None if row is None else GroupRecord(*row)


async def list_group_records(
    read: Read, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[GroupRecord]:
    """Return groups by name, from after `after` on."""
    statement = narrow(_select(), _CONDITIONS, where)
    rows = await read.rows(statement.where(groups.c.name > after).order_by(groups.c.name).limit(limit))
    return [GroupRecord(*row) for row in rows]


async def is_member(read: Read, group: GroupRecord, user: UserRecord) -> bool:
    """Say whether a user is in a group."""
    c = group_members.c
    return await read.row(select(c.user_id).where(c.group_id == group.id, c.user_id == user.id)) is not None


async def list_member_names(
    read: Read, group: GroupRecord, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[str]:
    """Return the names of a group's members, in order, from after `after` on."""
    statement = (
        select(users.c.name)
        .join(group_members, group_members.c.user_id == users.c.id)
        .where(group_members.c.group_id == group.id, users.c.name > after)
        .order_by(users.c.name)
        .limit(limit)
    )
    return [row[0] for row in await read.rows(narrow(statement, _MEMBER_CONDITIONS, where))]


def _select() -> Select[Any]:
    return select(groups.c.id, groups.c.name, groups.c.created_at, groups.c.version)


def _membership(group: GroupRecord, user: UserRecord) -> dict[str, Json]:
    return {"group": {"id": group.id, "name": group.name}, "user": {"id": user.id, "name": user.name}}
