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
from authsvc.operations.page import Asked, Page, page_of
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


@dataclass(frozen=True, slots=True)
class _Access:
    """What reaches a project: bindings by id, and whom its visibility lets in."""

    read: Read
    project: str
    bindings: dict[str, Binding]
    opened: Sequence[ReviewRow]
    now: datetime

    async def bound_after(self, after: str, limit: int) -> list[Bound]:
        """Return whom the bindings bind, from after a row's key on."""
        bindings = list(self.bindings.values())
        return await list_bound_after(self.read, bindings, after, limit=limit, enabled_only=False)

    async def rows(self, after: str, bound: Sequence[Bound]) -> list[ReviewRow]:
        """Return the rows of whom the bindings bind, before them those of visibility that come after a row's key."""
        people = {each.principal: each.created_at for each in bound}
        uses = await find_project_uses(await self.read.driver(), self.project, list(people.items()))
        first = [row for row in self.opened if key_of(row.reach) > after]
        return [*first, *(_row(each, self.bindings[each.binding_id], uses, self.now) for each in bound)]


async def review_access(deps: Deps, actor: Actor, project: str, asked: Asked) -> Page[ReviewRow]:
    """Return a page of the review: visibility first, then by name and binding; lapsed bindings and disabled accounts are in it.

    Raises NotFoundError, and what `demand_to_see_access` raises.
    """
    async with deps.database.read() as read:
        access = await _read_access(deps, read, actor, project)

        async def list_after(after: str, limit: int) -> Sequence[ReviewRow]:
            return (await access.rows(after, await access.bound_after(after, limit)))[:limit]

        return await page_of(asked, list_after, lambda row: key_of(row.reach))


async def review_all_access(deps: Deps, actor: Actor, project: str) -> list[ReviewRow]:
    """Return the whole review; raises ConflictError when it has more than `MAX_ROWS` rows of principals."""
    async with deps.database.read() as read:
        access = await _read_access(deps, read, actor, project)
        bound = await access.bound_after("", MAX_ROWS + 1)
        if len(bound) > MAX_ROWS:
            raise ConflictError(f"the review has more than {MAX_ROWS} rows: read it in pages, as JSON")
        return await access.rows("", bound)


async def _read_access(deps: Deps, read: Read, actor: Actor, project: str) -> _Access:
    """Return what reaches the project; raises NotFoundError, and what `demand_to_see_access` raises."""
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
    return _Access(read, project, bindings, opened, deps.now())


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
