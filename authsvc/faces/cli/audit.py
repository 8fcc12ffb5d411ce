"""authsvc audit: ask the log, and prove it."""

from pathlib import Path
from typing import Annotated

import typer

from authsvc.config import read_settings
from authsvc.core.errors import AuthsvcError
from authsvc.core.note import NoteError, parse_verifier_key
from authsvc.core.verify import TamperedError
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import application_url, audit_public_key

TAMPERED, USAGE, INCOMPLETE = 1, 2, 3

audit = typer.Typer(help="The log: ask it, and prove that nobody has changed it.", no_args_is_help=True)


@audit.command("verify")
def verify(
    dsn: Annotated[str, typer.Option(help="The database to verify; default: the configured one.")] = "",
    vkey: Annotated[str, typer.Option(help="The log's verifier key; default: KEYS_DIR's audit key.")] = "",
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that was kept elsewhere; may be repeated.")
    ] = None,
) -> None:
    """Prove the log: every hash, signature and column. Exits with 0 proved, 1 tampered, 2 usage, 3 incomplete."""
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
