"""What will expire: bindings, robot secrets and personal access tokens, by their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, null, or_, select, tuple_, union_all

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.tables import bindings, credentials, groups, projects, robots, users
from authsvc.core.credential import CredentialKind
from authsvc.core.records import ExpiringRecord, Subject


@dataclass(frozen=True, slots=True)
class Readable:
    """Whose things may be listed. `projects` None are all; `tokens_of` is a user whose own tokens may be, whoever else's may."""

    projects: Sequence[str] | None
    system_bindings: bool
    system_robots: bool
    tokens: bool
    tokens_of: str | None


async def list_expiring(
    read: Read, readable: Readable, *, after: tuple[datetime, str], until: datetime, limit: int
) -> list[ExpiringRecord]:
    """Return what ends from after `after` (a time and an id) on until `until`, the first to end first."""
    parts = []
    for part, ends, id_ in (
        (_bindings(readable), bindings.c.expires_at, bindings.c.id),
        (_secrets(readable), credentials.c.expires_at, credentials.c.id),
        (_tokens(readable), credentials.c.expires_at, credentials.c.id),
    ):
        soon = part.where(ends >= after[0], ends <= until, tuple_(ends, id_) > tuple_(*after))
        # Each part is cut by itself, so that its index gives the first few without sorting all.
        parts.append(soon.order_by(ends, id_).limit(limit).subquery().select())
    every = union_all(*parts).subquery()
    rows = await read.rows(select(every).order_by(every.c.expires_at, every.c.id).limit(limit))
    return [_record(row) for row in rows]


def _bindings(readable: Readable) -> Select[Any]:
    c = bindings.c
    kind = case((c.user_id.is_not(None), "user"), (c.group_id.is_not(None), "group"), else_="robot")
    return (
        select(
            literal("binding").label("kind"), c.id.label("id"), kind.label("subject_kind"),
            func.coalesce(c.user_id, c.group_id, c.robot_id).label("subject_id"),
            func.coalesce(users.c.name, groups.c.name, robots.c.subject).label("subject"),
            projects.c.name.label("project"), c.role.label("role"), null().label("label"), c.expires_at.label("expires_at"),
        )
        .select_from(
            bindings.outerjoin(users, users.c.id == c.user_id)
            .outerjoin(groups, groups.c.id == c.group_id)
            .outerjoin(robots, robots.c.id == c.robot_id)
            .outerjoin(projects, projects.c.id == c.project_id)
        )
        .where(_in_place(readable, c.project_id, system=readable.system_bindings))
    )  # fmt: skip


def _secrets(readable: Readable) -> Select[Any]:
    c = credentials.c
    return (
        select(
            literal("robot_secret").label("kind"), c.id.label("id"), literal("robot").label("subject_kind"),
            robots.c.id.label("subject_id"), robots.c.subject.label("subject"), projects.c.name.label("project"),
            null().label("role"), c.label.label("label"), c.expires_at.label("expires_at"),
        )
        .select_from(
            credentials.join(robots, robots.c.id == c.robot_id).outerjoin(
                projects, projects.c.id == robots.c.project_id
            )
        )
        .where(
            c.kind == CredentialKind.ROBOT,
            _in_place(readable, robots.c.project_id, system=readable.system_robots),
        )
    )  # fmt: skip


def _tokens(readable: Readable) -> Select[Any]:
    c = credentials.c
    return (
        select(
            literal("personal_access_token").label("kind"), c.id.label("id"), literal("user").label("subject_kind"),
            users.c.id.label("subject_id"), users.c.name.label("subject"), null().label("project"), null().label("role"),
            c.label.label("label"), c.expires_at.label("expires_at"),
        )
        .select_from(credentials.join(users, users.c.id == c.user_id))
        .where(c.kind == CredentialKind.PERSONAL, or_(literal(readable.tokens), c.user_id == readable.tokens_of))
    )  # fmt: skip


def _in_place(readable: Readable, project_id: ColumnElement[Any], *, system: bool) -> ColumnElement[bool]:
    """Say in SQL whether something of a project, or of the system (no project), may be listed."""
    of_project = (
        project_id.is_not(None) if readable.projects is None else projects.c.name.in_(list(readable.projects))
    )
    return or_(of_project, and_(project_id.is_(None), literal(system)))


def _record(row: Any) -> ExpiringRecord:
    kind, id_, subject_kind, subject_id, subject, project, role, label, expires_at = row
    return ExpiringRecord(
        kind, id_, Subject(subject_kind, subject_id, subject), project, expires_at, role=role, label=label
    )
