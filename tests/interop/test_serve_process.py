"""The life of `authsvc serve` and of all it starts, seen from outside."""

import json
import os
import signal
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.interop.deployment import Service
from tests.interop.programs import alive, family, wait_until


def test_a_restart_keeps_everything(own_service: Service) -> None:
    """SIGTERM and Ctrl-C end the service with 0 and all it started; a second start prints no password and has the data."""
    own_service.start()
    members = family(own_service.program.process.pid)
    assert len(members) > 3  # the parent, a worker, Postgres and its processes
    own_service.add_project("kept")
    account = own_service.administrator()
    before = own_service.auth_block()
    assert own_service.stop() == 0
    assert alive(members) == set()

    own_service.start()
    assert "password" not in own_service.printed
    assert own_service.auth_block() == before
    assert own_service.api("GET", "/projects/kept", expect=200, by=account)["name"] == "kept"
    members = family(own_service.program.process.pid)
    assert own_service.stop(signal.SIGINT) == 0
    assert alive(members) == set()


def test_kill_leaves_nothing_running(own_service: Service) -> None:
    """A killed worker is replaced; after SIGKILL of the parent everything else goes too, and a new start has the data."""
    own_service.start()
    own_service.add_project("kept")
    parent = own_service.program.process.pid
    (worker,) = [member for member in family(parent) if b"authsvc\0worker" in _command_line(member[0])]
    os.kill(worker[0], signal.SIGKILL)
    wait_until(lambda: not alive({worker}), "a killed worker is gone")
    wait_until(lambda: _answers(own_service), "another worker answers")

    members = family(parent)
    own_service.program.kill()
    wait_until(lambda: not alive(members), "the processes of a killed service end")
    own_service.start()
    assert own_service.api("GET", "/projects/kept", expect=200)["name"] == "kept"
    assert own_service.command("audit", "verify").succeeded().out.startswith("proved: ")


@pytest.mark.parametrize("role", ["app", "owner", "auditor"])
def test_db_url(service: Service, role: str) -> None:
    """What `db url` prints is a URI that drivers take; whoever it is for, nothing is deleted from the log."""
    printed = service.command("db", "url", "--role", role).succeeded().out
    assert printed.startswith("postgresql://")
    assert printed.count("\n") == 1
    with psycopg.connect(printed.strip()) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (f"authsvc_{role}",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM log")


def test_a_lost_password(service: Service) -> None:
    """`admin reset-password` works beside a running service; the old password is refused from then on."""
    old = service.add_user("lost")
    printed = service.command("admin", "reset-password", "lost").succeeded().out
    new = printed.strip().rpartition(" ")[2]
    assert printed == f"authsvc: lost has a new password: {new}\n"
    service.api("GET", "/me", expect=200, by=("lost", new))
    service.api("GET", "/me", expect=401, by=old)
    told = service.command(
        "admin", "reset-password", "lost", "--stdin", stdin="another-password\n"
    ).succeeded()
    assert told.out == "authsvc: lost has a new password\n"
    service.api("GET", "/me", expect=200, by=("lost", "another-password"))


def test_commands_answer_in_json(service: Service) -> None:
    """`-o json` on commands that set up and repair prints one object with what a script needs."""
    service.add_user("machine")

    def ask(*command: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(service.command(*command, "-o", "json").succeeded().out)
        return answer

    reset = ask("admin", "reset-password", "machine")
    assert reset.keys() == {"name", "password"}
    service.api("GET", "/me", expect=200, by=("machine", str(reset["password"])))
    assert str(ask("db", "url", "--role", "auditor")["url"]).startswith("postgresql://authsvc_auditor:")
    assert ask("config", "check") == {"result": "good"}
    assert ask("migrate") == {"result": "migrated"}
    again = ask("bootstrap")
    assert again["password"] is None
    assert again["services"]


def test_resetting_the_password_of_nobody(service: Service) -> None:
    """A name that is no user's is told in one line."""
    told = service.command("admin", "reset-password", "nobody-at-all").failed(code=1, saying="authsvc: ")
    assert len(told.err.splitlines()) == 1


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _answers(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/livez", trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
