"""Routes of projects, and of the bindings and robots of a project or of the whole system."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
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
from authsvc.faces.admin.paths import Id, ProjectName, RobotName
from authsvc.faces.admin.queries import Bindings, Projects, Robots, Tokens
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import BindingView, NewSecretView, PageView, ProjectView, RobotView, SecretView
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


def _of_project(project: ProjectName) -> str:
    """Return the project of the path."""
    return project


def _of_system() -> None:
    """Return the place of what is about the whole system."""


def make_router() -> APIRouter:
    """Return all routes of this file."""
    router = APIRouter(route_class=StrictRoute)
    _add_projects(router)
    for prefix, of, place in (("/projects/{project}", "project", _of_project), ("", "system", _of_system)):
        _add_bindings(router, prefix, of, place)
        _add_robots(router, prefix, of, place)
        _add_secrets(router, prefix, of, place)
    return router


def _add_projects(router: APIRouter) -> None:
    @router.post("/projects", response_model=ProjectView, status_code=201, tags=["projects"])
    async def create_project(
        request: Request, deps: DepsDep, actor: ActorDep, body: NewProjectBody
    ) -> JSONResponse:
        """Create a project."""
        new = NewProject(body.name, body.visibility, body.description)
        project = await administer_projects.create_project(deps, actor, new)
        return answer_created(request, project.name, view_project(project))

    @router.get("/projects", response_model=PageView[ProjectView], tags=["projects"])
    async def list_projects(
        request: Request, deps: DepsDep, actor: ActorDep, query: Projects
    ) -> JSONResponse:
        """List the projects you may read, by name."""
        return answer_page(
            request,
            await administer_projects.list_projects(deps, actor, asked_of(request, query)),
            view_project,
        )

    @router.get("/projects/{project}", response_model=ProjectView, tags=["projects"])
    async def read_project(deps: DepsDep, actor: ActorDep, project: ProjectName) -> JSONResponse:
        """Read a project."""
        record = await administer_projects.get_project(deps, actor, project)
        return answer_one(view_project(record), version=record.version)

    @router.patch("/projects/{project}", response_model=ProjectView, tags=["projects"])
    async def change_project(
        deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: ProjectName, body: ProjectPatch
    ) -> JSONResponse:
        """Change a project's visibility or description."""
        record = await administer_projects.change_project(deps, actor, project, body.given(), versions)
        return answer_one(view_project(record), version=record.version)

    @router.delete("/projects/{project}", status_code=204, tags=["projects"])
    async def delete_project(
        deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: ProjectName
    ) -> Response:
        """Delete a project with its bindings and robots; what a registry stores is not touched."""
        await administer_projects.delete_project_named(deps, actor, project, versions)
        return answer_nothing()


