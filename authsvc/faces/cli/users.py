"""authsvc user, token and session: people, their personal access tokens, and where they have signed in."""

from typing import Annotated

import typer

from authsvc.core.credential import CredentialKind
from authsvc.core.records import CredentialRecord
from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import (
    CidrsOption,
    ExpiresAtOption,
    ExpiresInOption,
    LabelOption,
    LimitOption,
    StdinOption,
    check_one_end,
    end_of,
    read_body,
    read_password,
    read_patch,
)
from authsvc.faces.cli.output import Form, FormOption, say, show_list, show_one, show_secret
from authsvc.faces.models import NewTokenBody, NewUserBody, PasswordBody, UserPatch
from authsvc.faces.views import view_session, view_token, view_user
from authsvc.operations import administer_tokens, administer_users
from authsvc.operations.administer_tokens import NewToken
from authsvc.operations.administer_users import NewUser

user = typer.Typer(help="Users: people who sign in.", no_args_is_help=True)
token = typer.Typer(help="Personal access tokens of users.", no_args_is_help=True)
session = typer.Typer(help="Refresh tokens of users: where `docker login` was done.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The user's name.", metavar="USER")]
IdArgument = Annotated[str, typer.Argument(help="Its id, as `list` shows it.", metavar="ID")]
EmailOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The e-mail address; an empty one removes it.")
]
DisplayNameOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="The whole name; an empty one removes it.")
]


@user.command("create")
def create(
    name: NameArgument,
    *,
    email: EmailOption = None,
    display_name: DisplayNameOption = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Nobody can sign in as it yet.")] = False,
    stdin: StdinOption = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Without one; `user set-password` sets it later.")
    ] = False,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a user; the password is asked for at the terminal."""
    if stdin and no_password:
        raise typer.BadParameter("give either --stdin or --no-password")
    password = None if no_password else read_password(stdin=stdin, otherwise="--stdin or --no-password")
    body = read_body(
        NewUserBody,
        name=name,
        password=password,
        email=email,
        display_name=display_name,
        disabled=disabled,
    )
    new = NewUser(**body.model_dump())
    show_one(view_user(run(lambda deps, actor: administer_users.create_user(deps, actor, new))), output)


@user.command("list")
def list_all(*, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List users by name."""
    found = run_list(administer_users.list_users, limit)
    columns = ("name", "display_name", "email", "disabled", "last_used_at")
    show_list(
        found, view_user, columns, output, empty="there is no user: make one with `authsvc user create`"
    )


@user.command("show")
def show_user(name: NameArgument, output: FormOption = Form.TABLE) -> None:
    """Show a user."""
    show_one(view_user(run(lambda deps, actor: administer_users.get_user(deps, actor, name))), output)


@user.command("change")
def change(
    name: NameArgument,
    *,
    email: EmailOption = None,
    display_name: DisplayNameOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Change a user's e-mail address or display name."""
    _change(name, read_patch(UserPatch, email=email, display_name=display_name), output)


@user.command("enable")
def enable(name: NameArgument, output: FormOption = Form.TABLE) -> None:
    """Let a disabled user sign in again."""
    _change(name, UserPatch(disabled=False), output)


@user.command("disable")
def disable(name: NameArgument, output: FormOption = Form.TABLE) -> None:
    """Refuse a user from now on. That is every token and session too; nothing is deleted."""
    _change(name, UserPatch(disabled=True), output)


@user.command("set-password")
def set_password(name: NameArgument, *, stdin: StdinOption = False) -> None:
    """Set a user's password, asked for at the terminal. Sessions begun with the old one end."""
    body = read_body(PasswordBody, password=read_password(stdin=stdin, otherwise="--stdin"))
    run(lambda deps, actor: administer_users.set_password(deps, actor, name, body.password, None))
    say(f"{name} has a new password")


@user.command("delete")
def delete(name: NameArgument) -> None:
    """Delete a user with all credentials and bindings."""
    run(lambda deps, actor: administer_users.delete_user_named(deps, actor, name, None))
    say(f"the user {name} is deleted")


def _change(name: str, body: UserPatch, output: Form) -> None:
    changed = run(lambda deps, actor: administer_users.change_user(deps, actor, name, body.given(), None))
    show_one(view_user(changed), output)


@token.command("create")
def create_token(
    name: NameArgument,
    *,
    label: LabelOption = None,
    expires_at: ExpiresAtOption = None,
    expires_in: ExpiresInOption = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="SCOPE", help="Only this, as repository:acme/**:pull; may be repeated."
        ),
    ] = None,
    cidrs: CidrsOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Create a personal access token; its text is shown once."""
    check_one_end(expires_at, expires_in)
    body = read_body(NewTokenBody, label=label, expires_at=expires_at, scopes=scopes, cidrs=cidrs)
    limits = tuple(limit for scope in body.scopes for limit in scope)
    record, secret = run(
        lambda deps, actor: administer_tokens.create_token(
            deps,
            actor,
            name,
            NewToken(
                body.label,
                end_of(body.expires_at, expires_in, deps.now()),
                limits or None,
                tuple(body.cidrs),
            ),
        )
    )
    show_secret({**view_token(record), "token": secret.text}, output)


@token.command("list")
def list_tokens(name: NameArgument, *, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List a user's personal access tokens, without their texts."""
    columns = ("id", "label", "scopes", "cidrs", "expires_at", "last_used_at")
    empty = f"{name} has no personal access token: `authsvc token create {name}` makes one"
    show_list(_tokens(name, CredentialKind.PERSONAL, limit), view_token, columns, output, empty=empty)


@token.command("show")
def show_token(name: NameArgument, id_: IdArgument, output: FormOption = Form.TABLE) -> None:
    """Show a personal access token, without its text."""
    record = run(
        lambda deps, actor: administer_tokens.get_token(deps, actor, name, CredentialKind.PERSONAL, id_)
    )
    show_one(view_token(record), output)


@token.command("delete")
def delete_token(name: NameArgument, id_: IdArgument) -> None:
    """Revoke a personal access token, and sessions begun with it."""
    run(
        lambda deps, actor: administer_tokens.delete_token(
            deps, actor, name, CredentialKind.PERSONAL, id_, None
        )
    )
    say(f"the token {id_} is revoked")


@session.command("list")
def list_sessions(name: NameArgument, *, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List a user's sessions."""
    columns = ("id", "service", "client", "created_at", "last_used_at")
    empty = f"{name} has no session: `docker login` begins one"
    show_list(_tokens(name, CredentialKind.REFRESH, limit), view_session, columns, output, empty=empty)


@session.command("show")
def show_session(name: NameArgument, id_: IdArgument, output: FormOption = Form.TABLE) -> None:
    """Show a session."""
    record = run(
        lambda deps, actor: administer_tokens.get_token(deps, actor, name, CredentialKind.REFRESH, id_)
    )
    show_one(view_session(record), output)


@session.command("delete")
def delete_session(name: NameArgument, id_: IdArgument) -> None:
    """Revoke a session."""
    run(
        lambda deps, actor: administer_tokens.delete_token(
            deps, actor, name, CredentialKind.REFRESH, id_, None
        )
    )
    say(f"the session {id_} is revoked")


def _tokens(name: str, kind: CredentialKind, limit: int | None) -> tuple[list[CredentialRecord], bool]:
    return run_list(
        lambda deps, actor, asked: administer_tokens.list_tokens(deps, actor, name, kind, asked), limit
    )
