"""authsvc service: the registries that tokens are for."""

from typing import Annotated

import typer

from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.faces.cli.console import run, run_list
from authsvc.faces.cli.options import LimitOption, read_body, read_patch
from authsvc.faces.cli.output import Form, FormOption, say, show_list, show_one
from authsvc.faces.models import NewServiceBody, ServicePatch
from authsvc.faces.views import view_service
from authsvc.operations import administer_services

service = typer.Typer(help="Services: the registries that tokens are for.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The service's name, tokens' audience.", metavar="SERVICE")]
IssuerOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="`iss` of its tokens; default: AUTHSVC_ISSUER.")
]
AlgorithmOption = Annotated[Algorithm | None, typer.Option(help="How its tokens are signed.")]
HeaderOption = Annotated[HeaderProfile | None, typer.Option(help="How its tokens name their key.")]
TtlOption = Annotated[
    int | None, typer.Option(metavar="SECONDS", help="Life of its tokens in seconds, 60 at least.")
]
BackdateOption = Annotated[
    int | None, typer.Option(metavar="SECONDS", help="How far its clock may be behind.")
]
RefreshOption = Annotated[bool | None, typer.Option(help="Whether logins get refresh tokens.")]
AnonymousOption = Annotated[bool | None, typer.Option(help="Whether who does not sign in gets tokens.")]
OwnKeyOption = Annotated[bool | None, typer.Option(help="Whether it has a signing key of its own.")]
IsolatedOption = Annotated[
    bool | None, typer.Option(help="Whether other services' refresh tokens are refused.")
]
AliasesOption = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="SERVICE", help="Another name of it; may be repeated: the whole set."),
]
PrefixOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What it puts before repository names, as Notary does.")
]


@service.command("create")
def create(
    name: NameArgument,
    *,
    issuer: IssuerOption = None,
    algorithm: AlgorithmOption = None,
    header: HeaderOption = None,
    token_ttl_seconds: TtlOption = None,
    backdate_seconds: BackdateOption = None,
    refresh_tokens: RefreshOption = None,
    anonymous: AnonymousOption = None,
    own_key: OwnKeyOption = None,
    isolated: IsolatedOption = None,
    aliases: AliasesOption = None,
    name_prefix: PrefixOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Register a service. The defaults suit Distribution with a rootcertbundle."""
    body = read_body(
        NewServiceBody,
        name=name,
        issuer=issuer,
        algorithm=algorithm,
        header=header,
        token_ttl_seconds=token_ttl_seconds,
        backdate_seconds=backdate_seconds,
        refresh_tokens=refresh_tokens,
        anonymous=anonymous,
        own_key=own_key,
        isolated=isolated,
        aliases=aliases,
        name_prefix=name_prefix,
    )
    made = run(
        lambda deps, actor: administer_services.create_service(
            deps,
            actor,
            Service(**{"issuer": deps.issuer, "token_ttl_seconds": deps.token_ttl_seconds, **body.given()}),
        )
    )
    show_one(view_service(made), output)


@service.command("list")
def list_all(*, limit: LimitOption = None, output: FormOption = Form.TABLE) -> None:
    """List services by name."""
    found = run_list(administer_services.list_services, limit)
    columns = (
        "name",
        "issuer",
        "algorithm",
        "header",
        "token_ttl_seconds",
        "own_key",
        "aliases",
        "created_at",
    )
    empty = "there is no service: register one with `authsvc service create`"
    show_list(found, view_service, columns, output, empty=empty)


@service.command("show")
def show_service(name: NameArgument, output: FormOption = Form.TABLE) -> None:
    """Show a service."""
    found = run(lambda deps, actor: administer_services.get_service(deps, actor, name))
    show_one(view_service(found), output)


@service.command("change")
def change(
    name: NameArgument,
    *,
    issuer: IssuerOption = None,
    algorithm: AlgorithmOption = None,
    header: HeaderOption = None,
    token_ttl_seconds: TtlOption = None,
    backdate_seconds: BackdateOption = None,
    refresh_tokens: RefreshOption = None,
    anonymous: AnonymousOption = None,
    own_key: OwnKeyOption = None,
    isolated: IsolatedOption = None,
    aliases: AliasesOption = None,
    name_prefix: PrefixOption = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Change a service. Its registry may need `keys bundle` again."""
    body = read_patch(
        ServicePatch,
        issuer=issuer,
        algorithm=algorithm,
        header=header,
        token_ttl_seconds=token_ttl_seconds,
        backdate_seconds=backdate_seconds,
        refresh_tokens=refresh_tokens,
        anonymous=anonymous,
        own_key=own_key,
        isolated=isolated,
        aliases=aliases,
        name_prefix=name_prefix,
    )
    changed = run(
        lambda deps, actor: administer_services.change_service(deps, actor, name, body.given(), None)
    )
    show_one(view_service(changed), output)


@service.command("delete")
def delete(name: NameArgument) -> None:
    """Retire a service: its registry gets no more tokens."""
    run(lambda deps, actor: administer_services.delete_service_named(deps, actor, name, None))
    say(f"the service {name} is deleted")
