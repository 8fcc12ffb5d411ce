"""Who is bound to a project, directly, through groups or on the whole system; and when they last used it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.policy import BINDINGS, read_binding
from authsvc.core.principal import Binding, Principal, PrincipalKind

NEWEST_EVENTS = 500
"""Events of each principal that are searched for its last use of a project, so that the cost is bounded."""

_OF_PROJECT = "SELECT * FROM bindings WHERE project_id IS NULL OR project_id = (SELECT id FROM projects WHERE name = %s)"
_OF_PLACE = f"""
SELECT {BINDINGS.format(whose=_OF_PROJECT)}
"""

_BOUND = """
SELECT kind, id, name, disabled, created_at, binding FROM (
    SELECT 'user' AS kind, u.id, u.name, u.disabled, u.created_at, b.id AS binding
    FROM bindings b JOIN users u ON u.id = b.user_id WHERE b.id = ANY(%(bindings)s)
    UNION ALL
    SELECT 'user', u.id, u.name, u.disabled, u.created_at, b.id
    FROM bindings b JOIN group_members m ON m.group_id = b.group_id JOIN users u ON u.id = m.user_id
    WHERE b.id = ANY(%(bindings)s)
    UNION ALL
    SELECT 'robot', r.id, r.subject, r.disabled, r.created_at, b.id
    FROM bindings b JOIN robots r ON r.id = b.robot_id WHERE b.id = ANY(%(bindings)s)
) AS bound
WHERE (name, binding) > (%(name)s, %(binding)s) AND NOT (disabled AND %(enabled_only)s)
ORDER BY name, binding LIMIT %(limit)s
"""

_PROJECT_USES = f"""
SELECT a.name, used.time, searched.time
FROM unnest(%(names)s::text[], %(since)s::timestamptz[]) AS a (name, since)
LEFT JOIN LATERAL (
    SELECT newest.time FROM (
        SELECT seq, time, kind, outcome, projects FROM log
        WHERE hashtext(actor) = hashtext(a.name) AND actor = a.name ORDER BY seq DESC LIMIT {NEWEST_EVENTS}
    ) AS newest
    WHERE kind = 'token.issued' AND outcome <> 'refused' AND projects @> ARRAY[%(project)s] AND time >= a.since
    ORDER BY seq DESC LIMIT 1
) AS used ON true
LEFT JOIN LATERAL (
    SELECT time FROM log WHERE hashtext(actor) = hashtext(a.name) AND actor = a.name AND used.time IS NULL
    ORDER BY seq DESC OFFSET {NEWEST_EVENTS - 1} LIMIT 1
) AS searched ON true
"""  # noqa: S608 - formatted from the constant above


@dataclass(frozen=True, slots=True)
class Bound:
    """A principal and one of the bindings it has."""

    principal: Principal
    disabled: bool
    created_at: datetime
    binding_id: str


@dataclass(frozen=True, slots=True)
class ProjectUse:
    """When a principal last got a token for a project; None when none was found back to `searched_since` (None: ever)."""

    time: datetime | None = None
    searched_since: datetime | None = None


async def find_bindings_of_place(connection: Connection, project: str) -> tuple[Binding, ...]:
    """Return every binding on a project and on the system, of whomever, conditions not yet applied."""
    row = await (await connection.execute(_OF_PLACE, [project])).fetchone()
    return tuple(read_binding(each) for each in (row or ([],))[0])


async def list_bound(
    connection: Connection,
    bindings: Sequence[Binding],
    *,
    after: tuple[str, str],
    limit: int,
    enabled_only: bool,
) -> list[Bound]:
    """Return whom these bindings bind, groups by their members, by name and binding from after `after` on."""
    name, binding = after
    cursor = await connection.execute(
        _BOUND,
        {
            "bindings": [each.id for each in bindings],
            "name": name,
            "binding": binding,
            "enabled_only": enabled_only,
            "limit": limit,
        },
    )
    return [
        Bound(Principal(PrincipalKind(kind), id_, subject), disabled, created_at, of)
        async for kind, id_, subject, disabled, created_at, of in cursor
    ]


async def find_project_uses(
    connection: Connection, project: str, principals: Sequence[tuple[Principal, datetime]]
) -> dict[str, ProjectUse]:
    """Return by name when each principal was last issued a token for a project, since it was created at the time beside it.

    A name may have been another's before.
    """
    # What the planner knows is the average principal: for a busy one it would sort a whole history instead of reading its newest
    # events off the index.
    await connection.execute(
        "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"
    )
    cursor = await connection.execute(
        _PROJECT_USES,
        {
            "project": project,
            "names": [principal.name for principal, _ in principals],
            "since": [created_at for _, created_at in principals],
        },
    )
    return {name: ProjectUse(used, searched) async for name, used, searched in cursor}
