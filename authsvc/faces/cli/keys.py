"""authsvc keys: what registries must hold."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from authsvc.config import read_settings
from authsvc.core.service import Algorithm
from authsvc.faces.cli.output import Form, FormOption, show
from authsvc.operations.deps import Deps
from authsvc.operations.export_keys import export_bundle, export_jwks, list_keys
from authsvc.operations.rotate_keys import activate_key, rotate_keys
from authsvc.wiring import open_deps

_T = TypeVar("_T")

keys = typer.Typer(help="The keys that sign tokens, and what registries need of them.", no_args_is_help=True)

ServiceArgument = Annotated[str, typer.Option(help="The service; may be left out when there is only one.")]
LeafOption = Annotated[
    bool, typer.Option("--leaf", help="The active key alone, for registries that hold one (zot, Pulp).")
]


def _with_deps(work: Callable[[Deps], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        async with open_deps(read_settings()) as deps:
            return await work(deps)

    return asyncio.run(run())


@keys.command("list")
def list_all(output: FormOption = Form.TABLE) -> None:
    """List the keys by id, with their states."""
    show(_with_deps(list_keys), output)


@keys.command("bundle")
def bundle(service: ServiceArgument = "", *, leaf: LeafOption = False) -> None:
    """Print the certificates for a registry's rootcertbundle."""
    typer.echo(_with_deps(lambda deps: export_bundle(deps, service, leaf=leaf)), nl=False)


@keys.command("jwks")
def jwks(service: ServiceArgument = "", *, leaf: LeafOption = False) -> None:
    """Print the JWK set for Distribution 3 and zot."""
    typer.echo(json.dumps(_with_deps(lambda deps: export_jwks(deps, service, leaf=leaf)), indent=2))


@keys.command("rotate")
def rotate(
    algorithm: Annotated[Algorithm, typer.Option(help="Of which algorithm.")] = Algorithm.ES256,
    service: Annotated[
        str, typer.Option(help="The service whose own key it is; default: the shared one.")
    ] = "",
) -> None:
    """Make a new signing key; under x5c it is used at once, and no registry notices."""
    rotated = _with_deps(lambda deps: rotate_keys(deps, None, algorithm, service))
    if not rotated.waiting:
        typer.echo(f"authsvc: {rotated.key.id} signs from now on")
        return
    typer.echo(
        f"authsvc: {rotated.key.id} is published; these services know keys by name: {', '.join(rotated.waiting)}"
    )
    typer.echo("authsvc: give their registries the new 'authsvc keys bundle', restart them, then run:")
    typer.echo(f"authsvc keys activate {rotated.key.id}")


@keys.command("activate")
def activate(key: Annotated[str, typer.Argument(help="The id of a published key.")]) -> None:
    """Let a published key sign from now on."""
    typer.echo(f"authsvc: {_with_deps(lambda deps: activate_key(deps, key)).id} signs from now on")
