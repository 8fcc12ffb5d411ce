"""Roles as stored."""

from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, begins, equals, narrow
from authsvc.adapters.postgres.tables import roles
from authsvc.core.kind import Kind
from authsvc.core.permission import Permission
from authsvc.core.records import RoleRecord

_CONDITIONS: Conditions = {
    "name": equals(roles.c.name),
    "q": begins(roles.c.name),
    "built_in": equals(roles.c.built_in),
}


async def insert_role(change: Change, record: RoleRecord) -> None:
    """Store a new role."""
    statement = insert(roles).values(
        name=record.name,
        permissions=[str(permission) for permission in record.permissions],
        description=record.description,
        built_in=record.built_in,
        created_at=record.created_at,
    )
    await change.write(statement, Kind.ROLE_CREATED, state=record.state(), things=record.things())


async def update_role(change: Change, record: RoleRecord) -> None:
    """Store what is new of a role, whose name is not."""
    statement = (
        update(roles)
        .where(roles.c.name == record.name)
        .values(
            permissions=[str(permission) for permission in record.permissions],
            description=record.description,
            version=record.version,
        )
    )
    await change.write(statement, Kind.ROLE_CHANGED, state=record.state(), things=record.things())


async def delete_role(change: Change, record: RoleRecord) -> None:
    """Remove a role; raises ConflictError while bindings use it."""
    statement = delete(roles).where(roles.c.name == record.name)
    await change.write(statement, Kind.ROLE_DELETED, state=record.state(), things=record.things())


async def find_role_record(read: Read, name: str) -> RoleRecord | None:
    """Return a role by name."""
    row = await read.row(_select().where(roles.c.name == name))
    return None if row is None else _record(row)


async def list_role_records(
    read: Read, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[RoleRecord]:
    """Return roles by name, from after `after` on."""
    statement = narrow(_select(), _CONDITIONS, where)
    rows = await read.rows(statement.where(roles.c.name > after).order_by(roles.c.name).limit(limit))
    return [_record(row) for row in rows]


def _select() -> Select[Any]:
    c = roles.c
    return select(c.name, c.permissions, c.created_at, c.description, c.built_in, c.version)


def _record(row: Any) -> RoleRecord:
    name, permissions, created_at, description, built_in, version = row
    parsed = tuple(Permission(*text.split(":")) for text in permissions)
    return RoleRecord(name, parsed, created_at, description, built_in, version)
