"""Projects: create, read, list, change, delete."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from authsvc.adapters.postgres.projects import (
    delete_project,
    find_project_record,
    insert_project,
    list_project_records,
    update_project,
)
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.names import describe_bad_project_name
from authsvc.core.principal import Visibility
from authsvc.core.records import ProjectRecord
from authsvc.operations.act import Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, Versions, check_version, found, page_of

_WIDTH = (Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC)


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to create."""

    name: str
    visibility: Visibility = Visibility.PRIVATE
    description: str = ""


async def create_project(deps: Deps, actor: Actor, new: NewProject) -> ProjectRecord:
    """Create a project; it needs `project:write` over the system, as a project that is not there yet has no owner."""
    if fault := describe_bad_project_name(new.name):
        raise InvalidInputError(Fault("/name", fault))
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("project:write", None)
        if new.visibility is not Visibility.PRIVATE:
            _demand_to_show(authority, None)
        record = ProjectRecord(deps.new_id(), new.name, change.time, new.visibility, new.description)
        await insert_project(change, record)
    return record


async def get_project(deps: Deps, actor: Actor, name: str) -> ProjectRecord:
    """Return a project."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("project:read", name)
        return found(await find_project_record(read, name), "project")


async def list_projects(deps: Deps, actor: Actor, asked: Asked) -> Page[ProjectRecord]:
    """Return the projects that the actor may read, by name."""
    async with deps.database.read() as read:
        authority = await read_authority(deps, read, actor)
        readable = None if authority.may("project:read", None) else _readable(authority)
        return await page_of(
            asked,
            lambda after, limit: list_project_records(
                read, after=after, limit=limit, where=asked.where, among=readable
            ),
            lambda project: project.name,
        )


def _readable(authority: Authority) -> list[str]:
    bound = {b.project for b in authority.snapshot.bindings if b.project is not None}
    return sorted(name for name in bound if authority.may("project:read", name))


async def change_project(
    deps: Deps, actor: Actor, name: str, fields: Mapping[str, str], expected: Versions
) -> ProjectRecord:
    """Change `visibility` or `description`."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        authority.demand("project:write", name)
        old = found(await find_project_record(change, name), "project")
        check_version(old.version, expected)
        if not fields:
            return old
        record = replace(old, **fields, version=old.version + 1)  # type: ignore[arg-type]  # the face has checked each field's type
        if _WIDTH.index(record.visibility) > _WIDTH.index(old.visibility):
            _demand_to_show(authority, name)
        await update_project(change, record)
    return record


async def delete_project_named(deps: Deps, actor: Actor, name: str, expected: Versions) -> None:
    """Delete a project with its bindings and robots; it needs `project:write` over the system, as creating does."""
    async with deps.database.change(actor.by) as change:
        authority = await read_authority(deps, change, actor)
        _demand_to_delete(authority, name)
        record = found(await find_project_record(change, name), "project")
        check_version(record.version, expected)
        await delete_project(change, record)


def _demand_to_show(authority: Authority, project: str | None) -> None:
    """Demand what a wider visibility hands out: whoever may not pull everything there, and for good, lets nobody else."""
    authority.demand_to_hand_out("repository:pull", project)


def _demand_to_delete(authority: Authority, name: str) -> None:
    authority.demand("project:read", name)
    authority.demand("project:write", None)
