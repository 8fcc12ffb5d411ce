"""authsvc audit export: the log for other programs, once or without end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from authsvc.config import read_settings
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.faces.cli import read_audit as options
from authsvc.faces.cli.console import at_console
from authsvc.faces.cli.read_audit import read_filter
from authsvc.operations.deps import Deps
from authsvc.operations.export_audit import Exported, ExportForm, export_audit, follow_audit
from authsvc.wiring import open_deps


def export(
    form: Annotated[
        ExportForm, typer.Option("--format", help="The entries as hashed, OCSF events, or a spreadsheet.")
    ] = ExportForm.NDJSON,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with every new event, until stopped.")
    ] = False,
    cursor: Annotated[
        Path | None,
        typer.Option(
            help="Go on from where this file says, and note there what was written: each event at least once."
        ),
    ] = None,
    actor: options.Actor = None,
    kind: options.Kind = None,
    project: options.Project = None,
    repository: options.Repository = None,
    action: options.Action = None,
    outcome: options.Outcome = None,
    address: options.Address = None,
    jti: options.Jti = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Write matching events to standard output. Oldest first; the export is logged too."""
    wanted = read_filter(locals())
    start = 0 if cursor is None else read_cursor(cursor)

    async def run() -> None:
        _stop_at_a_signal()
        async with open_deps(read_settings()) as deps:
            await write_parts(await begin(deps), cursor)

    async def begin(deps: Deps) -> AsyncIterator[Exported]:
        if follow:
            return await follow_audit(deps, at_console(), wanted, form, start=start)
        return await export_audit(deps, at_console(), wanted, form, start=start)

    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(run())


async def write_parts(parts: AsyncIterator[Exported], cursor: Path | None) -> None:
    """Write part after part; whoever reads standard output may leave at any time.

    INVARIANT: the cursor is moved once the lines are out of our hands, so that what is lost with us is written again.
    """
    written = None
    try:
        async for part in parts:
            await asyncio.to_thread(_put, part.lines)
            if cursor is not None and part.next_seq != written:
                _write_cursor(cursor, part.next_seq)
                written = part.next_seq
    except BrokenPipeError:
        # What Python still holds for a reader that has gone would fail again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _put(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def _stop_at_a_signal() -> None:
    running = asyncio.current_task()
    assert running is not None  # called inside one
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)


def read_cursor(cursor: Path) -> int:
    """Return the sequence number that a cursor file goes on from; 0 where there is none yet."""
    try:
        text = cursor.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text.isdecimal():
        raise InvalidInputError(Fault("--cursor", f"{cursor} holds no sequence number: name another file"))
    return int(text)


def _write_cursor(cursor: Path, seq: int) -> None:
    """Replace the file whole, durably: after a crash it holds this number or the one before."""
    new = cursor.with_name(cursor.name + ".new")
    with new.open("w", encoding="ascii") as file:
        file.write(f"{seq}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(cursor)
