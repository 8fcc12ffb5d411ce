"""Users as stored."""

from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, begins, equals, narrow
from authsvc.adapters.postgres.tables import users
from authsvc.core.canonical import Json
from authsvc.core.kind import Kind
from authsvc.core.names import user_key
from authsvc.core.records import UserRecord

_COLUMNS = (
    users.c.id, users.c.name, users.c.created_at, users.c.email, users.c.display_name, users.c.disabled,
    users.c.credential_version, users.c.version, users.c.password_hash,
)  # fmt: skip
_CONDITIONS: Conditions = {
    "name": lambda name: users.c.name_key == user_key(name),
    "q": lambda text: begins(users.c.name_key)(user_key(text)),
    "email": equals(users.c.email),
    "disabled": equals(users.c.disabled),
}


async def insert_user(change: Change, record: UserRecord) -> None:
    """Store a new user."""
    statement = insert(users).values(
        id=record.id,
        name=record.name,
        name_key=user_key(record.name),
        email=record.email,
        display_name=record.display_name,
        disabled=record.disabled,
        password_hash=record.password_hash,
        credential_version=record.credential_version,
        created_at=record.created_at,
    )
    await change.write(statement, Kind.USER_CREATED, state=record.state(), things=record.things())


async def update_user(change: Change, record: UserRecord) -> None:
    """Store what is new of a user, whose name and password are not."""
    statement = (
        update(users)
        .where(users.c.id == record.id)
        .values(
            email=record.email,
            display_name=record.display_name,
            disabled=record.disabled,
            version=record.version,
        )
    )
    await change.write(statement, Kind.USER_CHANGED, state=record.state(), things=record.things())


async def update_password(change: Change, record: UserRecord) -> None:
    """Store a user's new password hash and credential version, which ends what was obtained with the old password."""
    statement = (
        update(users)
        .where(users.c.id == record.id)
        .values(
            password_hash=record.password_hash,
            credential_version=record.credential_version,
            version=record.version,
        )
    )
    state: dict[str, Json] = {"kind": "password", "user": record.state()}
    await change.write(statement, Kind.CREDENTIAL_CHANGED, state=state, things=record.things())


async def delete_user(change: Change, record: UserRecord) -> None:
    """Remove a user with all credentials, memberships and bindings."""
    statement = delete(users).where(users.c.id == record.id)
    await change.write(statement, Kind.USER_DELETED, state=record.state(), things=record.things())


async def find_user_record(read: Read, name: str) -> UserRecord | None:
    """Return a user by name, whatever its case."""
    row = await read.row(_select().where(users.c.name_key == user_key(name)))
    return None if row is None else _record(row)


async def list_user_records(
    read: Read, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[UserRecord]:
    """Return users by name, from after `after` on."""
    statement = narrow(_select(), _CONDITIONS, where)
    rows = await read.rows(statement.where(users.c.name > after).order_by(users.c.name).limit(limit))
    return [_record(row) for row in rows]


def _select() -> Select[Any]:
    return select(*_COLUMNS)


def _record(row: Any) -> UserRecord:
    id_, name, created_at, email, display_name, disabled, credential_version, version, password_hash = row
    return UserRecord(
        id=id_,
        name=name,
        created_at=created_at,
        email=email,
        display_name=display_name,
        disabled=disabled,
        credential_version=credential_version,
        version=version,
        password_hash=password_hash,
    )
