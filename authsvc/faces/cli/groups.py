"""authsvc group and role: who belongs together, and what a binding is worth."""

from typing import Annotated

import typer

from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import DescriptionOption, LimitOption, read_body, read_patch
from authsvc.faces.cli.output import Form, FormOption, say, show_list, show_one
from authsvc.faces.models import NewGroupBody, NewRoleBody, RolePatch
from authsvc.faces.views import view_group, view_member, view_role
from authsvc.operations import administer_groups, administer_roles

group = typer.Typer(help="Groups: sets of users that roles are bound to.", no_args_is_help=True)
role = typer.Typer(help="Roles: named sets of permissions.", no_args_is_help=True)

GroupArgument = Annotated[str, typer.Argument(help="The group's name.", metavar="GROUP")]
UserArgument = Annotated[str, typer.Argument(help="The user's name.", metavar="USER")]
RoleArgument = Annotated[str, typer.Argument(help="The role's name.", metavar="ROLE")]
PermissionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--permission",
        metavar="PERMISSION",
        help="As repository:pull or project:*; may be repeated: the whole set.",
    ),
]


@group.command("create")
def create_group(name: GroupArgument, output: FormOption = Form.TABLE) -> None:
    """Create a group; nobody is in it."""
    body = read_body(NewGroupBody, name=name)
    show_one(
        view_group(run(lambda deps, actor: administer_groups.create_group(deps, actor, body.name))), output
    )


@group.command("list")
def list_groups(*, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List groups by name."""
    found = run_list(administer_groups.list_groups, limit)
    empty = "there is no group: make one with `authsvc group create`"
    show_list(found, view_group, ("name", "created_at"), output, empty=empty)


@group.command("show")
def show_group(name: GroupArgument, output: FormOption = Form.TABLE) -> None:
    """Show a group; `group members` shows who is in it."""
    show_one(view_group(run(lambda deps, actor: administer_groups.get_group(deps, actor, name))), output)


@group.command("delete")
def delete_group(name: GroupArgument) -> None:
    """Delete a group with its memberships and bindings."""
    run(lambda deps, actor: administer_groups.delete_group_named(deps, actor, name, None))
    say(f"the group {name} is deleted")


@group.command("members")
def list_members(name: GroupArgument, *, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List a group's members by name."""
    found = run_list(
        lambda deps, actor, asked: administer_groups.list_members(deps, actor, name, asked), limit
    )
    empty = f"nobody is in {name}: `authsvc group add-member {name} USER` puts somebody in"
    show_list(found, view_member, ("name",), output, empty=empty)


@group.command("add-member")
def add_member(name: GroupArgument, user: UserArgument) -> None:
    """Put a user into a group."""
    run(lambda deps, actor: administer_groups.add_member(deps, actor, name, user, None))
    say(f"{user} is in {name}")


@group.command("remove-member")
def remove_member(name: GroupArgument, user: UserArgument) -> None:
    """Take a user out of a group."""
    run(lambda deps, actor: administer_groups.remove_member(deps, actor, name, user, None))
    say(f"{user} is no longer in {name}")


@role.command("create")
def create_role(
    name: RoleArgument,
    *,
    permissions: PermissionsOption = None,
    description: DescriptionOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a role."""
    body = read_body(NewRoleBody, name=name, permissions=permissions, description=description)
    made = run(
        lambda deps, actor: administer_roles.create_role(
            deps, actor, body.name, tuple(body.permissions), body.description
        )
    )
    show_one(view_role(made), output)


@role.command("list")
def list_roles(*, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List roles by name."""
    found = run_list(administer_roles.list_roles, limit)
    empty = "there is no role: `authsvc bootstrap` makes the built-in ones"
    show_list(found, view_role, ("name", "built_in", "permissions", "description"), output, empty=empty)


@role.command("show")
def show_role(name: RoleArgument, output: FormOption = Form.TABLE) -> None:
    """Show a role."""
    show_one(view_role(run(lambda deps, actor: administer_roles.get_role(deps, actor, name))), output)


@role.command("change")
def change_role(
    name: RoleArgument,
    *,
    permissions: PermissionsOption = None,
    description: DescriptionOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Change a role's permissions or description. It is effective at the next token."""
    body = read_patch(RolePatch, permissions=permissions, description=description)
    changed = run(lambda deps, actor: administer_roles.change_role(deps, actor, name, body.given(), None))
    show_one(view_role(changed), output)


@role.command("delete")
def delete_role(name: RoleArgument) -> None:
    """Delete a role that no binding uses."""
    run(lambda deps, actor: administer_roles.delete_role_named(deps, actor, name, None))
    say(f"the role {name} is deleted")
