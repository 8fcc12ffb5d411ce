"""authsvc audit recover: what to do when the log's newest copy is lost."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from authsvc.config import read_settings
from authsvc.core.note import NoteError
from authsvc.operations.recover_audit import recover_audit, start_database
from authsvc.wiring import open_recovery

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
