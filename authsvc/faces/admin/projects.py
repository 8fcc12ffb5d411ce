"""Routes of projects, and of the bindings and robots of a project or of the whole system."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response

from authsvc.faces.admin.exchange import (
    ActorDep,
    AskedDep,
    DepsDep,
    VersionsDep,
    answer_nothing,
    answer_one,
    answer_page,
)
from authsvc.faces.models import (
    BindingPatch,
    NewBindingBody,
    NewProjectBody,
    NewRobotBody,
    NewSecretBody,
    ProjectPatch,
    RobotPatch,
)
from authsvc.faces.views import view_binding, view_project, view_robot, view_secret
from authsvc.operations import administer_bindings, administer_projects, administer_robots
from authsvc.operations.administer_bindings import NewBinding
from authsvc.operations.administer_projects import NewProject
from authsvc.operations.administer_robots import NewRobot, NewSecret


def _of_project(project: Annotated[str, Path(max_length=128)]) -> str:
    """Return the project of the path."""
    return project


def _of_system() -> None:
    """Return the place of what is about the whole system."""


def make_router() -> APIRouter:
    """Return all routes of this file."""
    router = APIRouter()
    _add_projects(router)
    for prefix, place in (("/projects/{project}", _of_project), ("", _of_system)):
        _add_bindings(router, prefix, place)
        _add_robots(router, prefix, place)
        _add_secrets(router, prefix, place)
    return router


def _add_projects(router: APIRouter) -> None:
    @router.post("/projects", status_code=201, tags=["projects"])
    async def create_project(deps: DepsDep, actor: ActorDep, body: NewProjectBody) -> JSONResponse:
        """Create a project."""
        new = NewProject(body.name, body.visibility, body.description)
        project = await administer_projects.create_project(deps, actor, new)
        return answer_one(view_project(project), version=project.version, status=201)

    @router.get("/projects", tags=["projects"])
    async def list_projects(
        request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep
    ) -> JSONResponse:
        """List the projects you may read, by name."""
        return answer_page(request, await administer_projects.list_projects(deps, actor, asked), view_project)

    @router.get("/projects/{project}", tags=["projects"])
    async def get_project(deps: DepsDep, actor: ActorDep, project: str) -> JSONResponse:
        """Read a project."""
        record = await administer_projects.get_project(deps, actor, project)
        return answer_one(view_project(record), version=record.version)

    @router.patch("/projects/{project}", tags=["projects"])
    async def change_project(
        deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: str, body: ProjectPatch
    ) -> JSONResponse:
        """Change a project's visibility or description."""
        record = await administer_projects.change_project(deps, actor, project, body.given(), versions)
        return answer_one(view_project(record), version=record.version)

    @router.delete("/projects/{project}", status_code=204, tags=["projects"])
    async def delete_project(deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: str) -> Response:
        """Delete a project with its bindings and robots; what a registry stores is not touched."""
        await administer_projects.delete_project_named(deps, actor, project, versions)
        return answer_nothing()


def _add_bindings(router: APIRouter, prefix: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]

    @router.post(f"{prefix}/bindings", status_code=201, tags=["bindings"])
    async def create_binding(
        deps: DepsDep, actor: ActorDep, project: place_type, body: NewBindingBody
    ) -> JSONResponse:
        """Bind a role to a user, group or robot."""
        new = NewBinding(
            role=body.role,
            subject_kind=body.subject.kind,
            subject_name=body.subject.name,
            repositories=tuple(body.repositories),
            services=tuple(body.services),
            cidrs=tuple(body.cidrs),
            not_before=body.not_before,
            expires_at=body.expires_at,
            comment=body.comment,
        )
        binding = await administer_bindings.create_binding(deps, actor, project, new)
        return answer_one(view_binding(binding), version=binding.version, status=201)

    @router.get(f"{prefix}/bindings", tags=["bindings"])
    async def list_bindings(
        request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep, project: place_type
    ) -> JSONResponse:
        """List bindings by id."""
        page = await administer_bindings.list_bindings(deps, actor, project, asked)
        return answer_page(request, page, view_binding)

    @router.get(f"{prefix}/bindings/{{id}}", tags=["bindings"])
    async def get_binding(deps: DepsDep, actor: ActorDep, project: place_type, id: str) -> JSONResponse:  # noqa: A002 - the path's name
        """Read a binding."""
        binding = await administer_bindings.get_binding(deps, actor, project, id)
        return answer_one(view_binding(binding), version=binding.version)

    @router.patch(f"{prefix}/bindings/{{id}}", tags=["bindings"])
    async def change_binding(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        id: str,  # noqa: A002 - the path's name
        body: BindingPatch,
    ) -> JSONResponse:
        """Change a binding's role, repositories, conditions or comment."""
        binding = await administer_bindings.change_binding(deps, actor, project, id, body.given(), versions)
        return answer_one(view_binding(binding), version=binding.version)

    @router.delete(f"{prefix}/bindings/{{id}}", status_code=204, tags=["bindings"])
    async def delete_binding(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        id: str,  # noqa: A002 - the path's name
    ) -> Response:
        """Delete a binding."""
        await administer_bindings.delete_binding_by_id(deps, actor, project, id, versions)
        return answer_nothing()


