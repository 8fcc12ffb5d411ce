"""authsvc keys: what registries must hold."""

import json
from typing import Annotated

import typer

from authsvc.core.service import Algorithm
from authsvc.faces.cli.console import run
from authsvc.faces.cli.output import Form, FormOption, say, show, show_one
from authsvc.operations.export_keys import export_bundle, export_jwks, list_keys, view_key
from authsvc.operations.rotate_keys import activate_key, rotate_keys

keys = typer.Typer(help="The keys that sign tokens, and what registries need of them.", no_args_is_help=True)

ServiceArgument = Annotated[
    str, typer.Option(help="The service; default: the only one, or of several any with the default settings.")
]
LeafOption = Annotated[
    bool, typer.Option("--leaf", help="The active key alone, for registries that hold one (zot, Pulp).")
]


@keys.command("list")
def list_all(output: FormOption = Form.TABLE) -> None:
    """List the keys with their states, and the nodes that lack them."""
    show(run(lambda deps, _: list_keys(deps)), output)


@keys.command("bundle")
def bundle(service: ServiceArgument = "", *, leaf: LeafOption = False) -> None:
    """Print the certificates for a registry's rootcertbundle."""
    typer.echo(run(lambda deps, _: export_bundle(deps, service, leaf=leaf)), nl=False)


@keys.command("jwks")
def jwks(
    service: Annotated[str, typer.Option(help="The service; default: the only one, or of several all.")] = "",
    *,
    leaf: LeafOption = False,
) -> None:
    """Print the JWK set for Distribution 3 and zot."""
    typer.echo(json.dumps(run(lambda deps, _: export_jwks(deps, service, leaf=leaf)), indent=2))


@keys.command("rotate")
def rotate(
    algorithm: Annotated[
        Algorithm | None, typer.Option(help="Of which algorithm; default: the service's, or ES256.")
    ] = None,
    service: Annotated[
        str, typer.Option(help="The service whose own key it is; default: the shared one.")
    ] = "",
    output: FormOption = Form.TABLE,
) -> None:
    """Make a new signing key. Under x5c it signs as soon as every node holds it, and no registry notices."""
    rotated = run(lambda deps, actor: rotate_keys(deps, actor, algorithm, service))
    if output is Form.JSON:
        show_one({**view_key(rotated.key), "waiting": list(rotated.waiting)}, output)
    elif not rotated.waiting:
        say(
            f"{rotated.key.id} is published, and signs once every live node holds it: see 'authsvc keys list'"
        )
    else:
        say(f"{rotated.key.id} is published; these services know keys by name: {', '.join(rotated.waiting)}")
        say("give their registries the new 'authsvc keys bundle', restart them, then run:")
        say(f"authsvc keys activate {rotated.key.id}")


@keys.command("activate")
def activate(
    key: Annotated[str, typer.Argument(help="The id of a published key.")], output: FormOption = Form.TABLE
) -> None:
    """Let a published key sign from now on."""
    record = run(lambda deps, actor: activate_key(deps, actor, key))
    if output is Form.JSON:
        show_one(view_key(record), output)
    else:
        say(f"{record.id} signs from now on")
