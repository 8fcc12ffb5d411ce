"""Who can: the rule asked the other way round, everybody who may do something to a repository, and through what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import find_service, find_visibility
from authsvc.adapters.postgres.reach import Bound, find_bindings_of_place, list_bound
from authsvc.core.errors import Fault, InvalidInputError, UnknownServiceError
from authsvc.core.principal import Address, Binding
from authsvc.core.reach import Place, Reach, ReachKind, Whereabouts, bindings_that_allow, openings
from authsvc.core.reason import Reason
from authsvc.core.repository import Repository, parse_repository
from authsvc.core.scope import Scope, parse_scope
from authsvc.core.service import Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, page_of

SEPARATOR = " "
"""Between the parts of a row's key; no name and no id holds one."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked: `service` empty and `address` None are any, as if those conditions held; `at` None is now."""

    repository: str
    action: str
    service: str = ""
    address: Address | None = None
    at: datetime | None = None


async def who_can(deps: Deps, actor: Actor, sought: Sought, asked: Asked) -> Page[Reach]:
    """Return whom visibility lets in and then every enabled principal by name, once for each binding that allows it.

    Nobody can do anything in a project that does not exist.
    Raises InvalidInputError, UnknownServiceError, and what `demand_to_see_access` raises.
    """
    async with deps.database.read() as read:
        service = await _find_service(read, sought.service)
        repository, scope = _read_question(sought, service)
        demand_to_see_access(await read_authority(deps, read, actor), repository.project)
        place = await read_place(read, repository.project)
        whereabouts = Whereabouts(sought.at or deps.now(), service, sought.address)
        allowing = {binding.id: binding for binding in bindings_that_allow(scope, place, whereabouts)}
        opened = [reach for reach in openings(scope, place, whereabouts) if key_of(reach) > asked.after]

        async def list_after(after: str, limit: int) -> Sequence[Reach]:
            bound = await list_bound_after(
                read, list(allowing.values()), after, limit=limit, enabled_only=True
            )
            return [*opened, *(reach_of(each, allowing[each.binding_id]) for each in bound)][:limit]

        return await page_of(asked, list_after, key_of)


def demand_to_see_access(authority: Authority, project: str) -> None:
    """Raise ForbiddenError or NotFoundError unless the actor may know who reaches a project.

    Its owners and maintainers may, and who reads users of the whole system (auditors, administrators). `project:read` is not
    enough: it is every reader's, and the answer names the members of groups and who is bound on the whole system.
    """
    if authority.may("user:read", SYSTEM_WIDE) or authority.may("project:write", project):
        return
    authority.demand("repository:delete", project)


async def read_place(read: Read, project: str) -> Place:
    """Return what the rule needs to know of a project."""
    driver = await read.driver()
    visibility = (await find_visibility(driver, project)).value
    return Place(await find_bindings_of_place(driver, project), {project: visibility})


async def list_bound_after(
    read: Read, bindings: Sequence[Binding], after: str, *, limit: int, enabled_only: bool
) -> list[Bound]:
    """Return whom bindings bind, from after the row with the key `after` on."""
    name, _, binding = after.partition(SEPARATOR)
    driver = await read.driver()
    return await list_bound(driver, bindings, after=(name, binding), limit=limit, enabled_only=enabled_only)


def reach_of(bound: Bound, binding: Binding) -> Reach:
    """Return a principal and its binding as one way to reach something."""
    return Reach(ReachKind(bound.principal.kind.value), bound.principal.name, Reason.BINDING, binding)


def key_of(reach: Reach) -> str:
    """Return what rows are ordered by: visibility first, then by name and binding."""
    if reach.binding is None:
        return f"{SEPARATOR}{reach.kind}"
    return f"{reach.name}{SEPARATOR}{reach.binding.id}"


async def _find_service(read: Read, name: str) -> Service | None:
    if not name:
        return None
    service = (await find_service(await read.driver(), name)).value
    if service is None:
        raise UnknownServiceError(f"there is no service {name!r}")
    return service


def _read_question(sought: Sought, service: Service | None) -> tuple[Repository, Scope]:
    prefix = "" if service is None else service.name_prefix
    repository = parse_repository(sought.repository.removeprefix(prefix))
    if repository is None:
        raise InvalidInputError(Fault("repository", "must be a repository's name, as acme/app"))
    scope = parse_scope(f"repository:{sought.repository}:{sought.action}")
    if scope is None or scope.actions != (sought.action,):
        raise InvalidInputError(Fault("action", "must be one action, as pull, push or delete"))
    return repository, scope
