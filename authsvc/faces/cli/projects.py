"""authsvc project and binding: who may do what where."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from authsvc.core.canonical import Json
from authsvc.core.principal import Visibility
from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import (
    CidrsOption,
    DescriptionOption,
    ExpiresAtOption,
    ExpiresInOption,
    LimitOption,
    ProjectOption,
    SystemOption,
    check_one_end,
    end_of,
    read_body,
    read_patch,
    read_place,
)
from authsvc.faces.cli.output import Form, FormOption, say, show_list, show_one
from authsvc.faces.models import BindingPatch, NewBindingBody, NewProjectBody, ProjectPatch
from authsvc.faces.views import view_binding, view_project
from authsvc.operations import administer_bindings, administer_projects
from authsvc.operations.administer_bindings import NewBinding
from authsvc.operations.administer_projects import NewProject

project = typer.Typer(help="Projects: the first component of repository names.", no_args_is_help=True)
binding = typer.Typer(
    help="Bindings: who has which role where, under which conditions.",
    no_args_is_help=True,
)

ProjectArgument = Annotated[str, typer.Argument(help="The project's name.", metavar="PROJECT")]
IdArgument = Annotated[str, typer.Argument(help="The binding's id, as `list` shows it.", metavar="ID")]
VisibilityOption = Annotated[
    Visibility | None, typer.Option(help="Who may pull without a binding: nobody, who signs in, or anyone.")
]
RoleOption = Annotated[str, typer.Option(metavar="ROLE", help="The role's name.")]
RepositoriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--repository", metavar="PATTERN", help="Only these, as app, team/* or **; may be repeated."
    ),
]
ServicesOption = Annotated[
    list[str] | None,
    typer.Option("--service", metavar="SERVICE", help="Only at these registries; may be repeated."),
]
NotBeforeOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="When it begins, as 2030-01-31T12:00:00Z.")
]
CommentOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Why it is there.")]


@project.command("create")
def create_project(
    name: ProjectArgument,
    *,
    visibility: VisibilityOption = None,
    description: DescriptionOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a project, private by default."""
    body = read_body(NewProjectBody, name=name, visibility=visibility, description=description)
    new = NewProject(body.name, body.visibility, body.description)
    made = run(lambda deps, actor: administer_projects.create_project(deps, actor, new))
    show_one(view_project(made), output)


