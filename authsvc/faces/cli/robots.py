"""authsvc robot and secret: machine accounts, named in full as they sign in (acme+ci), and what they sign in with."""

from typing import Annotated

import typer

from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import (
    DescriptionOption,
    ExpiresAtOption,
    ExpiresInOption,
    LabelOption,
    LimitOption,
    ProjectOption,
    SystemOption,
    check_one_end,
    end_of,
    read_body,
    read_patch,
    read_place,
    read_robot,
)
from authsvc.faces.cli.output import Form, FormOption, say, show_list, show_one, show_secret
from authsvc.faces.models import NewRobotBody, NewSecretBody, RobotPatch
from authsvc.faces.views import view_robot, view_secret
from authsvc.operations import administer_robots
from authsvc.operations.administer_robots import NewRobot, NewSecret

robot = typer.Typer(help="Robots: machine accounts of a project, or of the system.", no_args_is_help=True)
secret = typer.Typer(help="Secrets of robots; two of a robot may live at once.", no_args_is_help=True)

RobotArgument = Annotated[
    str, typer.Argument(help="The robot in full: acme+ci, or system+scanner.", metavar="ROBOT")
]
IdArgument = Annotated[str, typer.Argument(help="The secret's id, as `list` shows it.", metavar="ID")]


@robot.command("create")
def create(
    name: RobotArgument,
    *,
    description: DescriptionOption = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="It cannot sign in yet.")] = False,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a robot; `secret create` makes what it signs in with."""
    place, short = read_robot(name)
    body = read_body(NewRobotBody, name=short, description=description, disabled=disabled)
    new = NewRobot(body.name, body.description, body.disabled)
    made = run(lambda deps, actor: administer_robots.create_robot(deps, actor, place, new))
    show_one(view_robot(made), output)


@robot.command("list")
def list_all(
    *,
    project: ProjectOption = None,
    system: SystemOption = False,
    limit: LimitOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """List the robots of a project or of the system, by name."""
    place = read_place(project, system=system)
    found = run_list(
        lambda deps, actor, asked: administer_robots.list_robots(deps, actor, place, asked), limit
    )
    columns = ("subject", "description", "disabled", "last_used_at")
    empty = f"there is no robot here: `authsvc robot create {place or 'system'}+NAME` makes one"
    show_list(found, view_robot, columns, output, empty=empty)


@robot.command("show")
def show_robot(name: RobotArgument, output: FormOption = Form.TABLE) -> None:
    """Show a robot."""
    place, short = read_robot(name)
    show_one(
        view_robot(run(lambda deps, actor: administer_robots.get_robot(deps, actor, place, short))), output
    )


@robot.command("change")
def change(
    name: RobotArgument, *, description: DescriptionOption = None, output: FormOption = Form.TABLE
) -> None:
    """Change a robot's description."""
    _change(name, read_patch(RobotPatch, description=description), output)


@robot.command("enable")
def enable(name: RobotArgument, output: FormOption = Form.TABLE) -> None:
    """Let a disabled robot sign in again."""
    _change(name, RobotPatch(disabled=False), output)


@robot.command("disable")
def disable(name: RobotArgument, output: FormOption = Form.TABLE) -> None:
    """Refuse a robot from now on; nothing is deleted."""
    _change(name, RobotPatch(disabled=True), output)


@robot.command("delete")
def delete(name: RobotArgument) -> None:
    """Delete a robot with its secrets and bindings."""
    place, short = read_robot(name)
    run(lambda deps, actor: administer_robots.delete_robot_named(deps, actor, place, short, None))
    say(f"the robot {name} is deleted")


def _change(name: str, body: RobotPatch, output: Form) -> None:
    place, short = read_robot(name)
    changed = run(
        lambda deps, actor: administer_robots.change_robot(deps, actor, place, short, body.given(), None)
    )
    show_one(view_robot(changed), output)


@secret.command("create")
def create_secret(
    name: RobotArgument,
    *,
    label: LabelOption = None,
    expires_at: ExpiresAtOption = None,
    expires_in: ExpiresInOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a robot's secret; its text is shown once."""
    place, short = read_robot(name)
    check_one_end(expires_at, expires_in)
    body = read_body(NewSecretBody, label=label, expires_at=expires_at)
    record, made = run(
        lambda deps, actor: administer_robots.create_robot_secret(
            deps, actor, place, short, NewSecret(body.label, end_of(body.expires_at, expires_in, deps.now()))
        )
    )
    show_secret({**view_secret(record), "secret": made.text}, output)


@secret.command("list")
def list_secrets(name: RobotArgument, *, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List a robot's secrets, without their texts."""
    place, short = read_robot(name)
    found = run_list(
        lambda deps, actor, asked: administer_robots.list_robot_secrets(deps, actor, place, short, asked),
        limit,
    )
    columns = ("id", "label", "expires_at", "last_used_at")
    empty = f"{name} has no secret, and cannot sign in: `authsvc secret create {name}` makes one"
    show_list(found, view_secret, columns, output, empty=empty)


@secret.command("show")
def show_one_secret(name: RobotArgument, id_: IdArgument, output: FormOption = Form.TABLE) -> None:
    """Show a robot's secret, without its text."""
    place, short = read_robot(name)
    found = run(lambda deps, actor: administer_robots.get_robot_secret(deps, actor, place, short, id_))
    show_one(view_secret(found), output)


@secret.command("delete")
def delete_secret(name: RobotArgument, id_: IdArgument) -> None:
    """Revoke a robot's secret."""
    place, short = read_robot(name)
    run(lambda deps, actor: administer_robots.delete_robot_secret(deps, actor, place, short, id_, None))
    say(f"the secret {id_} is revoked")
