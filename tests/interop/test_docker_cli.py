"""The docker command, where it is installed; it logs in without a daemon."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from tests.interop.deployment import Account, Registry
from tests.interop.programs import Ended, environment, run

DOCKER = "/usr/local/bin/docker"

pytestmark = pytest.mark.skipif(
    shutil.which(DOCKER) is None,
    reason=f"optional: {DOCKER}, the docker command 28 or later, is not installed",
)


def _log_in(registry: Registry, home: Path, account: Account) -> Ended:
    command = [DOCKER, "--config", str(home), "login", "-u", account[0], "--password-stdin", registry.host]
    env = environment(home, DOCKER_HOST=f"unix://{home}/no-daemon.sock")
    return run(command, env=env, folder=home, stdin=account[1])


def test_docker_login(registry: Registry, acme: dict[str, Account], tmp_path: Path) -> None:
    """`docker login` succeeds, and keeps a refresh token instead of the password."""
    assert "Login Succeeded" in _log_in(registry, tmp_path, acme["developer"]).succeeded().out
    kept = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["auths"][registry.host]
    assert kept["identitytoken"].startswith("ats_")
    assert base64.b64decode(kept["auth"]) == b"developer:"


def test_docker_login_with_a_wrong_password(
    registry: Registry, acme: dict[str, Account], tmp_path: Path
) -> None:
    """A person reads our own sentence."""
    refused = _log_in(registry, tmp_path, ("developer", "wrong"))
    refused.failed(
        code=1, saying="unauthorized: incorrect user name or password, or an expired credential: log in again"
    )


def test_docker_uses_what_login_kept(
    registry: Registry, acme: dict[str, Account], pushed: tuple[str, object], tmp_path: Path
) -> None:
    """After the login, docker reads a manifest with its refresh token by POST."""
    _log_in(registry, tmp_path, acme["reader"]).succeeded()
    name = f"{registry.host}/{pushed[0]}:1"
    command = [DOCKER, "--config", str(tmp_path), "manifest", "inspect", "--insecure", name]
    env = environment(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no-daemon.sock")
    assert json.loads(run(command, env=env, folder=tmp_path).succeeded().out)["layers"]