@project.command("list")
def list_projects(*, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List projects by name."""
    found = run_list(administer_projects.list_projects, limit)
    columns = ("name", "visibility", "description", "created_at")
    empty = "there is no project: make one with `authsvc project create`"
    show_list(found, view_project, columns, output, empty=empty)


@project.command("show")
def show_project(name: ProjectArgument, output: FormOption = Form.TABLE) -> None:
    """Show a project."""
    found = run(lambda deps, actor: administer_projects.get_project(deps, actor, name))
    show_one(view_project(found), output)


@project.command("change")
def change_project(
    name: ProjectArgument,
    *,
    visibility: VisibilityOption = None,
    description: DescriptionOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Change a project's visibility or description."""
    body = read_patch(ProjectPatch, visibility=visibility, description=description)
    changed = run(
        lambda deps, actor: administer_projects.change_project(deps, actor, name, body.given(), None)
    )
    show_one(view_project(changed), output)


@project.command("delete")
def delete_project(name: ProjectArgument) -> None:
    """Delete a project with its bindings and robots. What a registry stores is not touched."""
    run(lambda deps, actor: administer_projects.delete_project_named(deps, actor, name, None))
    say(f"the project {name} is deleted")


@binding.command("create")
def create_binding(
    *,
    role: RoleOption,
    project: ProjectOption = None,
    system: SystemOption = False,
    user: Annotated[str | None, typer.Option(metavar="USER", help="For this user.")] = None,
    group: Annotated[str | None, typer.Option(metavar="GROUP", help="For this group.")] = None,
    robot: Annotated[str | None, typer.Option(metavar="ROBOT", help="For this robot, as acme+ci.")] = None,
    repositories: RepositoriesOption = None,
    services: ServicesOption = None,
    cidrs: CidrsOption = None,
    not_before: NotBeforeOption = None,
    expires_at: ExpiresAtOption = None,
    expires_in: ExpiresInOption = None,
    comment: CommentOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Bind a role to a user, group or robot."""
    place = read_place(project, system=system)
    check_one_end(expires_at, expires_in)
    body = read_body(
        NewBindingBody,
        role=role,
        subject=_subject(user=user, group=group, robot=robot),
        repositories=repositories,
        services=services,
        cidrs=cidrs,
        not_before=not_before,
        expires_at=expires_at,
        comment=comment,
    )
    made = run(
        lambda deps, actor: administer_bindings.create_binding(
            deps,
            actor,
            place,
            NewBinding(
                role=body.role,
                subject_kind=body.subject.kind,
                subject_name=body.subject.name,
                repositories=tuple(body.repositories),
                services=tuple(body.services),
                cidrs=tuple(body.cidrs),
                not_before=body.not_before,
                expires_at=end_of(body.expires_at, expires_in, deps.now()),
                comment=body.comment,
            ),
        )
    )
    show_one(view_binding(made), output)


@binding.command("list")
def list_bindings(
    *,
    project: ProjectOption = None,
    system: SystemOption = False,
    limit: LimitOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """List the bindings on a project or on the whole system, by id."""
    place = read_place(project, system=system)
    found = run_list(
        lambda deps, actor, asked: administer_bindings.list_bindings(deps, actor, place, asked), limit
    )
    columns = ("id", "role", "subject", "repositories", "services", "cidrs", "not_before", "expires_at")
    empty = "nothing is bound here: `authsvc binding create` binds a role"
    show_list(found, view_binding, columns, output, empty=empty)


@binding.command("show")
def show_binding(
    id_: IdArgument,
    *,
    project: ProjectOption = None,
    system: SystemOption = False,
    output: FormOption = Form.TABLE,
) -> None:
    """Show a binding."""
    place = read_place(project, system=system)
    found = run(lambda deps, actor: administer_bindings.get_binding(deps, actor, place, id_))
    show_one(view_binding(found), output)


@binding.command("change")
def change_binding(
    id_: IdArgument,
    *,
    project: ProjectOption = None,
    system: SystemOption = False,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="The role's name.")] = None,
    repositories: RepositoriesOption = None,
    services: ServicesOption = None,
    cidrs: CidrsOption = None,
    not_before: NotBeforeOption = None,
    expires_at: ExpiresAtOption = None,
    expires_in: ExpiresInOption = None,
    comment: CommentOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Change a binding; an empty value removes a condition."""
    place = read_place(project, system=system)
    check_one_end(expires_at, expires_in)
    given: Mapping[str, Json] = {
        "role": role,
        "repositories": repositories,
        "services": services,
        "cidrs": cidrs,
        "not_before": not_before,
        "expires_at": expires_at,
        "comment": comment,
    }
    fields = (read_patch if expires_in is None else read_body)(BindingPatch, **given).given()
    changed = run(
        lambda deps, actor: administer_bindings.change_binding(
            deps, actor, place, id_, _with_end(fields, expires_in, deps.now()), None
        )
    )
    show_one(view_binding(changed), output)


@binding.command("delete")
def delete_binding(id_: IdArgument, *, project: ProjectOption = None, system: SystemOption = False) -> None:
    """Delete a binding."""
    place = read_place(project, system=system)
    run(lambda deps, actor: administer_bindings.delete_binding_by_id(deps, actor, place, id_, None))
    say(f"the binding {id_} is deleted")


def _with_end(fields: dict[str, Any], expires_in: timedelta | None, now: datetime) -> dict[str, Any]:
    return fields if expires_in is None else {**fields, "expires_at": end_of(None, expires_in, now)}


def _subject(**named: str | None) -> dict[str, Json]:
    """Return whom a binding binds; exactly one of the kinds must be named."""
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise typer.BadParameter("say whom it binds with one of --user, --group and --robot")
    ((kind, name),) = given
    return {"kind": kind, "name": name}
