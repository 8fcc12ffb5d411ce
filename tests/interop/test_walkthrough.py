"""The README's first ten minutes, run as they are written."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import environment, free_port, require

ROOT = Path(__file__).parents[2]
HEADING = "## Walk-through"


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, as Unix sockets need one."""
    made = Path(tempfile.mkdtemp(prefix="authsvc-walk-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_walk_through(folder: Path) -> None:
    """Its commands run in order in one bash that stops at the first fault, and show what the text promises."""
    require("curl", "skopeo", "docker-registry")
    script = "\n".join(["set -euo pipefail", *_commands()])
    ports = {"AUTH_PORT": str(free_port()), "REGISTRY_PORT": str(free_port())}
    env = environment(folder, FOLDER=str(folder), **ports)
    shown = _run(script, env, folder)
    for promised in (
        r"^authsvc: first administrator: admin, password: \S+$",
        r"authentication required",
        r"denied: requested access to the resource is denied",
        r"^bob was denied, as he should be$",
        r'"refused":\["push"\]',
        r"^Login Succeeded!$",
        r"^\d+ .* token\.issued .* acme\+ci .* acme/app:",
        r"^proved: \d+ entries in \d+ signed batches, root [0-9a-f]{64}$",
    ):
        assert re.search(promised, shown, re.MULTILINE), f"{promised}\n{shown}"


def _commands() -> list[str]:
    """Return the section's blocks of shell commands, in order."""
    for name in ("README.md", "README.walkthrough.md"):
        file = ROOT / name
        _, found, section = (file.read_text(encoding="utf-8") if file.exists() else "").partition(
            f"{HEADING}\n"
        )
        if found:
            blocks = re.findall(
                r"^```sh\n(.*?)^```$",
                re.split(r"^## ", section, flags=re.MULTILINE)[0],
                re.MULTILINE | re.DOTALL,
            )
            assert blocks, f"{name} has no commands in its walk-through"
            return blocks
    pytest.fail(f"no README has the section {HEADING!r}")


def _run(script: str, env: dict[str, str], folder: Path) -> str:
    """Run a script and return what it showed; whatever it leaves running is killed."""
    output = folder / "output"  # a pipe would be waited for as long as anything in the background holds it
    with output.open("wb") as file:
        bash = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", "-c", script],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = bash.wait(120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bash.pid, signal.SIGKILL)
        bash.wait()
    shown = output.read_text(encoding="utf-8")
    assert code == 0, shown
    return shown
