"""authsvc audit: ask the log, and prove it."""

import asyncio
import json
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from authsvc.config import read_settings
from authsvc.core.errors import AuthsvcError, Fault, InvalidInputError
from authsvc.core.event import Requester, from_microseconds
from authsvc.core.note import NoteError, parse_verifier_key
from authsvc.core.principal import SYSTEM
from authsvc.core.search import Filter
from authsvc.core.verify import TamperedError
from authsvc.faces.cli.output import Form, FormOption, show
from authsvc.operations.query_audit import FoundPage, query_audit
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import application_url, audit_public_key, open_deps

TAMPERED, USAGE, INCOMPLETE = 1, 2, 3

audit = typer.Typer(help="The log: ask it, and prove that nobody has changed it.", no_args_is_help=True)


class Order(StrEnum):
    """Which end of the log comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


@audit.command("verify")
def verify(
    dsn: Annotated[str, typer.Option(help="The database to verify; default: the configured one.")] = "",
    vkey: Annotated[str, typer.Option(help="The log's verifier key; default: KEYS_DIR's audit key.")] = "",
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that was kept elsewhere; may be repeated.")
    ] = None,
) -> None:
    """Recompute the tree and check every signature and column: 0 proved, 1 tampered, 2 usage, 3 incomplete."""
    try:
        public = parse_verifier_key(vkey).public if vkey else audit_public_key(read_settings())
        notes = tuple(path.read_text(encoding="utf-8") for path in checkpoint or [])
    except (NoteError, OSError, UnicodeDecodeError) as error:
        typer.echo(f"authsvc: {error}", err=True)
        raise typer.Exit(USAGE) from error
    try:
        proved = verify_audit(dsn or application_url(read_settings()), public=public, known_notes=notes)
    except TamperedError as error:
        typer.echo(f"tampered: {error}")
        raise typer.Exit(TAMPERED) from error
    except NoteError as error:
        typer.echo(f"authsvc: --checkpoint: {error}", err=True)
        raise typer.Exit(USAGE) from error
    except AuthsvcError as error:
        typer.echo(f"incomplete: {error}", err=True)
        raise typer.Exit(INCOMPLETE) from error
    typer.echo(f"proved: {proved.size} entries in {proved.batches} signed batches, root {proved.root.hex()}")


@audit.command("query")
def query(
    actor: Annotated[str | None, typer.Option(help="Who: alice, acme+ci.")] = None,
    kind: Annotated[str | None, typer.Option(help="What: token.issued, policy.binding.created, …")] = None,
    project: Annotated[str | None, typer.Option(help="In which project.")] = None,
    repository: Annotated[str | None, typer.Option(help="On which repository, in full.")] = None,
    action: Annotated[str | None, typer.Option(help="Which action was granted.")] = None,
    outcome: Annotated[str | None, typer.Option(help="allowed, partial, refused or done.")] = None,
    address: Annotated[str | None, typer.Option(help="From which address.")] = None,
    jti: Annotated[str | None, typer.Option(help="The id in a token.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From when on, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Until before when, in UTC.")] = None,
    order: Annotated[Order, typer.Option(help="Which end comes first.")] = Order.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Annotated[int | None, typer.Option(help="Go on beyond this sequence number.")] = None,
    output: FormOption = Form.TABLE,
) -> None:
    """Show events, newest first; the question is logged too."""
    wanted = Filter(
        actor=actor,
        kind=kind,
        project=project,
        repository=repository,
        action=action,
        outcome=outcome,
        address=None if address is None else _address(address),
        seq=None if jti is None else _seq(jti),
        since=None if since is None else since.replace(tzinfo=UTC),
        until=None if until is None else until.replace(tzinfo=UTC),
    )

    async def run() -> FoundPage:
        async with open_deps(read_settings()) as deps:
            return await query_audit(
                deps, Requester(SYSTEM), wanted, after=cursor, limit=limit, newest_first=order is Order.NEWEST
            )

    page = asyncio.run(run())
    if output is Form.JSON:
        typer.echo(
            json.dumps([{"seq": item.seq, **item.entry} for item in page.items], ensure_ascii=False, indent=2)
        )
        return
    show([_row(item.seq, dict(item.entry)) for item in page.items], output)
    if page.next_after is not None:
        typer.echo(f"more: --cursor {page.next_after}")


def _row(seq: int, entry: dict[str, object]) -> dict[str, str | int]:
    actor, time = entry.get("actor"), entry.get("time")
    grants = entry.get("grants")
    about = ""
    if isinstance(grants, list):
        about = " ".join(_about(grant) for grant in grants)
    return {
        "seq": seq,
        "time": from_microseconds(time).isoformat(timespec="seconds") if isinstance(time, int) else "",
        "kind": str(entry.get("kind")),
        "outcome": str(entry.get("outcome")),
        "actor": str(actor.get("name") or actor.get("kind")) if isinstance(actor, dict) else "",
        "address": str(entry.get("address", "-")),
        "about": about or str(entry.get("reason", "")),
    }


def _about(grant: dict[str, Any]) -> str:
    """Return one grant in a line: what was granted, and what was refused and why."""
    granted = ",".join(grant.get("granted", {})) or "-"
    refused = ", ".join(f"{action} {reason}" for action, reason in grant.get("refused", {}).items())
    return f"{grant['name']}:{granted}" + (f" (refused: {refused})" if refused else "")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise InvalidInputError(Fault("--address", "must be an IP address")) from error


def _seq(jti: str) -> int:
    """Return the sequence number that a token's id carries: `<epoch>.<seq>.<nonce>`."""
    parts = jti.split(".", 2)
    if len(parts) != 3 or not parts[1].isdigit():  # noqa: PLR2004 - the three parts named above
        raise InvalidInputError(Fault("--jti", "must be a token's jti, as 1.42.abcdef"))
    return int(parts[1])
