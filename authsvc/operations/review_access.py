"""A project's access review: everybody who reaches it, through what, under which conditions, and when last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import find_visibility
from authsvc.adapters.postgres.reach import Bound, ProjectUse, find_bindings_of_place, find_project_uses
from authsvc.core.errors import ConflictError, NotFoundError
from authsvc.core.permission import EVERYTHING, Permission, ResourceType
from authsvc.core.principal import Binding, Visibility
from authsvc.core.reach import Reach, ReachKind
from authsvc.core.reason import Reason
from authsvc.operations.act import Actor, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import MAX_LIMIT, Asked, Page, page_of
from authsvc.operations.who_can import demand_to_see_access, key_of, list_bound_after, reach_of

MAX_ROWS = 10_000
"""Rows of a review in one piece; a longer one is read in pages."""

NEVER = ProjectUse()
_REVIEWED = frozenset({ResourceType.REPOSITORY, ResourceType.PROJECT})
_PULL = Permission(ResourceType.REPOSITORY, "pull")
_OPEN_TO = {
    Visibility.PRIVATE: (),
    Visibility.INTERNAL: ((ReachKind.AUTHENTICATED, Reason.INTERNAL),),
    Visibility.PUBLIC: ((ReachKind.ANONYMOUS, Reason.PUBLIC), (ReachKind.AUTHENTICATED, Reason.PUBLIC)),
}


class AccessState(StrEnum):
    """Whether a way works now, its conditions of service and address aside."""

    ACTIVE = "active"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One way in which somebody reaches a project: what it allows, and when they last got a token for the project, by any way."""

    reach: Reach
    permissions: tuple[Permission, ...]
    state: AccessState
    last_use: ProjectUse = NEVER


async def review_access(deps: Deps, actor: Actor, project: str, asked: Asked) -> Page[ReviewRow]:
    """Return a page of the review: visibility first, then by name and binding; lapsed bindings and disabled accounts are in it.

    Raises NotFoundError, and what `demand_to_see_access` raises.
    """
    async with deps.database.read() as read:
        bindings, opened = await _read_access(deps, read, actor, project)
        return await _page(read, project, bindings, opened, asked, now=deps.now())


async def review_all_access(deps: Deps, actor: Actor, project: str) -> list[ReviewRow]:
    """Return the whole review, as of one moment; raises ConflictError when it has more than `MAX_ROWS` rows."""
    rows: list[ReviewRow] = []
    after: str | None = ""
    now = deps.now()
    async with deps.database.read() as read:
        bindings, opened = await _read_access(deps, read, actor, project)
        while after is not None:
            page = await _page(read, project, bindings, opened, Asked(after, MAX_LIMIT), now=now)
            rows.extend(page.items)
            after = page.next_after
            if len(rows) > MAX_ROWS:
                raise ConflictError(f"the review has more than {MAX_ROWS} rows: read it in pages, as JSON")
    return rows


async def _read_access(
    deps: Deps, read: Read, actor: Actor, project: str
) -> tuple[dict[str, Binding], list[ReviewRow]]:
    """Return the bindings that reach the project, by id, and whom its visibility lets in."""
    demand_to_see_access(await read_authority(deps, read, actor), project)
    driver = await read.driver()
    visibility = (await find_visibility(driver, project)).value
    if visibility is None:
        raise NotFoundError(f"there is no project {project!r}")
    bindings = {
        binding.id: binding
        for binding in await find_bindings_of_place(driver, project)
        if _permissions(binding)
    }
    opened = [
        ReviewRow(Reach(kind, kind.value, reason), (_PULL,), AccessState.ACTIVE)
        for kind, reason in _OPEN_TO[visibility]
    ]
    return bindings, opened


async def _page(
    read: Read,
    project: str,
    bindings: dict[str, Binding],
    opened: Sequence[ReviewRow],
    asked: Asked,
    *,
    now: datetime,
) -> Page[ReviewRow]:
    async def list_after(after: str, limit: int) -> Sequence[ReviewRow]:
        bound = await list_bound_after(read, list(bindings.values()), after, limit=limit, enabled_only=False)
        people = {each.principal: each.created_at for each in bound}
        uses = await find_project_uses(await read.driver(), project, list(people.items()))
        first = [row for row in opened if key_of(row.reach) > after]
        return [*first, *(_row(each, bindings[each.binding_id], uses, now) for each in bound)][:limit]

    return await page_of(asked, list_after, lambda row: key_of(row.reach))


def _row(bound: Bound, binding: Binding, uses: dict[str, ProjectUse], now: datetime) -> ReviewRow:
    return ReviewRow(
        reach_of(bound, binding),
        _permissions(binding),
        _state(bound, binding, now),
        uses[bound.principal.name],
    )


def _permissions(binding: Binding) -> tuple[Permission, ...]:
    """Return what a binding allows in a project: of its role, what is about repositories and projects."""
    return tuple(sorted(p for p in binding.role.permissions if p == EVERYTHING or p.type in _REVIEWED))


def _state(bound: Bound, binding: Binding, now: datetime) -> AccessState:
    if bound.disabled:
        return AccessState.DISABLED
    if binding.expires_at is not None and now >= binding.expires_at:
        return AccessState.EXPIRED
    if binding.not_before is not None and now < binding.not_before:
        return AccessState.NOT_YET
    return AccessState.ACTIVE
