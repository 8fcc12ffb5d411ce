"""authsvc serve, and the workers it starts."""

import json
import os
import re
from typing import Annotated

import typer

from authsvc.config import Settings, read_settings
from authsvc.operations import serve as serving
from authsvc.operations.bootstrap import FirstStart
from authsvc.wiring import check_tls, open_deps, owner_url, run_worker

APPLICATION = "authsvc.app:create"
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/:-]*[A-Za-z0-9_/]")


def serve() -> None:
    """Start the service. With no AUTHSVC_DATABASE_URL it runs a Postgres of its own, prepared on the first start."""
    settings = read_settings()
    check_tls(settings)
    plan = serving.Plan(
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        data_dir=settings.data_dir,
        is_embedded=settings.is_embedded,
        first=first_start(settings),
        environment=os.environ,  # noqa: TID251 - the workers read the same settings
        owner_url=lambda: owner_url(settings),
        open_deps=lambda: open_deps(settings, create_keys=True),
    )
    raise typer.Exit(serving.serve(plan, lambda ready: _announce(settings, ready)))


def worker(
    descriptor: Annotated[int, typer.Argument(help="The listening socket.")],
    ready: Annotated[int, typer.Argument(help="The pipe to write to once it accepts connections.")],
) -> None:
    """Serve on an inherited socket; started by `serve`."""
    run_worker(read_settings(), APPLICATION, descriptor, ready)


def first_start(settings: Settings) -> FirstStart:
    """Return what the first start is to make."""
    secret = settings.bootstrap_admin_password
    return FirstStart(
        settings.bootstrap_admin_username,
        settings.services,
        None if secret is None else secret.get_secret_value(),
    )


def _announce(settings: Settings, ready: serving.Ready) -> None:
    """Print what a person needs to go on: the realm, the first password once, a registry's configuration, a login."""
    typer.echo(f"authsvc: realm {settings.realm}")
    password = ready.bootstrapped.new_password
    username = settings.bootstrap_admin_username
    if password is not None:
        typer.echo(f"authsvc: first administrator: {username}, password: {password}")
        typer.echo(
            f"authsvc: this password is shown once; change it with PUT /api/v1/users/{username}/password"
        )
    for service in ready.bootstrapped.services:
        typer.echo(f"\n# for the configuration of the registry {service.name} (CNCF Distribution):")
        typer.echo("auth:")
        typer.echo("  token:")
        typer.echo(f"    realm: {_yaml(settings.realm)}")
        typer.echo(f"    service: {_yaml(service.name)}")
        typer.echo(f"    issuer: {_yaml(service.issuer)}")
        typer.echo(f"    rootcertbundle: {_yaml(ready.bundles[service.name])}")
    if ready.bootstrapped.services:
        typer.echo("\n# to have its pulls and pushes in the log too: README, 'What happened at the registry'")
        typer.echo("# then, with the registry's own address:")
        typer.echo(f"docker login -u {username} {ready.bootstrapped.services[0].name}\n")


def _yaml(value: object) -> str:
    """Return a text as YAML reads it back: plain where that is safe, else in JSON's quotes, which YAML knows."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