def _add_bindings(router: APIRouter, prefix: str, of: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]

    @router.post(
        f"{prefix}/bindings",
        response_model=BindingView,
        status_code=201,
        tags=["bindings"],
        name=f"create_{of}_binding",
    )
    async def create_binding(
        request: Request, deps: DepsDep, actor: ActorDep, project: place_type, body: NewBindingBody
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
        return answer_created(request, binding.id, view_binding(binding))

    @router.get(
        f"{prefix}/bindings",
        response_model=PageView[BindingView],
        tags=["bindings"],
        name=f"list_{of}_bindings",
    )
    async def list_bindings(
        request: Request, deps: DepsDep, actor: ActorDep, query: Bindings, project: place_type
    ) -> JSONResponse:
        """List bindings by id."""
        page = await administer_bindings.list_bindings(deps, actor, project, asked_of(request, query))
        return answer_page(request, page, view_binding)

    @router.get(
        f"{prefix}/bindings/{{id}}", response_model=BindingView, tags=["bindings"], name=f"read_{of}_binding"
    )
    async def read_binding(deps: DepsDep, actor: ActorDep, project: place_type, id: Id) -> JSONResponse:  # noqa: A002 - the path's name
        """Read a binding."""
        binding = await administer_bindings.get_binding(deps, actor, project, id)
        return answer_one(view_binding(binding), version=binding.version)

    @router.patch(
        f"{prefix}/bindings/{{id}}",
        response_model=BindingView,
        tags=["bindings"],
        name=f"change_{of}_binding",
    )
    async def change_binding(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        id: Id,  # noqa: A002 - the path's name
        body: BindingPatch,
    ) -> JSONResponse:
        """Change a binding's role, repositories, conditions or comment."""
        binding = await administer_bindings.change_binding(deps, actor, project, id, body.given(), versions)
        return answer_one(view_binding(binding), version=binding.version)

    @router.delete(
        f"{prefix}/bindings/{{id}}", status_code=204, tags=["bindings"], name=f"delete_{of}_binding"
    )
    async def delete_binding(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        id: Id,  # noqa: A002 - the path's name
    ) -> Response:
        """Delete a binding."""
        await administer_bindings.delete_binding_by_id(deps, actor, project, id, versions)
        return answer_nothing()


def _add_robots(router: APIRouter, prefix: str, of: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]

    @router.post(
        f"{prefix}/robots",
        response_model=RobotView,
        status_code=201,
        tags=["robots"],
        name=f"create_{of}_robot",
    )
    async def create_robot(
        request: Request, deps: DepsDep, actor: ActorDep, project: place_type, body: NewRobotBody
    ) -> JSONResponse:
        """Create a robot."""
        new = NewRobot(body.name, body.description, body.disabled)
        robot = await administer_robots.create_robot(deps, actor, project, new)
        return answer_created(request, robot.name, view_robot(robot))

    @router.get(
        f"{prefix}/robots", response_model=PageView[RobotView], tags=["robots"], name=f"list_{of}_robots"
    )
    async def list_robots(
        request: Request, deps: DepsDep, actor: ActorDep, query: Robots, project: place_type
    ) -> JSONResponse:
        """List robots by name."""
        page = await administer_robots.list_robots(deps, actor, project, asked_of(request, query))
        return answer_page(request, page, view_robot)

    @router.get(
        f"{prefix}/robots/{{name}}", response_model=RobotView, tags=["robots"], name=f"read_{of}_robot"
    )
    async def read_robot(
        deps: DepsDep, actor: ActorDep, project: place_type, name: RobotName
    ) -> JSONResponse:
        """Read a robot."""
        robot = await administer_robots.get_robot(deps, actor, project, name)
        return answer_one(view_robot(robot), version=robot.version)

    @router.patch(
        f"{prefix}/robots/{{name}}", response_model=RobotView, tags=["robots"], name=f"change_{of}_robot"
    )
    async def change_robot(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        name: RobotName,
        body: RobotPatch,
    ) -> JSONResponse:
        """Change a robot's description or whether it is disabled."""
        robot = await administer_robots.change_robot(deps, actor, project, name, body.given(), versions)
        return answer_one(view_robot(robot), version=robot.version)

    @router.delete(f"{prefix}/robots/{{name}}", status_code=204, tags=["robots"], name=f"delete_{of}_robot")
    async def delete_robot(
        deps: DepsDep, actor: ActorDep, versions: VersionsDep, project: place_type, name: RobotName
    ) -> Response:
        """Delete a robot with its secrets and bindings."""
        await administer_robots.delete_robot_named(deps, actor, project, name, versions)
        return answer_nothing()


def _add_secrets(router: APIRouter, prefix: str, of: str, place: Callable[..., str | None]) -> None:
    place_type = Annotated[str | None, Depends(place)]
    path = f"{prefix}/robots/{{name}}/secrets"

    @router.post(
        path, response_model=NewSecretView, status_code=201, tags=["robots"], name=f"create_{of}_robot_secret"
    )
    async def create_secret(
        request: Request,
        deps: DepsDep,
        actor: ActorDep,
        project: place_type,
        name: RobotName,
        body: NewSecretBody | None = None,
    ) -> JSONResponse:
        """Create a robot's secret; `secret` is shown this once, and two may live at a time."""
        body = body or NewSecretBody()
        new = NewSecret(body.label, body.expires_at)
        record, secret = await administer_robots.create_robot_secret(deps, actor, project, name, new)
        return answer_created(request, record.id, {**view_secret(record), "secret": secret.text})

    @router.get(path, response_model=PageView[SecretView], tags=["robots"], name=f"list_{of}_robot_secrets")
    async def list_secrets(
        request: Request, deps: DepsDep, actor: ActorDep, query: Tokens, project: place_type, name: RobotName
    ) -> JSONResponse:
        """List a robot's secrets, without what is secret in them."""
        page = await administer_robots.list_robot_secrets(
            deps, actor, project, name, asked_of(request, query)
        )
        return answer_page(request, page, view_secret)

    @router.get(f"{path}/{{id}}", response_model=SecretView, tags=["robots"], name=f"read_{of}_robot_secret")
    async def read_secret(
        deps: DepsDep,
        actor: ActorDep,
        project: place_type,
        name: RobotName,
        id: Id,  # noqa: A002 - the path's name
    ) -> JSONResponse:
        """Read a robot's secret, without what is secret in it."""
        secret = await administer_robots.get_robot_secret(deps, actor, project, name, id)
        return answer_one(view_secret(secret), version=secret.version)

    @router.delete(f"{path}/{{id}}", status_code=204, tags=["robots"], name=f"delete_{of}_robot_secret")
    async def delete_secret(
        deps: DepsDep,
        actor: ActorDep,
        versions: VersionsDep,
        project: place_type,
        name: RobotName,
        id: Id,  # noqa: A002 - the path's name
    ) -> Response:
        """Revoke a robot's secret."""
        await administer_robots.delete_robot_secret(deps, actor, project, name, id, versions)
        return answer_nothing()
