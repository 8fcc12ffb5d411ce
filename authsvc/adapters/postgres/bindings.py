"""Bindings as stored."""

from ipaddress import ip_network
from typing import Any

from sqlalchemy import Select, case, delete, func, insert, or_, select, update

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, equals, narrow
from authsvc.adapters.postgres.tables import bindings, group_members, groups, projects, robots, roles, users
from authsvc.core.kind import Kind
from authsvc.core.names import user_key
from authsvc.core.records import BindingRecord, Subject
from authsvc.core.repository import Pattern

_SUBJECT_COLUMNS = {"user": bindings.c.user_id, "group": bindings.c.group_id, "robot": bindings.c.robot_id}
_CONDITIONS: Conditions = {
    "role": equals(bindings.c.role),
    "subject": lambda name: or_(
        users.c.name_key == user_key(name), groups.c.name == name, robots.c.subject == name
    ),
    "subject_kind": lambda kind: _SUBJECT_COLUMNS[kind].is_not(None),
}


async def insert_binding(change: Change, record: BindingRecord) -> None:
    """Store a new binding; its project, if it has one, exists."""
    project_id = select(projects.c.id).where(projects.c.name == record.project).scalar_subquery()
    statement = insert(bindings).values(
        {
            "id": record.id,
            _SUBJECT_COLUMNS[record.subject.kind].name: record.subject.id,
            "project_id": None if record.project is None else project_id,
            "created_at": record.created_at,
            **_conditions(record),
        }
    )
    await change.write(statement, Kind.BINDING_CREATED, state=record.state(), things=record.things())


async def update_binding(change: Change, record: BindingRecord) -> None:
    """Store what is new of a binding, whose subject and project are not."""
    statement = (
        update(bindings)
        .where(bindings.c.id == record.id)
        .values({**_conditions(record), "version": record.version})
    )
    await change.write(statement, Kind.BINDING_CHANGED, state=record.state(), things=record.things())


async def delete_binding(change: Change, record: BindingRecord) -> None:
    """Remove a binding."""
    statement = delete(bindings).where(bindings.c.id == record.id)
    await change.write(statement, Kind.BINDING_DELETED, state=record.state(), things=record.things())


async def find_binding_record(read: Read, project: str | None, id_: str) -> BindingRecord | None:
    """Return a binding on a project, or on the system (None); one of another place is as good as absent."""
    row = await read.row(_select(project).where(bindings.c.id == id_))
    return None if row is None else _record(row)


async def list_binding_records(
    read: Read, project: str | None, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[BindingRecord]:
    """Return the bindings on a project, or on the system (None), by id, from after `after` on."""
    statement = narrow(_select(project), _CONDITIONS, where)
    statement = statement.where(bindings.c.id > after).order_by(bindings.c.id).limit(limit)
    return [_record(row) for row in await read.rows(statement)]


async def find_subject(read: Read, kind: str, name: str) -> Subject | None:
    """Return whom a binding's subject names: robots by their full names, `acme+ci`."""
    statement: Select[Any]
    if kind == "user":
        statement = select(users.c.id, users.c.name).where(users.c.name_key == user_key(name))
    elif kind == "group":
        statement = select(groups.c.id, groups.c.name).where(groups.c.name == name)
    else:
        statement = select(robots.c.id, robots.c.subject).where(robots.c.subject == name)
    row = await read.row(statement)
    return None if row is None else Subject(kind, row[0], row[1])


async def count_lasting_administrators(read: Read) -> int:
    """Return how many enabled users with a password hold `*:*` over the system for good, directly or through a group."""
    members = select(users.c.id).where(~users.c.disabled, users.c.password_hash.is_not(None))
    lasting = (
        select(bindings.c.user_id, bindings.c.group_id)
        .join(roles, roles.c.name == bindings.c.role)
        .where(
            bindings.c.project_id.is_(None),
            roles.c.permissions.contains(["*:*"]),
            bindings.c.expires_at.is_(None),
            bindings.c.not_before.is_(None),
            func.cardinality(bindings.c.services) == 0,
            func.cardinality(bindings.c.cidrs) == 0,
        )
        .subquery()
    )
    direct = select(lasting.c.user_id).where(lasting.c.user_id.is_not(None))
    grouped = select(group_members.c.user_id).join(lasting, lasting.c.group_id == group_members.c.group_id)
    row = await read.row(
        select(func.count()).select_from(members.where(users.c.id.in_(direct.union(grouped))).subquery())
    )
    return 0 if row is None else int(row[0])


def _conditions(record: BindingRecord) -> dict[str, Any]:
    return {
        "role": record.role,
        "repositories": [str(pattern) for pattern in record.repositories],
        "services": list(record.services),
        "cidrs": [str(network) for network in record.cidrs],
        "not_before": record.not_before,
        "expires_at": record.expires_at,
        "comment": record.comment,
    }


def _select(project: str | None) -> Select[Any]:
    c = bindings.c
    kind = case((c.user_id.is_not(None), "user"), (c.group_id.is_not(None), "group"), else_="robot")
    statement = select(
        c.id, c.role, kind, func.coalesce(c.user_id, c.group_id, c.robot_id),
        func.coalesce(users.c.name, groups.c.name, robots.c.subject), projects.c.name, c.created_at, c.repositories,
        c.services, c.cidrs, c.not_before, c.expires_at, c.comment, c.version,
    ).select_from(
        bindings.outerjoin(users, users.c.id == c.user_id)
        .outerjoin(groups, groups.c.id == c.group_id)
        .outerjoin(robots, robots.c.id == c.robot_id)
        .outerjoin(projects, projects.c.id == c.project_id)
    )  # fmt: skip
    return statement.where(c.project_id.is_(None) if project is None else projects.c.name == project)


def _record(row: Any) -> BindingRecord:
    (
        id_, role, kind, subject_id, subject, project, created_at, repositories, services, cidrs,
        not_before, expires_at, comment, version,
    ) = row  # fmt: skip
    return BindingRecord(
        id=id_,
        role=role,
        subject=Subject(kind, subject_id, subject),
        project=project,
        created_at=created_at,
        repositories=tuple(Pattern(tuple(text.split("/"))) for text in repositories),
        services=tuple(services),
        cidrs=tuple(ip_network(network) for network in cidrs),
        not_before=not_before,
        expires_at=expires_at,
        comment=comment,
        version=version,
    )
