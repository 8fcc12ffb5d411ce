"""authsvc audit findings: what registries did that no grant covers, and which of them no longer report."""

from typing import Annotated

import typer

from authsvc.core.canonical import Json
from authsvc.core.finding import FindingKind
from authsvc.faces.cli.console import run
from authsvc.faces.cli.output import Form, FormOption, show
from authsvc.faces.finding_views import view_finding
from authsvc.operations.list_findings import ShownFinding, page_findings
from authsvc.operations.page import Asked


def findings(
    kind: Annotated[
        FindingKind | None, typer.Option(help="Uncovered operations, or silent registries.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Of which service's registry.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Annotated[int | None, typer.Option(help="Go on below this number.")] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Show operations that no grant covers, and silent registries.

    Newest first; the question is logged too.
    """
    asked = Asked("" if cursor is None else str(cursor), limit)
    page = run(lambda deps, actor: page_findings(deps, actor, asked, kind=kind, service=service))
    if output is Form.JSON:
        show([view_finding(shown) for shown in page.items], output)
        return
    show([_row(shown) for shown in page.items], output)
    if page.next_after is not None:
        typer.echo(f"more: --cursor {page.next_after}")


def _row(shown: ShownFinding) -> dict[str, Json]:
    finding = shown.finding
    return {
        "id": shown.number,
        "kind": finding.kind,
        "service": finding.service,
        "since": finding.since.isoformat(timespec="seconds"),
        "seq": finding.seq,
        "about": _about(shown),
    }


def _about(shown: ShownFinding) -> str:
    """Return a finding in a line: who did what, or since which token nothing is heard."""
    if shown.finding.kind is FindingKind.SILENT:
        return "issues tokens, and its registry reports nothing"
    reported = None if shown.event is None else shown.event.fields.get("reported")
    if not isinstance(reported, dict):
        return "no longer in the log"
    who = reported.get("actor") or "nobody"
    return f"{who} {reported.get('action')} {reported.get('repository')} from {reported.get('address', '-')}"
