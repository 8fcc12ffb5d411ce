"""The README's walk-through and an administrator's first ten minutes, run as they are written."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import environment, free_port, require
from tests.memory_folder import memory_folder

ROOT = Path(__file__).parents[2]
PATIENCE = 400.0
"""Seconds that a section may take; far beyond what it takes, so that a busy machine fails nothing."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, as Unix sockets need one."""
    with memory_folder("walk") as made:
        yield made


@pytest.mark.timeout(PATIENCE + 20)
def test_the_walk_through(folder: Path) -> None:
    """Its commands run in order in one bash that stops at the first fault, and show what the text promises."""
    require("curl", "skopeo", "docker-registry")
    shown = _run("Walk-through", folder)
    for promised in (
        r"^authsvc: first administrator: admin, password: \S+$",
        r"authentication required",
        r"denied: requested access to the resource is denied",
        r"^bob was denied, as he should be$",
        r'"refused":\["push"\]',
        r"^Login Succeeded!$",
        r"^\d+ .* token\.issued .* acme\+ci .* acme/app:",
        r"^proved: \d+ entries in \d+ signed batches, root [0-9a-f]{64}$",
        r"^\{\"items\":\[\{\"seq\":\d+,.*\"name\":\"acme\+ci\".*\"granted\":\{[^}]*\"push\":",
        r"^\{\"seq\":\d+,\"actor\":\{[^}]*\"name\":\"admin\"\}.*policy\.binding\.created",
        r"^signature: good, ",
        r"^claims: as logged$",
        r"^proved: entry \d+ of \d+, ",
        r"^tampered: (.*\n)*forged, and found out$",
    ):
        assert re.search(promised, shown, re.MULTILINE), f"{promised}\n{shown}"


@pytest.mark.timeout(PATIENCE + 20)
def test_an_administrator_s_first_ten_minutes(folder: Path) -> None:
    """Its commands run in order in one bash that stops at the first fault, and show what the text promises."""
    require("curl")
    shown = _run("An administrator's first ten minutes", folder)
    for promised in (
        r"^authsvc: bob is in web$",
        r"^permissions +repository:delete, repository:pull$",
        r"^repositories +team/\*$",
        r'"subject":"acme\+ci"',
        r"^acme\+ci: 200\nacme\+ci: 200\n(.*\n)+authsvc: the secret [a-z2-7]{16} is revoked\nacme\+ci: 401$",
        r"^[a-z2-7]{16} +summer +",
        r"^repository:acme/team/app:pull,push +pull +yes +binding +.* cleaner +web ",
        r"^repository:acme/team/app:pull,push +push +no +role ",
        r"^user +bob +binding +cleaner +web +acme ",
        r"^robot +acme\+ci +binding +developer +",
        r"^bob: 200\n(.*\n)*disabled +yes\n(.*\n)+bob: 401$",
        r"^20[-0-9T:]+Z +binding +[a-z2-7]{16} +group web +acme +cleaner +",
        r"^20[-0-9T:]+Z +robot_secret +[a-z2-7]{16} +robot acme\+ci +",
        r" policy\.user\.changed +done +system ",
    ):
        assert re.search(promised, shown, re.MULTILINE), f"{promised}\n{shown}"
    assert not re.search(r"ats_r", shown), "a secret is shown"


def _commands(heading: str) -> list[str]:
    """Return a section's blocks of shell commands, in order."""
    _, found, section = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"## {heading}\n")
    assert found, f"the README has no section {heading!r}"
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert blocks, f"the README has no commands under {heading!r}"
    return blocks


def _run(heading: str, folder: Path) -> str:
    """Run a section's commands and return what they showed; whatever they leave running is killed."""
    script = "\n".join(["set -euo pipefail", *_commands(heading)])
    ports = {"AUTH_PORT": str(free_port()), "REGISTRY_PORT": str(free_port())}
    env = environment(folder, FOLDER=str(folder), **ports)
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
        code = bash.wait(PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bash.pid, signal.SIGKILL)
        bash.wait()
    shown = output.read_text(encoding="utf-8")
    assert code == 0, shown
    return shown
