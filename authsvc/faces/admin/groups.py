"""Routes of groups and roles."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from authsvc.faces.admin.exchange import (
    ActorDep,
    DepsDep,
    VersionsDep,
    answer_created,
    answer_nothing,
    answer_one,
    answer_page,
    asked_of,
)
from authsvc.faces.admin.paths import GroupName, RoleName, UserName
from authsvc.faces.admin.queries import Named, Roles
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import GroupView, MemberView, PageView, RoleView
from authsvc.faces.models import NewGroupBody, NewRoleBody, RolePatch
from authsvc.faces.views import view_group, view_member, view_role
from authsvc.operations import administer_groups, administer_roles

router = APIRouter(route_class=StrictRoute)


@router.post("/groups", response_model=GroupView, status_code=201, tags=["groups"])
async def create_group(request: Request, deps: DepsDep, actor: ActorDep, body: NewGroupBody) -> JSONResponse:
    """Create a group."""
    group = await administer_groups.create_group(deps, actor, body.name)
    return answer_created(request, group.name, view_group(group))


@router.get("/groups", response_model=PageView[GroupView], tags=["groups"])
async def list_groups(request: Request, deps: DepsDep, actor: ActorDep, query: Named) -> JSONResponse:
    """List groups by name."""
    return answer_page(
        request, await administer_groups.list_groups(deps, actor, asked_of(request, query)), view_group
    )


@router.get("/groups/{name}", response_model=GroupView, tags=["groups"])
async def read_group(deps: DepsDep, actor: ActorDep, name: GroupName) -> JSONResponse:
    """Read a group."""
    group = await administer_groups.get_group(deps, actor, name)
    return answer_one(view_group(group), version=group.version)


@router.delete("/groups/{name}", status_code=204, tags=["groups"])
async def delete_group(deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: GroupName) -> Response:
    """Delete a group with its memberships and bindings."""
    await administer_groups.delete_group_named(deps, actor, name, versions)
    return answer_nothing()


@router.get("/groups/{name}/members", response_model=PageView[MemberView], tags=["groups"])
async def list_members(
    request: Request, deps: DepsDep, actor: ActorDep, query: Named, name: GroupName
) -> JSONResponse:
    """List a group's members by name."""
    return answer_page(
        request,
        await administer_groups.list_members(deps, actor, name, asked_of(request, query)),
        view_member,
    )


@router.put("/groups/{name}/members/{user}", status_code=204, tags=["groups"])
async def add_member(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: GroupName, user: UserName
) -> Response:
    """Put a user into a group."""
    await administer_groups.add_member(deps, actor, name, user, versions)
    return answer_nothing()


@router.delete("/groups/{name}/members/{user}", status_code=204, tags=["groups"])
async def remove_member(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: GroupName, user: UserName
) -> Response:
    """Take a user out of a group."""
    await administer_groups.remove_member(deps, actor, name, user, versions)
    return answer_nothing()


@router.post("/roles", response_model=RoleView, status_code=201, tags=["roles"])
async def create_role(request: Request, deps: DepsDep, actor: ActorDep, body: NewRoleBody) -> JSONResponse:
    """Create a role."""
    role = await administer_roles.create_role(
        deps, actor, body.name, tuple(body.permissions), body.description
    )
    return answer_created(request, role.name, view_role(role))


@router.get("/roles", response_model=PageView[RoleView], tags=["roles"])
async def list_roles(request: Request, deps: DepsDep, actor: ActorDep, query: Roles) -> JSONResponse:
    """List roles by name."""
    return answer_page(
        request, await administer_roles.list_roles(deps, actor, asked_of(request, query)), view_role
    )


@router.get("/roles/{name}", response_model=RoleView, tags=["roles"])
async def read_role(deps: DepsDep, actor: ActorDep, name: RoleName) -> JSONResponse:
    """Read a role."""
    role = await administer_roles.get_role(deps, actor, name)
    return answer_one(view_role(role), version=role.version)


@router.patch("/roles/{name}", response_model=RoleView, tags=["roles"])
async def change_role(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: RoleName, body: RolePatch
) -> JSONResponse:
    """Change a role's permissions or description, effective at the next token."""
    role = await administer_roles.change_role(deps, actor, name, body.given(), versions)
    return answer_one(view_role(role), version=role.version)


@router.delete("/roles/{name}", status_code=204, tags=["roles"])
async def delete_role(deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: RoleName) -> Response:
    """Delete a role that no binding uses."""
    await administer_roles.delete_role_named(deps, actor, name, versions)
    return answer_nothing()
