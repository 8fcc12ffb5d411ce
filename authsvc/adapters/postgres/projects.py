"""Projects and robots as stored."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, begins, equals, narrow
from authsvc.adapters.postgres.tables import projects, robots
from authsvc.core.kind import Kind
from authsvc.core.principal import Visibility
from authsvc.core.records import ProjectRecord, RobotRecord

_PROJECT_CONDITIONS: Conditions = {
    "name": equals(projects.c.name),
    "q": begins(projects.c.name),
    "visibility": equals(projects.c.visibility),
}
_ROBOT_CONDITIONS: Conditions = {
    "name": equals(robots.c.name),
    "q": begins(robots.c.name),
    "disabled": equals(robots.c.disabled),
}


async def insert_project(change: Change, record: ProjectRecord) -> None:
    """Store a new project."""
    statement = insert(projects).values(
        id=record.id,
        name=record.name,
        visibility=record.visibility,
        description=record.description,
        created_at=record.created_at,
    )
    await change.write(statement, Kind.PROJECT_CREATED, state=record.state(), things=record.things())


async def update_project(change: Change, record: ProjectRecord) -> None:
    """Store what is new of a project, whose name is not."""
    statement = (
        update(projects)
        .where(projects.c.id == record.id)
        .values(visibility=record.visibility, description=record.description, version=record.version)
    )
    await change.write(statement, Kind.PROJECT_CHANGED, state=record.state(), things=record.things())


async def delete_project(change: Change, record: ProjectRecord) -> None:
    """Remove a project with its bindings and robots; what the registry stores under the name is not touched."""
    statement = delete(projects).where(projects.c.id == record.id)
    await change.write(statement, Kind.PROJECT_DELETED, state=record.state(), things=record.things())


async def find_project_record(read: Read, name: str) -> ProjectRecord | None:
    """Return a project by name."""
    row = await read.row(_select_projects().where(projects.c.name == name))
    return None if row is None else _project(row)


async def list_project_records(
    read: Read,
    *,
    after: str,
    limit: int,
    where: Where = EVERYTHING,
    among: Collection[str] | None = None,
) -> list[ProjectRecord]:
    """Return projects by name, from after `after` on; `among` are the names that come into question, None for all."""
    statement = narrow(_select_projects(), _PROJECT_CONDITIONS, where)
    if among is not None:
        statement = statement.where(projects.c.name.in_(among))
    statement = statement.where(projects.c.name > after).order_by(projects.c.name).limit(limit)
    return [_project(row) for row in await read.rows(statement)]


async def insert_robot(change: Change, record: RobotRecord) -> None:
    """Store a new robot; its project, if it has one, exists."""
    project_id = select(projects.c.id).where(projects.c.name == record.project).scalar_subquery()
    statement = insert(robots).values(
        id=record.id,
        project_id=None if record.project is None else project_id,
        name=record.name,
        subject=record.subject,
        description=record.description,
        disabled=record.disabled,
        created_at=record.created_at,
    )
    await change.write(statement, Kind.ROBOT_CREATED, state=record.state(), things=record.things())


async def update_robot(change: Change, record: RobotRecord) -> None:
    """Store what is new of a robot, whose name is not."""
    statement = (
        update(robots)
        .where(robots.c.id == record.id)
        .values(description=record.description, disabled=record.disabled, version=record.version)
    )
    await change.write(statement, Kind.ROBOT_CHANGED, state=record.state(), things=record.things())


async def delete_robot(change: Change, record: RobotRecord) -> None:
    """Remove a robot with its secrets and bindings."""
    statement = delete(robots).where(robots.c.id == record.id)
    await change.write(statement, Kind.ROBOT_DELETED, state=record.state(), things=record.things())


async def find_robot_record(read: Read, project: str | None, name: str) -> RobotRecord | None:
    """Return a robot of a project, or of the system (None)."""
    row = await read.row(_select_robots(project).where(robots.c.name == name))
    return None if row is None else _robot(row)


async def list_robot_records(
    read: Read, project: str | None, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[RobotRecord]:
    """Return the robots of a project, or of the system (None), by name, from after `after` on."""
    statement = narrow(_select_robots(project), _ROBOT_CONDITIONS, where)
    statement = statement.where(robots.c.name > after).order_by(robots.c.name).limit(limit)
    return [_robot(row) for row in await read.rows(statement)]


def _select_projects() -> Select[Any]:
    c = projects.c
    return select(c.id, c.name, c.created_at, c.visibility, c.description, c.version)


def _project(row: Any) -> ProjectRecord:
    id_, name, created_at, visibility, description, version = row
    return ProjectRecord(id_, name, created_at, Visibility(visibility), description, version)


def _select_robots(project: str | None) -> Select[Any]:
    c = robots.c
    statement = select(
        c.id, projects.c.name, c.name, c.created_at, c.description, c.disabled, c.version
    ).select_from(robots.outerjoin(projects, projects.c.id == c.project_id))
    return statement.where(c.project_id.is_(None) if project is None else projects.c.name == project)


def _robot(row: Any) -> RobotRecord:
    return RobotRecord(*row)
