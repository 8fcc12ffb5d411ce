"""Machine credentials as stored: their public parts and the digests of their secrets."""

from ipaddress import ip_network
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, insert, select

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.tables import credentials
from authsvc.core.credential import CredentialKind
from authsvc.core.event import Kind
from authsvc.core.limits import parse_limit
from authsvc.core.principal import Principal, PrincipalKind
from authsvc.core.records import CredentialRecord


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
    read: Read, owner: Principal, kind: CredentialKind, *, after: str, limit: int
) -> list[CredentialRecord]:
    """Return an owner's credentials of one kind by id, from after `after` on."""
    statement = _select(owner, kind).where(credentials.c.id > after).order_by(credentials.c.id).limit(limit)
    return [_record(row, owner) for row in await read.rows(statement)]


def _owned_by(owner: Principal) -> ColumnElement[bool]:
    if owner.kind is PrincipalKind.USER:
        return credentials.c.user_id == owner.id
    return credentials.c.robot_id == owner.id


def _select(owner: Principal, kind: CredentialKind) -> Select[Any]:
    c = credentials.c
    return select(
        c.id, c.kind, c.digest, c.label, c.slot, c.limits, c.cidrs, c.parent_id, c.owner_version, c.service, c.client,
        c.expires_at, c.created_at,
    ).where(_owned_by(owner), c.kind == kind)  # fmt: skip


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
