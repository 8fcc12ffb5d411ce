"""Personal access tokens and refresh tokens: create (the former only), read, list, revoke."""

from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.credentials import (
    delete_credential,
    find_credential_record,
    insert_credential,
    list_credential_records,
)
from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.users import find_user_record
from authsvc.core.credential import MAX_LIFE, CredentialKind, MachineSecret, compose_secret
from authsvc.core.errors import Fault, ForbiddenError, InvalidInputError
from authsvc.core.names import user_key
from authsvc.core.principal import Limit, Network, Principal, PrincipalKind
from authsvc.core.records import CredentialRecord
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.administer_users import demand_sign_in_of
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of


@dataclass(frozen=True, slots=True)
class NewToken:
    """A personal access token to create; `limits` None can do what its owner can.

    It ends after MAX_LIFE at the latest, also where `expires_at` is None or later.
    """

    label: str = ""
    expires_at: datetime | None = None
    limits: tuple[Limit, ...] | None = None
    cidrs: tuple[Network, ...] = ()


async def create_token(
    deps: Deps, actor: Actor, user: str, new: NewToken
) -> tuple[CredentialRecord, MachineSecret]:
    """Create a token for oneself, or for a user whose rights one holds; return it with its text, this once.

    For oneself it needs the password, as a token that makes another outlives its own end and revocation. For others, a
    credential with limits or addresses of its own makes none, as the new one could be wider.
    """
    async with deps.database.change(actor.by) as change:
        latest = change.time + MAX_LIFE
        expires_at = latest if new.expires_at is None else min(new.expires_at, latest)
        if expires_at <= change.time:
            raise InvalidInputError(Fault("/expires_at", "must be in the future"))
        owner = await _owner(deps, change, actor, user, "user:write")
        if not actor.is_user(owner.id):
            await demand_sign_in_of(change, await read_authority(deps, change, actor), actor, owner)
        elif actor.who.kind is not CredentialKind.PASSWORD:
            raise ForbiddenError("sign in with your password to create a token: a token cannot make another")
        secret = compose_secret(CredentialKind.PERSONAL, deps.new_id(), deps.new_secret())
        record = CredentialRecord(
            id=secret.id,
            kind=CredentialKind.PERSONAL,
            owner=owner,
            created_at=change.time,
            digest=deps.digest.digest(secret.text, purpose="credential"),
            label=new.label,
            limits=new.limits,
            cidrs=new.cidrs,
            expires_at=expires_at,
        )
        await insert_credential(change, record)
    return record, secret


async def list_tokens(
    deps: Deps, actor: Actor, user: str, kind: CredentialKind, asked: Asked
) -> Page[CredentialRecord]:
    """Return the public parts of a user's personal access tokens or refresh tokens."""
    async with deps.database.read() as read:
        owner = await _owner(deps, read, actor, user, "user:read")
        page = await page_of(
            asked,
            lambda after, limit: list_credential_records(
                read, owner, kind, after=after, limit=limit, where=asked.where
            ),
            lambda record: record.id,
        )
        return await deps.last_uses.of_page(read, page)


async def get_token(deps: Deps, actor: Actor, user: str, kind: CredentialKind, id_: str) -> CredentialRecord:
    """Return the public parts of one token."""
    async with deps.database.read() as read:
        owner = await _owner(deps, read, actor, user, "user:read")
        record = found(await find_credential_record(read, owner, id_, kind), "token")
        return await deps.last_uses.of(read, record)


async def delete_token(
    deps: Deps, actor: Actor, user: str, kind: CredentialKind, id_: str, expected: Versions
) -> None:
    """Revoke a token, and the refresh tokens obtained with it."""
    async with deps.database.change(actor.by) as change:
        owner = await _owner(deps, change, actor, user, "user:write")
        record = found(await find_credential_record(change, owner, id_, kind), "token")
        check_version(record.version, expected)
        await delete_credential(change, record)


async def _owner(deps: Deps, read: Read, actor: Actor, name: str, permission: str) -> Principal:
    """Return the user whose tokens they are: oneself, as far as the credential's limits go, or anyone with the permission."""
    authority = await read_authority(deps, read, actor)
    own = actor.who.principal.kind is PrincipalKind.USER and user_key(name) == user_key(
        actor.who.principal.name
    )
    if own:
        authority.demand_over_oneself(permission)
    else:
        authority.demand(permission, SYSTEM_WIDE)
    record = found(await find_user_record(read, name), "user")
    return Principal(PrincipalKind.USER, record.id, record.name)
