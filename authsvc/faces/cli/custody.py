"""authsvc audit recover, prune and repair-tiles: what is done to the log as its owner."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from authsvc.config import read_settings
from authsvc.core.note import NoteError
from authsvc.core.verified import TamperedError
from authsvc.operations.prune_audit import Pruning, prune_audit
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.recover_audit import recover_audit, start_database
from authsvc.operations.repair_tiles import find_false_tile, repair_tiles
from authsvc.wiring import application_url, audit_public_key, open_deps, open_recovery, owner_url

USAGE = 2


def recover(
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that was kept elsewhere; may be repeated.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
) -> None:
    """Go on with a log whose newest entries are lost for good. A new epoch begins, and its first entry says what is missing.

    Stop every node first. With AUTHSVC_DATABASE_URL it needs AUTHSVC_OWNER_DATABASE_URL.
    """
    recovery = open_recovery(read_settings())
    with ExitStack() as stack:
        try:
            notes = [path.read_text(encoding="utf-8") for path in checkpoint or []]
            start_database(recovery, stack)
            loss = asyncio.run(recover_audit(recovery, notes, keep=yes))
        except (NoteError, OSError, UnicodeDecodeError) as error:
            typer.echo(f"authsvc: --checkpoint: {error}", err=True)
            raise typer.Exit(USAGE) from error
    typer.echo(
        f"authsvc: {loss.lost_until - loss.lost_from} entries of the log are lost, {loss.lost_from} to {loss.lost_until - 1}"
    )
    if not yes:
        typer.echo("authsvc: nothing was changed; restore a newer copy if there is one, else add --yes")
        raise typer.Exit(1)
    typer.echo(
        f"authsvc: epoch {loss.epoch} has begun, and its first entry says so; start every node again\n"
        "authsvc: changes of policy in the lost range are undone: revoke again what was revoked, and look through recent rights"
    )


def prune(
    archive: Annotated[Path, typer.Option(help="The archive that has what leaves the log.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
) -> None:
    """Drop months that are older than the retention. The archive must be proved to have them.

    AUTHSVC_AUDIT_RETENTION_DAYS is the retention. With AUTHSVC_DATABASE_URL it needs
    AUTHSVC_OWNER_DATABASE_URL: the service's own role can drop nothing.
    """
    settings = read_settings()

    async def run() -> Pruning | None:
        async with open_deps(settings) as deps:
            return await prune_audit(
                deps,
                owner_url=lambda: owner_url(settings),
                archive=archive,
                trust=Trust(audit_public_key(settings)),
                retention_days=settings.audit_retention_days,
                keep=not yes,
            )

    pruning = asyncio.run(run())
    if pruning is None:
        typer.echo(
            f"authsvc: no month is wholly older than {settings.audit_retention_days} days: nothing to prune"
        )
        return
    found = pruning.prunable
    what = f"{found.end - found.first} entries of before {found.until:%Y-%m-%d}, {found.first} to {found.end - 1}"
    if not yes:
        typer.echo(
            f"authsvc: {what}, are in the archive and may leave the log; nothing was changed: add --yes"
        )
        raise typer.Exit(1)
    typer.echo(f"authsvc: pruned {what}; they are in {archive} alone now")


def repair(
    archive: Annotated[
        Path | None, typer.Option(help="An archive that has what was pruned, if false tiles are of that.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
) -> None:
    """Make stored tiles again that are not the tree's. Proofs are made of them; 'audit verify' names the first one.

    It proves the entries first. With AUTHSVC_DATABASE_URL it needs AUTHSVC_OWNER_DATABASE_URL.
    """
    settings = read_settings()
    trust = Trust(audit_public_key(settings))
    dsn = application_url(settings)
    try:
        false = find_false_tile(dsn, trust)
        if false is None:
            typer.echo("authsvc: every stored tile is the tree's: nothing to repair")
            return
        typer.echo(f"authsvc: from entry {false.seq} on: {false.what}")
        if not yes:
            typer.echo("authsvc: nothing was changed: add --yes")
            raise typer.Exit(1)
        forgotten = asyncio.run(
            repair_tiles(false, owner_url=lambda: owner_url(settings), archive=archive, trust=trust)
        )
        left = find_false_tile(dsn, trust)
    except TamperedError as error:
        typer.echo(f"authsvc: the log itself is tampered with, and no tile is made of it: {error}", err=True)
        raise typer.Exit(1) from error
    if left is not None:
        typer.echo(f"authsvc: still wrong, from entry {left.seq} on: {left.what}", err=True)
        raise typer.Exit(1)
    typer.echo(f"authsvc: {forgotten} tiles were deleted and made again; every stored tile is the tree's")
