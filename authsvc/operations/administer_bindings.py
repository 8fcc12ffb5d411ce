"""Bindings: create, read, list, change, delete; nobody binds a role that holds more than he does over the same place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from authsvc.adapters.postgres.bindings import (
    delete_binding,
    find_binding_record,
    find_subject,
    insert_binding,
    list_binding_records,
    update_binding,
)
from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.projects import find_project_record
from authsvc.adapters.postgres.roles import find_role_record
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.permission import Role
from authsvc.core.principal import Binding, Network
from authsvc.core.records import BindingRecord
from authsvc.core.repository import EVERYTHING, Pattern
from authsvc.operations.act import Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.keep_administrator import keep_an_administrator
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of


@dataclass(frozen=True, slots=True)
class NewBinding:
    """A binding to create; robots are named in full, as `acme+ci`."""

    role: str
    subject_kind: str
    subject_name: str
    repositories: tuple[Pattern, ...] = (EVERYTHING,)
    services: tuple[str, ...] = ()
    cidrs: tuple[Network, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None
    comment: str = ""


async def create_binding(deps: Deps, actor: Actor, project: str | None, new: NewBinding) -> BindingRecord:
    """Bind a role on a project, or on the system (None)."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        await _demand(change, authority, "write", project)
        subject = await find_subject(change, new.subject_kind, new.subject_name)
        if subject is None:
            raise InvalidInputError(Fault("/subject/name", f"there is no {new.subject_kind} of this name"))
        record = BindingRecord(
            id=deps.new_id(),
            role=new.role,
            subject=subject,
            project=project,
            created_at=change.time,
            repositories=new.repositories,
            services=new.services,
            cidrs=new.cidrs,
            not_before=new.not_before,
            expires_at=new.expires_at,
            comment=new.comment,
        )
        await _check(change, authority, record)
        await insert_binding(change, record)
    return record


async def get_binding(deps: Deps, actor: Actor, project: str | None, id_: str) -> BindingRecord:
    """Return a binding."""
    async with deps.database.read() as read:
        await _demand(read, await read_authority(deps, read, actor), "read", project)
        return found(await find_binding_record(read, project, id_), "binding")


async def list_bindings(deps: Deps, actor: Actor, project: str | None, asked: Asked) -> Page[BindingRecord]:
    """Return the bindings on a project, or on the system, by id."""
    async with deps.database.read() as read:
        await _demand(read, await read_authority(deps, read, actor), "read", project)
        return await page_of(
            asked,
            lambda after, limit: list_binding_records(
                read, project, after=after, limit=limit, where=asked.where
            ),
            lambda binding: binding.id,
        )


async def change_binding(
    deps: Deps, actor: Actor, project: str | None, id_: str, fields: Mapping[str, Any], expected: Versions
) -> BindingRecord:
    """Change a binding's role, repositories, conditions or comment; its subject and project are fixed."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        await _demand(change, authority, "write", project)
        old = found(await find_binding_record(change, project, id_), "binding")
        check_version(old.version, expected)
        if not fields:
            return old
        record = replace(old, **fields, version=old.version + 1)
        await _check(change, authority, record)
        await update_binding(change, record)
        await keep_an_administrator(change)
    return record


async def delete_binding_by_id(
    deps: Deps, actor: Actor, project: str | None, id_: str, expected: Versions
) -> None:
    """Delete a binding; the last administrator's cannot go."""
    async with deps.database.change(actor.by) as change:
        await _demand(change, await read_authority(deps, change, actor), "write", project)
        record = found(await find_binding_record(change, project, id_), "binding")
        check_version(record.version, expected)
        await delete_binding(change, record)
        await keep_an_administrator(change)


async def _demand(read: Read, authority: Authority, action: str, project: str | None) -> None:
    """Demand the permission for bindings: the project's, which must exist, or, on the system, that for roles."""
    authority.demand(f"role:{action}" if project is None else f"project:{action}", project)
    if project is not None:
        found(await find_project_record(read, project), "project")


async def _check(change: Change, authority: Authority, record: BindingRecord) -> None:
    """Hold a binding that is to be stored against the rules that no constraint of the database can state."""
    if record.project is None and record.repositories != (EVERYTHING,):
        raise InvalidInputError(Fault("/repositories", 'must be ["**"] for a binding on the whole system'))
    if record.not_before and record.expires_at and record.not_before >= record.expires_at:
        raise InvalidInputError(Fault("/expires_at", "must be later than not_before"))
    role = await find_role_record(change, record.role)
    if role is None:
        raise InvalidInputError(Fault("/role", "there is no role of this name"))
    given = Binding(
        record.id,
        Role(role.name, frozenset(role.permissions)),
        record.project,
        record.repositories,
        cidrs=record.cidrs,
        expires_at=record.expires_at,
    )
    authority.demand_all_of([given])
