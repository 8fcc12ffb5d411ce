"""Users: create, read, list, change, set the password, delete."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.policy import find_principal_policy
from authsvc.adapters.postgres.users import (
    delete_user,
    find_user_record,
    insert_user,
    list_user_records,
    update_password,
    update_user,
)
from authsvc.core.credential import CredentialKind
from authsvc.core.errors import Fault, ForbiddenError, InvalidInputError, NotFoundError
from authsvc.core.names import describe_bad_user_name, user_key
from authsvc.core.principal import Binding, Principal, PrincipalKind
from authsvc.core.records import UserRecord
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.choose_password import hash_new_password
from authsvc.operations.deps import Deps
from authsvc.operations.keep_administrator import keep_an_administrator
from authsvc.operations.page import Asked, Page, Versions, check_version, page_of


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to create; without a password nobody can sign in with one."""

    name: str
    password: str | None = field(default=None, repr=False)
    email: str | None = None
    display_name: str | None = None
    disabled: bool = False


async def create_user(deps: Deps, actor: Actor, new: NewUser) -> UserRecord:
    """Create a user; the password is hashed before any transaction begins.

    A password has neither limits nor addresses, so a credential that has any sets none.
    """
    if fault := describe_bad_user_name(new.name):
        raise InvalidInputError(Fault("/name", fault))
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("user:write", SYSTEM_WIDE)
    if new.password is not None:
        actor.demand_not_narrowed()
    password_hash = None
    if new.password is not None:
        password_hash = await hash_new_password(deps, new.password, name=new.name, email=new.email)
    async with deps.database.change(actor.by) as change:
        (await read_authority(deps, change, actor)).demand("user:write", SYSTEM_WIDE)
        record = UserRecord(
            id=deps.new_id(),
            name=new.name,
            created_at=change.time,
            email=new.email,
            display_name=new.display_name,
            disabled=new.disabled,
            password_hash=password_hash,
        )
        await insert_user(change, record)
    return record


async def get_user(deps: Deps, actor: Actor, name: str) -> UserRecord:
    """Return a user: oneself, or anyone with `user:read`."""
    async with deps.database.read() as read:
        return await deps.last_uses.of(read, await _readable_user(deps, read, actor, name))


async def list_users(deps: Deps, actor: Actor, asked: Asked) -> Page[UserRecord]:
    """Return users by name."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("user:read", SYSTEM_WIDE)
        page = await page_of(
            asked,
            lambda after, limit: list_user_records(read, after=after, limit=limit, where=asked.where),
            lambda u: u.name,
        )
        return await deps.last_uses.of_page(read, page)


async def change_user(
    deps: Deps, actor: Actor, name: str, fields: Mapping[str, str | bool | None], expected: Versions
) -> UserRecord:
    """Change `email`, `display_name` (oneself, too) or `disabled`; the last administrator cannot be disabled.

    Disabling takes away, and needs no more than `user:write`; enabling hands out all that the user may do.
    """
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        user = await _readable_user(deps, change, actor, name)
        if "disabled" in fields or not actor.is_user(user.id):
            authority.demand("user:write", SYSTEM_WIDE)
        else:
            authority.demand_over_oneself("user:write")
        if user.disabled and fields.get("disabled") is False:
            await demand_rights_of(change, authority, Principal(PrincipalKind.USER, user.id, user.name))
        check_version(user.version, expected)
        if fields:
            user = replace(user, **fields, version=user.version + 1)  # type: ignore[arg-type]  # the face has checked each field's type
            await update_user(change, user)
            await keep_an_administrator(change)
        return await deps.last_uses.of(change, user)


async def set_password(deps: Deps, actor: Actor, name: str, password: str, expected: Versions) -> None:
    """Set a user's password, which ends every refresh token that was obtained with the old one.

    One's own needs the old password, which the request was made with; another's needs everything that the other may do. A
    password is part of its user, and `expected` names the user's versions.
    """
    async with deps.database.read() as read:
        user = await _user_to_sign_in(deps, read, actor, name)
    password_hash = await hash_new_password(deps, password, name=user.name, email=user.email)
    async with deps.database.change(actor.by) as change:
        user = await _user_to_sign_in(deps, change, actor, name)
        check_version(user.version, expected)
        await _store_password(change, user, password_hash)


async def _user_to_sign_in(deps: Deps, read: Read, actor: Actor, name: str) -> UserRecord:
    """Return a user whose password the actor may set."""
    authority = await read_authority(deps, read, actor)
    user = await _readable_user(deps, read, actor, name)
    if not actor.is_user(user.id):
        authority.demand("user:write", SYSTEM_WIDE)
        await demand_sign_in_of(read, authority, actor, Principal(PrincipalKind.USER, user.id, user.name))
    elif actor.who.kind is not CredentialKind.PASSWORD:
        raise ForbiddenError("sign in with the old password to set a new one")
    return user


async def delete_user_named(deps: Deps, actor: Actor, name: str, expected: Versions) -> None:
    """Delete a user with all credentials and bindings; the last administrator cannot be deleted."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        record = await _readable_user(deps, change, actor, name)
        authority.demand("user:write", SYSTEM_WIDE)
        check_version(record.version, expected)
        await delete_user(change, record)
        await keep_an_administrator(change)


async def reset_password(deps: Deps, actor: Actor, name: str, password: str) -> None:
    """Set a password as `set_password` does, and enable the account too: for who is locked out. Raises NotFoundError."""
    async with deps.database.read() as read:
        user = await _user_to_sign_in(deps, read, actor, name)
    password_hash = await hash_new_password(deps, password, name=user.name, email=user.email)
    async with deps.database.change(actor.by) as change:
        old = await _user_to_sign_in(deps, change, actor, name)
        if old.disabled:
            old = replace(old, disabled=False, version=old.version + 1)
            await update_user(change, old)
        await _store_password(change, old, password_hash)


async def demand_rights_of(
    read: Read, authority: Authority, principal: Principal, *, until: datetime | None = None
) -> None:
    """Raise ForbiddenError unless the actor may do everything that `principal` may: a way to sign in as it hands that out.

    `until` is when that way ends, None when it does not.
    """
    policy = (await find_principal_policy(await read.driver(), principal)).value
    authority.demand_all_of(_cut(binding, until) for binding in policy.bindings)


def _cut(binding: Binding, until: datetime | None) -> Binding:
    ends = [end for end in (binding.expires_at, until) if end is not None]
    return replace(binding, expires_at=min(ends, default=None))


async def demand_sign_in_of(read: Read, authority: Authority, actor: Actor, principal: Principal) -> None:
    """Raise ForbiddenError unless the actor may make a way to sign in as another user, free of its own credential's bounds."""
    actor.demand_not_narrowed()
    await demand_rights_of(read, authority, principal)


async def _readable_user(deps: Deps, read: Read, actor: Actor, name: str) -> UserRecord:
    """Return a user that the actor may know of; whether others exist is not told to who may not read users."""
    authority = await read_authority(deps, read, actor)
    if user_key(name) == user_key(actor.who.principal.name):
        authority.demand_over_oneself("user:read")
    else:
        authority.demand("user:read", SYSTEM_WIDE)
    record = await find_user_record(read, name)
    if record is None or not (actor.is_user(record.id) or authority.may("user:read", SYSTEM_WIDE)):
        raise NotFoundError("there is no such user")
    return record


async def _store_password(change: Change, old: UserRecord, password_hash: str) -> None:
    record = replace(
        old,
        password_hash=password_hash,
        credential_version=old.credential_version + 1,
        version=old.version + 1,
    )
    await update_password(change, record)
