"""authsvc audit: prove the log, and keep it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from authsvc.config import read_settings
from authsvc.core.canonical import Json
from authsvc.core.errors import AuthsvcError
from authsvc.core.note import NoteError
from authsvc.core.verified import TamperedError, Verified
from authsvc.faces.cli.output import Form, FormOption, show_json
from authsvc.operations.archive_audit import archive_audit
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.verify_archive import verify_archive
from authsvc.operations.verify_audit import verify_database, verify_proof
from authsvc.wiring import application_url, audit_public_key

TAMPERED, USAGE, INCOMPLETE = 1, 2, 3

audit = typer.Typer(help="The log: ask it, and prove that nobody has changed it.", no_args_is_help=True)


@audit.command("verify")
def verify(
    dsn: Annotated[str, typer.Option(help="The database to verify; default: the configured one.")] = "",
    archive: Annotated[Path | None, typer.Option(help="The folder of an archive to verify instead.")] = None,
    proof: Annotated[Path | None, typer.Option(help="A proof of one entry; needs --entry.")] = None,
    entry: Annotated[
        Path | None, typer.Option(help="The entry that --proof is about, as it was logged.")
    ] = None,
    vkey: Annotated[str, typer.Option(help="The log's verifier key; default: KEYS_DIR's audit key.")] = "",
    vkey_file: Annotated[Path | None, typer.Option(help="A file that holds it.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that was kept elsewhere; may be repeated.")
    ] = None,
    *,
    replay: Annotated[
        bool, typer.Option(help="Make every decision again, by the policy of its moment.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = os.cpu_count() or 1,
    output: FormOption = Form.TABLE,
) -> None:
    """Prove the log: hashes, signatures, columns, decisions. Exits with 0 proved, 1 tampered, 2 usage, 3 incomplete."""
    if (proof is None) != (entry is None) or sum(map(bool, (dsn, archive, proof))) > 1:
        _refuse("give --proof together with --entry, or neither; and one thing to verify")
    if dsn and not dsn.startswith(("postgresql://", "postgres://")):
        _refuse("--dsn: must be a postgresql:// URI")
    try:
        trust = _trust(vkey, vkey_file)
        notes = [path.read_text(encoding="utf-8") for path in checkpoint or []]
        known = [trust.read_known(note) for note in notes]
    except (NoteError, OSError, UnicodeDecodeError, AuthsvcError) as error:
        _refuse(str(error))
    try:
        if proof is not None and entry is not None:
            _tell(_prove(proof, entry, trust), output)
        elif archive is not None:
            with _progress() as progress:
                found = verify_archive(archive, trust, known=known, replay=replay, progress=progress)
            _tell(_describe(found.verified), output)
        else:
            with _progress() as progress:
                address = dsn or application_url(read_settings())
                proved = verify_database(
                    address, trust, known=known, replay=replay, jobs=jobs, progress=progress
                )
            _tell(_describe(proved), output)
    except TamperedError as error:
        _tell({"result": "tampered", "seq": error.seq, "what": error.what}, output)
        raise typer.Exit(TAMPERED) from error
    except AuthsvcError as error:
        if output is Form.JSON:
            _tell({"result": "incomplete", "what": str(error)}, output)
        else:
            typer.echo(f"incomplete: {error}", err=True)
        raise typer.Exit(INCOMPLETE) from error


@audit.command("archive")
def archive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the archive is, or is to be.")],
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m"], metavar="YYYY-MM", help="The last month to archive; default: all there is."
        ),
    ] = None,
    dsn: Annotated[str, typer.Option(help="The database; default: the configured one.")] = "",
    output: FormOption = Form.TABLE,
) -> None:
    """Copy the log into files that prove it (C2SP tlog-tiles). It brings such a copy up to date, and verifies it."""
    trust = _trust("", None)
    bound = None if until is None else (until.replace(tzinfo=UTC) + timedelta(days=31)).replace(day=1)
    try:
        with _progress() as progress:
            address = dsn or application_url(read_settings())
            found = archive_audit(address, folder, trust, until=bound, progress=progress)
    except TamperedError as error:
        _tell({"result": "tampered", "seq": error.seq, "what": error.what}, output)
        raise typer.Exit(TAMPERED) from error
    _tell({**_describe(found.verified), "archive": str(folder)}, output)


def _trust(vkey: str, vkey_file: Path | None) -> Trust:
    """Return what the caller trusts; raises NoteError and OSError for a verifier key that cannot be read."""
    if vkey and vkey_file is not None:
        raise NoteError("give --vkey or --vkey-file, not both")
    text = vkey if vkey_file is None else vkey_file.read_text(encoding="utf-8").strip()
    return Trust.of(text) if text else Trust(audit_public_key(read_settings()))


def _prove(proof: Path, entry: Path, trust: Trust) -> dict[str, Json]:
    try:
        text, data = proof.read_text(encoding="utf-8"), entry.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        _refuse(str(error))
    try:
        proved = verify_proof(text, data, trust)
    except NoteError as error:
        raise TamperedError(0, f"the proof's checkpoint is not signed by the audit key: {error}") from error
    return {
        "result": "proved",
        "seq": proved.seq,
        "entries": proved.size,
        "root": proved.root.hex(),
        "origin": proved.origin,
    }


def _describe(proved: Verified) -> dict[str, Json]:
    """Return what was proved, and what was not."""
    return {
        "result": "proved",
        "entries": proved.size,
        "batches": proved.batches,
        "root": proved.root.hex(),
        "decisions": proved.decisions,
        "pruned": proved.bridged,
        "not_replayed": proved.not_replayed,
        "checkpoints": len(proved.agreed),
        "lost": [
            f"epoch {loss.epoch} writes off entries {loss.lost_from} to {loss.lost_until - 1}"
            for loss in proved.losses
        ],
        "step_back_seconds": f"{proved.step_back.total_seconds():.6f}",
    }


def _tell(found: dict[str, Json], output: Form) -> None:
    """Print the result: one object for machines; a line, and one more for each thing to know, for people."""
    if output is Form.JSON:
        show_json(found)
        return
    match found["result"]:
        case "tampered":
            typer.echo(f"tampered: entry {found['seq']}: {found['what']}")
        case "proved" if "seq" in found:
            typer.echo(
                f"proved: entry {found['seq']} of {found['entries']}, log {found['origin']}, root {found['root']}"
            )
        case _:
            typer.echo(
                f"proved: {found['entries']} entries in {found['batches']} signed batches, root {found['root']}"
            )
            for line in _remarks(found):
                typer.echo(line)


def _remarks(found: dict[str, Json]) -> Iterator[str]:
    if found["pruned"]:
        yield f"{found['pruned']} entries were pruned, and are proved by their signed tree alone"
    if found["not_replayed"]:
        yield f"no decision was made again: {found['not_replayed']}; verify the archive that has them with --archive"
    lost = found["lost"]
    yield from map(str, lost if isinstance(lost, list) else [])


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal's standard error how far it is."""
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance


def _refuse(why: str) -> NoReturn:
    typer.echo(f"authsvc: {why}", err=True)
    raise typer.Exit(USAGE)
