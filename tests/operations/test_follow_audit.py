"""Following the log while several processes write it: nothing is missed, nothing is out of order, whenever the follower dies."""

import asyncio
import json
import os
import sys
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest

from authsvc.config import Settings
from authsvc.core.errors import ForbiddenError
from authsvc.core.presented import NameAndSecret
from authsvc.core.search import Filter
from authsvc.faces.cli.console import at_console
from authsvc.operations.act import identify
from authsvc.operations.deps import Deps
from authsvc.operations.export_audit import ExportForm, export_audit, follow_audit
from tests.world import World, password_of

WRITERS, EVENTS = 3, 120
_WRITER = f"""
import asyncio, sys
from authsvc.config import read_settings
from authsvc.core.event import Event, Kind, Outcome, Requester
from authsvc.core.principal import ANONYMOUS
from authsvc.wiring import open_deps

async def main():
    async with open_deps(read_settings(), durable=False) as deps:
        for n in range({EVENTS}):
            event = Event(Kind.AUTH_THROTTLED, deps.now(), deps.new_nonce(), Requester(ANONYMOUS), Outcome.REFUSED)
            await deps.journal.record(event, revision=None)
            await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
"""


_FOLLOWER = """
import asyncio, sys
from pathlib import Path
from authsvc.config import read_settings
from authsvc.core.search import Filter
from authsvc.faces.cli import export_audit
from authsvc.faces.cli.console import at_console
from authsvc.operations.export_audit import ExportForm, follow_audit
from authsvc.wiring import open_deps

async def main(cursor):
    async with open_deps(read_settings(), durable=False) as deps:
        start = export_audit.read_cursor(cursor)
        parts = await follow_audit(deps, at_console(), Filter(kind="auth.*"), ExportForm.NDJSON, start=start)
        await export_audit.write_parts(parts, cursor)

asyncio.run(main(Path(sys.argv[1])))
"""
KILLS = 4


async def write(settings: Settings, *, pause: float = 0) -> asyncio.subprocess.Process:
    """Start a process that writes to the log of these settings, with a pause after each event."""
    return await start(settings, _WRITER, str(pause))


async def start(
    settings: Settings, script: str, *arguments: str, stdout: int | None = None
) -> asyncio.subprocess.Process:
    """Start a process of a script with these settings."""
    assert settings.database_url is not None
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AUTHSVC_DATABASE_URL": settings.database_url.get_secret_value(),
        "AUTHSVC_DATA_DIR": str(settings.data_dir),
        "AUTHSVC_KEYS_DIR": str(settings.keys_path),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, env=env, stdout=stdout
    )


async def follow_until(deps: Deps, nonces: set[str], *, at: int, parts: int) -> tuple[int, list[str]]:
    """Follow from `at` on for some parts, or until all nonces came; return where to go on, and what came."""
    came: list[str] = []
    async with aclosing(
        await follow_audit(deps, at_console(), Filter(kind="auth.*"), ExportForm.NDJSON, start=at)
    ) as following:  # type: ignore[type-var]  # an async generator
        async for part in following:
            came += [json.loads(line)["nonce"] for line in part.lines.splitlines()]
            at, parts = part.next_seq, parts - 1
            if not parts or (nonces and nonces <= set(came)):
                break
    return at, came


async def test_an_export_ends_with_the_right_to_it(world: World) -> None:
    """Whoever reads an export slowly gets no more of it once his right to read the log is revoked."""
    await world.add_user("auditor")
    bound = await world.bind("auditor", "user", "auditor")
    presented = NameAndSecret("auditor", password_of("auditor"))
    actor = await identify(world.deps, presented, address=None, peer=None, agent=None)
    parts = aiter(await export_audit(world.deps, actor, Filter(), ExportForm.CSV))
    assert (await anext(parts)).next_seq == 0
    await world.api("DELETE", f"/bindings/{bound['id']}", expect=204)
    with pytest.raises(ForbiddenError):
        await anext(parts)


async def test_a_follower_misses_nothing(deps: Deps, settings: Settings) -> None:
    """Three processes write while a follower is stopped and restarted time and again: it has every event, in the log's order."""
    writers = [await write(settings) for _ in range(WRITERS)]
    at, came = 0, list[str]()
    while any(writer.returncode is None for writer in writers):
        at, some = await follow_until(deps, set(), at=at, parts=1)
        came += some
    assert [await writer.wait() for writer in writers] == [0] * WRITERS
    parts = await export_audit(deps, at_console(), Filter(kind="auth.*"), ExportForm.NDJSON)
    written = [json.loads(line)["nonce"] async for part in parts for line in part.lines.splitlines()]
    assert len(written) == WRITERS * EVENTS
    rest = set(written) - set(came)
    if rest:
        came += (await follow_until(deps, rest, at=at, parts=20))[1]
    assert came == written


def arrived(path: Path) -> list[str]:
    """Return what has been written whole, in the order of writing; a line that a kill cut off is none."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["nonce"] for line in lines if line.endswith(b"}") and line.startswith(b"{")]


async def test_a_follower_that_is_killed_goes_on_without_a_gap(
    deps: Deps, settings: Settings, tmp_path: Path
) -> None:
    """SIGKILL at any moment, while three processes write: the next follower repeats at most what came last, and skips nothing."""
    cursor, out, pick = tmp_path / "cursor", tmp_path / "out", Random(3)
    writers = [await write(settings, pause=0.07) for _ in range(WRITERS)]
    for _ in range(KILLS):
        had, wanted = len(arrived(out)), pick.randint(1, WRITERS * EVENTS // KILLS // 2)
        with out.open("ab") as file:
            follower = await start(settings, _FOLLOWER, str(cursor), stdout=file.fileno())
            async with asyncio.timeout(60):
                while len(arrived(out)) < had + wanted and any(  # noqa: ASYNC110 - another process writes
                    writer.returncode is None for writer in writers
                ):
                    await asyncio.sleep(0.01)
            follower.kill()
            await follower.wait()
            file.write(b"\n")  # ends what was being written
    assert [await writer.wait() for writer in writers] == [0] * WRITERS
    parts = await export_audit(deps, at_console(), Filter(kind="auth.*"), ExportForm.NDJSON)
    written = [json.loads(line)["nonce"] async for part in parts for line in part.lines.splitlines()]
    with out.open("ab") as file:
        follower = await start(settings, _FOLLOWER, str(cursor), stdout=file.fileno())
        async with asyncio.timeout(60):
            while set(arrived(out)) != set(written):  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.05)
        follower.kill()
        await follower.wait()
    came = arrived(out)
    assert list(dict.fromkeys(came)) == written  # each at least once, the first time in the log's order
