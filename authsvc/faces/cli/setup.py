"""Setting up and repairing: migrate, bootstrap, admin reset-password, config, db url."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import SecretStr

from authsvc.config import PREFIX, Settings, read_settings
from authsvc.core.canonical import Json
from authsvc.core.errors import StartupError
from authsvc.faces.cli.console import at_console, run
from authsvc.faces.cli.options import StdinOption, read_password
from authsvc.faces.cli.output import Form, FormOption, report, say, show, show_one
from authsvc.faces.cli.server import first_start
from authsvc.operations.administer_users import reset_password
from authsvc.operations.advise import State
from authsvc.operations.bootstrap import Bootstrapped
from authsvc.operations.bootstrap import bootstrap as bootstrap_operation
from authsvc.operations.diagnose import diagnose
from authsvc.operations.revoke_credentials import revoke_credentials_offline
from authsvc.wiring import check_tls, embedded_url, new_secret, open_checkup, open_deps, owner_url, upgrade

admin = typer.Typer(help="Repair administrators from the server's own console.", no_args_is_help=True)
config = typer.Typer(help="Check and print the settings.", no_args_is_help=True)
db = typer.Typer(help="The embedded database.", no_args_is_help=True)


class Role(StrEnum):
    """A role of the embedded server."""

    APP = "app"
    OWNER = "owner"
    AUDITOR = "auditor"
    SUPERUSER = "superuser"


def migrate(output: FormOption = Form.TABLE) -> None:
    """Bring the database to this version's schema. It runs as AUTHSVC_OWNER_DATABASE_URL; the embedded one must be running."""
    upgrade(owner_url(read_settings()))
    report("the database is migrated", {"result": "migrated"}, output)


def bootstrap(output: FormOption = Form.TABLE) -> None:
    """Create what a first start needs. That is roles, an administrator, services and keys, as far as they are missing."""
    settings = read_settings()

    async def prepare() -> Bootstrapped:
        async with open_deps(settings, create_keys=True) as deps:
            return await bootstrap_operation(deps, first_start(settings))

    made = asyncio.run(prepare())
    name, services = settings.bootstrap_admin_username, [service.name for service in made.services]
    if output is Form.JSON:
        show_one({"name": name, "password": made.new_password, "services": services}, output)
        return
    if made.new_password is not None:
        say(f"first administrator: {name}, password: {made.new_password}")
    say(f"services: {', '.join(services)}")


@admin.command("reset-password")
def reset(
    username: Annotated[str, typer.Argument(help="Whose password is lost.")],
    *,
    stdin: StdinOption = False,
    output: FormOption = Form.TABLE,
) -> None:
    """Give a user a new password, and enable the account. The service must be running when its Postgres is embedded."""
    password = read_password(stdin=True, otherwise="") if stdin else new_secret()[:20]
    run(lambda deps, actor: reset_password(deps, actor, username, password))
    told = f"{username} has a new password" + ("" if stdin else f": {password}")
    report(told, {"name": username, "password": None if stdin else password}, output)


@admin.command("revoke-credentials")
def revoke(
    *, yes: Annotated[bool, typer.Option("--yes", help="Really all of them: pipelines stop.")] = False
) -> None:
    """Revoke every token, robot secret and session. After a breach, or a lost hmac.key; stop an embedded service first.

    For a lost hmac.key it needs AUTHSVC_OWNER_DATABASE_URL where AUTHSVC_DATABASE_URL is set.
    """
    if not yes:
        raise typer.BadParameter(
            "this stops every pipeline and login but with passwords: add --yes if you mean it"
        )
    settings = read_settings()
    data_dir = settings.data_dir if settings.is_embedded else None
    count = revoke_credentials_offline(
        lambda: open_deps(settings, any_hmac_key=True),
        at_console().by,
        owner_url=lambda: owner_url(settings),
        data_dir=data_dir,
    )
    say(f"revoked credentials: {count}; make new robot secrets and tokens")


@config.command("check")
def check(output: FormOption = Form.TABLE) -> None:
    """Read the settings, and tell all that is wrong with them."""
    check_tls(read_settings())
    report("the settings are good", {"result": "good"}, output)


@config.command("print")
def print_settings(output: FormOption = Form.TABLE) -> None:
    """Print every setting as it is read; secrets only as being set."""
    settings = read_settings()
    show([_setting(settings, name) for name in Settings.model_fields], output)


@db.command("url")
def url(
    role: Annotated[Role, typer.Option(help="Whose URL.")] = Role.APP, output: FormOption = Form.TABLE
) -> None:
    """Print the embedded server's address for psql. It holds the role's password."""
    settings = read_settings()
    if not settings.is_embedded:
        raise StartupError("AUTHSVC_DATABASE_URL is set: there is no embedded server; use your own URLs")
    address = embedded_url(settings, role)
    if output is Form.JSON:
        show_one({"role": role, "url": address}, output)
    else:
        typer.echo(address)


def _setting(settings: Settings, name: str) -> dict[str, Json]:
    value = getattr(settings, name)
    text: Json
    if isinstance(value, SecretStr):
        text = "(set)"
    elif value is None:
        text = None
    elif isinstance(value, list):
        text = ",".join(str(item) for item in value)
    else:
        text = str(value)
    return {"setting": PREFIX + name.upper(), "value": text}


def doctor(output: FormOption = Form.TABLE) -> None:
    """Look at everything that could stop tokens, and say what to do.

    Each line is ok, warn or fail; the exit code is 1 when one is fail. It changes nothing.
    """
    found = asyncio.run(diagnose(open_checkup(read_settings())))
    show([{"about": one.about, "state": one.state, "what": one.what} for one in found], output)
    if any(one.state is State.FAIL for one in found):
        raise typer.Exit(1)
