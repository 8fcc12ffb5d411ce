"""Machine credentials as stored: their public parts and the digests of their secrets."""

from datetime import datetime
from ipaddress import ip_network
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, not_, or_, select, true

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, equals, narrow
from authsvc.adapters.postgres.tables import credentials, robots, users
from authsvc.core.credential import CredentialKind
from authsvc.core.kind import Kind
from authsvc.core.limits import parse_limit
from authsvc.core.principal import Principal, PrincipalKind
from authsvc.core.records import CredentialRecord

_C = credentials.c
_COLUMNS = (
    _C.id, _C.kind, _C.digest, _C.label, _C.slot, _C.limits, _C.cidrs, _C.parent_id, _C.owner_version, _C.service,
    _C.client, _C.expires_at, _C.created_at,
)  # fmt: skip
_CONDITIONS: Conditions = {
    "label": equals(_C.label),
    "service": equals(_C.service),
    "client": equals(_C.client),
}


async def insert_credential(change: Change, record: CredentialRecord) -> None:
    """Store a credential; its event moves no policy revision."""
    is_user = record.owner.kind is PrincipalKind.USER
    statement = insert(credentials).values(
        id=record.id,
        kind=record.kind,
        user_id=record.owner.id if is_user else None,
        robot_id=None if is_user else record.owner.id,
        digest=record.digest,
        label=record.label,
        slot=record.slot,
        limits=None if record.limits is None else [str(limit) for limit in record.limits],
        cidrs=[str(network) for network in record.cidrs],
        parent_id=record.parent,
        owner_version=record.owner_version,
        service=record.service,
        client=record.client,
        expires_at=record.expires_at,
        created_at=record.created_at,
    )
    await change.write(statement, Kind.CREDENTIAL_CREATED, state=record.state(), things=record.things())


async def delete_credential(change: Change, record: CredentialRecord) -> None:
    """Revoke a credential, and with it the refresh tokens that were obtained with it."""
    statement = delete(credentials).where(credentials.c.id == record.id)
    await change.write(statement, Kind.CREDENTIAL_REVOKED, state=record.state(), things=record.things())


async def find_credential_record(
    read: Read, owner: Principal, id_: str, kind: CredentialKind
) -> CredentialRecord | None:
    """Return one credential of an owner, or None; another owner's is as good as absent."""
    row = await read.row(_select(owner, kind).where(credentials.c.id == id_))
    return None if row is None else _record(row, owner)


async def list_credential_records(
    read: Read, owner: Principal, kind: CredentialKind, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[CredentialRecord]:
    """Return an owner's credentials of one kind by id, from after `after` on."""
    statement = narrow(_select(owner, kind), _CONDITIONS, where)
    statement = statement.where(credentials.c.id > after).order_by(credentials.c.id).limit(limit)
    return [_record(row, owner) for row in await read.rows(statement)]


async def count_live_refresh_tokens(change: Change, owner: Principal) -> int:
    """Return how many refresh tokens of an owner could still be used."""
    c = credentials.c
    statement = select(func.count()).where(
        _owned_by(owner), c.kind == CredentialKind.REFRESH, _is_live(change.time)
    )
    return int((await change.row(statement))[0])


async def list_dead_credentials(change: Change, *, limit: int) -> list[CredentialRecord]:
    """Return credentials of anybody's that have expired, or that a change of password has ended; refresh tokens first."""
    return await _list_any(change, not_(_is_live(change.time)), limit=limit)


async def list_all_credentials(change: Change, *, limit: int) -> list[CredentialRecord]:
    """Return credentials of anybody's; refresh tokens first."""
    return await _list_any(change, true(), limit=limit)


async def _list_any(change: Change, which: ColumnElement[bool], *, limit: int) -> list[CredentialRecord]:
    c = credentials.c
    owner = select(
        *_COLUMNS, c.user_id, func.coalesce(users.c.name, robots.c.subject), c.robot_id
    ).select_from(
        credentials.outerjoin(users, users.c.id == c.user_id).outerjoin(robots, robots.c.id == c.robot_id)
    )
    # What dies with another comes before it, so that each has its own event.
    statement = owner.where(which).order_by(c.parent_id.is_(None), c.id).limit(limit)
    records = []
    for *columns, user_id, name, robot_id in await change.rows(statement):
        kind, id_ = (PrincipalKind.USER, user_id) if robot_id is None else (PrincipalKind.ROBOT, robot_id)
        records.append(_record(columns, Principal(kind, id_, name)))
    return records


def _is_live(now: datetime) -> ColumnElement[bool]:
    """Say in SQL whether a credential has neither expired nor been ended by a change of its owner's password; never null."""
    c = credentials.c
    version = (
        select(users.c.credential_version)
        .where(users.c.id == c.user_id)
        .correlate(credentials)
        .scalar_subquery()
    )
    return and_(
        or_(c.expires_at.is_(None), c.expires_at > now),
        or_(c.owner_version.is_(None), c.owner_version == version),
    )


def _owned_by(owner: Principal) -> ColumnElement[bool]:
    if owner.kind is PrincipalKind.USER:
        return credentials.c.user_id == owner.id
    return credentials.c.robot_id == owner.id


def _select(owner: Principal, kind: CredentialKind) -> Select[Any]:
    return select(*_COLUMNS).where(_owned_by(owner), credentials.c.kind == kind)


def _record(row: Any, owner: Principal) -> CredentialRecord:
    (
        id_,
        kind,
        digest,
        label,
        slot,
        limits,
        cidrs,
        parent,
        owner_version,
        service,
        client,
        expires_at,
        created_at,
    ) = row
    return CredentialRecord(
        id=id_,
        kind=CredentialKind(kind),
        owner=owner,
        created_at=created_at,
        digest=digest,
        label=label,
        slot=slot,
        limits=None if limits is None else tuple(parse_limit(text) for text in limits),
        cidrs=tuple(ip_network(network) for network in cidrs),
        parent=parent,
        owner_version=owner_version,
        service=service,
        client=client,
        expires_at=expires_at,
    )
