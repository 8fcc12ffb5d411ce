"""What commands share in reading their options: bodies, places, ends, passwords. What cannot be understood is a usage error."""

import re
import sys
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from authsvc.core.canonical import Json
from authsvc.faces.models import Body

_B = TypeVar("_B", bound=Body)

MAX_DAYS = 36_500
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

_OPTIONS = {
    "name": "NAME",
    "repositories": "--repository",
    "services": "--service",
    "cidrs": "--cidr",
    "permissions": "--permission",
    "scopes": "--scope",
    "aliases": "--alias",
    "subject": "--user, --group or --robot",
}
_NULLABLE = frozenset({"email", "display_name", "not_before", "expires_at"})


def parse_duration(text: str) -> timedelta:
    """Return how long `90d`, `12h`, `30m` or `2w` is."""
    matched = _DURATION.fullmatch(text)
    duration = timedelta(0) if matched is None else int(matched[1]) * _UNITS[matched[2]]
    if not timedelta(0) < duration <= timedelta(days=MAX_DAYS):
        raise typer.BadParameter(
            f"{text!r} is no duration: write 90d, 12h, 30m or 2w, {MAX_DAYS} days at most"
        )
    return duration


LimitOption = Annotated[
    int | None, typer.Option(min=1, metavar="NUMBER", help="How many at most; default: all.")
]
StdinOption = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")]
ProjectOption = Annotated[str | None, typer.Option(metavar="PROJECT", help="On this project.")]
SystemOption = Annotated[bool, typer.Option("--system", help="On the whole system.")]
CidrsOption = Annotated[
    list[str] | None,
    typer.Option("--cidr", metavar="CIDR", help="Only from here, as 10.0.0.0/8; may be repeated."),
]
DescriptionOption = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")]
LabelOption = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for, or where it is kept.")]
ExpiresAtOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="When it ends, as 2030-01-31T12:00:00Z.")
]
ExpiresInOption = Annotated[
    timedelta | None,
    typer.Option(parser=parse_duration, metavar="DURATION", help="In how long it ends: 90d, 12h."),
]


def read_body(model: type[_B], **values: Json) -> _B:
    """Return the API's body of what was given, as the API reads it; None was not given, and an empty value clears.

    Raises UsageError with each fault at its option.
    """
    given = {name: _cleared(name, value) for name, value in values.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [
            f"{option_of('/' + '/'.join(map(str, fault['loc'])))}: {str(fault['msg']).removeprefix('Value error, ')}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise typer.BadParameter("; ".join(faults)) from None


def read_patch(model: type[_B], **values: Json) -> _B:
    """Return the body of a change; raises UsageError when it changes nothing."""
    body = read_body(model, **values)
    if not body.model_fields_set:
        raise typer.BadParameter("nothing to change is given: --help lists the options")
    return body


def option_of(where: str) -> str:
    """Return the option that a member of a body is given with, by its JSON pointer; what is no pointer stays as it is."""
    if not where.startswith("/"):
        return where
    name = where.split("/")[1]
    return _OPTIONS.get(name, "--" + name.replace("_", "-"))


def read_place(project: str | None, *, system: bool) -> str | None:
    """Return the project, or None for the whole system; one of the two must be said."""
    if (project is None) is not system:
        raise typer.BadParameter("give either --project NAME or --system")
    return project


def read_robot(subject: str) -> tuple[str | None, str]:
    """Return a robot's project (None is the system) and its name there, of the name it signs in with."""
    project, plus, name = subject.partition("+")
    if not (project and plus and name):
        raise typer.BadParameter(f"{subject!r} is no robot: write it in full, as acme+ci or system+scanner")
    return None if project == "system" else project, name


def check_one_end(expires_at: str | None, expires_in: timedelta | None) -> None:
    """Raise UsageError when an end is given in both ways."""
    if expires_at is not None and expires_in is not None:
        raise typer.BadParameter("give either --expires-at or --expires-in")


def end_of(expires_at: datetime | None, expires_in: timedelta | None, now: datetime) -> datetime | None:
    """Return the end that was given in either way, None for no end."""
    return expires_at if expires_in is None else now.replace(microsecond=0) + expires_in


def read_password(*, stdin: bool, otherwise: str) -> str:
    """Return a password from the first line of standard input, or asked for twice at the terminal.

    `otherwise` is what else can be said where there is no terminal. It is never an argument, as other users see those.
    """
    if not stdin:
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"there is no terminal to ask for the password: give {otherwise}")
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    try:
        line = sys.stdin.readline().rstrip("\r\n")
        line.encode()
    except UnicodeError:
        raise typer.BadParameter("the password on standard input is no UTF-8") from None
    if not line:
        raise typer.BadParameter("standard input holds no password")
    return line


def _cleared(name: str, value: Json) -> Json:
    if value == "" and name in _NULLABLE:
        return None
    return [] if value == [""] else value
