"""authsvc audit query: asking the log from the server's own console."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from authsvc.core.errors import InvalidInputError
from authsvc.core.search import PARAMETERS, Filter, parse_filter
from authsvc.faces.cli.console import run
from authsvc.faces.cli.output import Form, FormOption, show
from authsvc.operations.query_audit import Found, Search, query_audit


class Order(StrEnum):
    """Which end of the log comes first, in the words of logs or of databases."""

    NEWEST = "newest"
    OLDEST = "oldest"
    DESC = "desc"
    ASC = "asc"


Actor = Annotated[str | None, typer.Option(help="Who: alice, acme+ci.")]
Kind = Annotated[str | None, typer.Option(help="What: token.issued, policy.binding.created, policy.*, …")]
Project = Annotated[str | None, typer.Option(help="In which project.")]
Repository = Annotated[str | None, typer.Option(help="On which repository, in full.")]
Action = Annotated[str | None, typer.Option(help="Which action was granted.")]
Outcome = Annotated[str | None, typer.Option(help="allowed, partial, refused or done.")]
Address = Annotated[str | None, typer.Option(help="From which address.")]
Jti = Annotated[str | None, typer.Option(help="The id in a token.")]
Since = Annotated[str | None, typer.Option(help="From when on: 2026-11-24, or 2026-11-24T08:00:00, in UTC.")]
Until = Annotated[str | None, typer.Option(help="Until before when, in UTC.")]


def query(
    actor: Actor = None,
    kind: Kind = None,
    project: Project = None,
    repository: Repository = None,
    action: Action = None,
    outcome: Outcome = None,
    address: Address = None,
    jti: Jti = None,
    since: Since = None,
    until: Until = None,
    order: Annotated[Order, typer.Option(help="Which end comes first.")] = Order.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[int | None, typer.Option(help="Go on beyond this sequence number.")] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Show events, newest first; the question is logged too."""
    wanted = read_filter(locals())
    search = Search(wanted, cursor, limit, newest_first=order in (Order.NEWEST, Order.DESC))
    page = run(lambda deps, actor: query_audit(deps, actor, search))
    if output is Form.JSON:
        show([item.describe() for item in page.items], output)
        return
    show([row_of(item) for item in page.items], output)
    if page.next_after is not None:
        typer.echo(f"more: --cursor {page.next_after}")


def read_filter(options: Mapping[str, object]) -> Filter:
    """Return what a command's options look for; a time without an offset, or a day, is in UTC.

    Raises UsageError with every fault.
    """
    given = {name: str(options[name]) for name in PARAMETERS if options[name] is not None}
    for name in ("since", "until"):
        if name in given:
            given[name] = _in_utc(given[name])
    try:
        return parse_filter(given, prefix="--")
    except InvalidInputError as error:
        faults = "; ".join(f"{fault.where}: {fault.what}" for fault in error.faults)
        raise typer.BadParameter(faults) from None


def _in_utc(text: str) -> str:
    day, _, clock = text.replace("T", " ").partition(" ")
    has_offset = any(sign in clock for sign in "Zz+-")
    return f"{day}T{clock or '00:00:00'}" + ("" if has_offset else "Z")


def row_of(item: Found) -> dict[str, str | int]:
    """Return an event as a line of a table."""
    fields = item.fields
    actor = fields.get("actor")
    return {
        "seq": item.seq,
        "time": item.time[:19] + "Z",
        "kind": str(fields["kind"]),
        "outcome": str(fields["outcome"]),
        "actor": str(actor.get("name") or actor.get("kind")) if isinstance(actor, dict) else "",
        "address": str(fields.get("address", "-")),
        "about": item.about or str(fields.get("reason", "")),
    }