def _add_robots(router: APIRouter, prefix: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]

    @router.post(f"{prefix}/robots", status_code=201, tags=["robots"])
    async def create_robot(
        deps: DepsDep, actor: ActorDep, project: place_type, body: NewRobotBody
    ) -> JSONResponse:
        """Create a robot."""
        new = NewRobot(body.name, body.description, body.disabled)
        robot = await administer_robots.create_robot(deps, actor, project, new)
        return answer_one(view_robot(robot), version=robot.version, status=201)

    @router.get(f"{prefix}/robots", tags=["robots"])
    async def list_robots(
        request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep, project: place_type
    ) -> JSONResponse:
        """List robots by name."""
        page = await administer_robots.list_robots(deps, actor, project, asked)
        return answer_page(request, page, view_robot)

    @router.get(f"{prefix}/robots/{{name}}", tags=["robots"])
    async def get_robot(deps: DepsDep, actor: ActorDep, project: place_type, name: str) -> JSONResponse:
        """Read a robot."""
        robot = await administer_robots.get_robot(deps, actor, project, name)
        return answer_one(view_robot(robot), version=robot.version)

    @router.patch(f"{prefix}/robots/{{name}}", tags=["robots"])
    async def change_robot(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        name: str,
        body: RobotPatch,
    ) -> JSONResponse:
        """Change a robot's description or whether it is disabled."""
        robot = await administer_robots.change_robot(deps, actor, project, name, body.given(), versions)
        return answer_one(view_robot(robot), version=robot.version)

    @router.delete(f"{prefix}/robots/{{name}}", status_code=204, tags=["robots"])
    async def delete_robot(
        deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: place_type, name: str
    ) -> Response:
        """Delete a robot with its secrets and bindings."""
        await administer_robots.delete_robot_named(deps, actor, project, name, versions)
        return answer_nothing()


def _add_secrets(router: APIRouter, prefix: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]
    path = f"{prefix}/robots/{{name}}/secrets"

    @router.post(path, status_code=201, tags=["robots"])
    async def create_secret(
        deps: DepsDep, actor: ActorDep, project: place_type, name: str, body: NewSecretBody
    ) -> JSONResponse:
        """Create a robot's secret; `secret` is shown this once, and two may live at a time."""
        new = NewSecret(body.label, body.expires_at)
        record, secret = await administer_robots.create_robot_secret(deps, actor, project, name, new)
        return answer_one({**view_secret(record), "secret": secret.text}, status=201)

    @router.get(path, tags=["robots"])
    async def list_secrets(
        request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep, project: place_type, name: str
    ) -> JSONResponse:
        """List a robot's secrets, without what is secret in them."""
        page = await administer_robots.list_robot_secrets(deps, actor, project, name, asked)
        return answer_page(request, page, view_secret)

    @router.get(f"{path}/{{id}}", tags=["robots"])
    async def get_secret(
        deps: DepsDep,
        actor: ActorDep,
        project: place_type,
        name: str,
        id: str,  # noqa: A002 - the path's name
    ) -> JSONResponse:
        """Read a robot's secret, without what is secret in it."""
        return answer_one(
            view_secret(await administer_robots.get_robot_secret(deps, actor, project, name, id))
        )

    @router.delete(f"{path}/{{id}}", status_code=204, tags=["robots"])
    async def delete_secret(
        deps: DepsDep,
        actor: ActorDep,
        project: place_type,
        name: str,
        id: str,  # noqa: A002 - the path's name
    ) -> Response:
        """Revoke a robot's secret."""
        await administer_robots.delete_robot_secret(deps, actor, project, name, id)
        return answer_nothing()
