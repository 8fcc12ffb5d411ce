"""What `authsvc` refuses to start with, each told in one line that says what to do."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core.service import Algorithm
from tests.interop.deployment import Service
from tests.interop.programs import Ended


def _refuses(service: Service, *words: str) -> None:
    """Fail the test unless `serve` ends with 1 and one line that holds some words, and no password was printed."""
    ended = service.try_to_serve()
    _is_one_line(ended, *words)
    assert ended.out == ""


def _is_one_line(ended: Ended, *words: str) -> None:
    ended.failed(code=1, saying="authsvc: ")
    assert len(ended.err.splitlines()) == 1, ended.err
    for word in words:
        assert word in ended.err


def test_config_check_tells_all_faults(own_service: Service) -> None:
    """`config check` tells every fault of the settings in a line of its own, quotes no value, and exits with 1."""
    own_service.settings = {
        "AUTHSVC_WORKERS": "none",
        "AUTHSVC_PUBLIC_URL": "auth.example.com/secret-path",
        "AUTHSVC_TOKEN_TTL_SECONDS": "1",
        "AUTHSVC_AUDIT_RETENTION_DAYS": "30",
        "AUTHSVC_PORTT": "5001",
        "AUTHSVC_BOOTSTRAP_ADMIN_PASSWORD_FILE": "/nonexistent",
    }
    told = own_service.command("config", "check").failed(code=1, saying="authsvc: ").err
    lines = told.splitlines()
    assert len(lines) == len(own_service.settings)
    for name in own_service.settings:
        assert sum(line.startswith(f"authsvc: {name}: ") for line in lines) == 1, told
    assert "secret-path" not in told
    own_service.settings = {}
    assert own_service.command("config", "check").succeeded().out == "authsvc: the settings are good\n"


def test_an_unknown_setting(own_service: Service) -> None:
    """A setting that does not exist is refused by name: a typing error must not go unnoticed."""
    own_service.settings = {"AUTHSVC_TRUSTED_PROXY": "10.0.0.1"}
    _refuses(own_service, "AUTHSVC_TRUSTED_PROXY", "no such setting")


def test_a_port_in_use(own_service: Service) -> None:
    """A port that somebody listens on is named, with the settings that choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own_service.port = taken.getsockname()[1]
        _refuses(own_service, f"127.0.0.1:{own_service.port}", "AUTHSVC_PORT")
    assert not (own_service.folder / "data").exists()


def test_a_key_that_others_can_read(own_service: Service) -> None:
    """A private key that others can read is named, with what to do about it."""
    folder = own_service.folder / "data" / "keys"
    KeyFolder(folder).create_missing(algorithms={Algorithm.ES256}, now=datetime.now(UTC))
    (folder / "audit.key.pem").chmod(0o644)
    _refuses(own_service, "audit.key.pem", "chmod 600")


def test_a_second_service_in_the_same_folder(service: Service) -> None:
    """Two services do not share an embedded Postgres; the first one goes on."""
    second = Service(service.folder)
    _refuses(second, "AUTHSVC_DATA_DIR")
    service.api("GET", "/me", expect=200)


def test_a_database_that_is_not_migrated(own_service: Service, service: Service) -> None:
    """A database without our schema is refused with the command that makes it."""
    superuser = service.command("db", "url", "--role", "superuser").succeeded().out.strip()
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE DATABASE not_migrated OWNER authsvc_owner")
    application = service.command("db", "url", "--role", "app").succeeded().out.strip()
    own_service.settings = {"AUTHSVC_DATABASE_URL": application.replace("/authsvc?", "/not_migrated?")}
    assert own_service.settings["AUTHSVC_DATABASE_URL"] != application
    _refuses(own_service, "authsvc migrate")


def test_a_database_that_is_not_there(own_service: Service) -> None:
    """A database that cannot be reached is told without its password."""
    own_service.settings = {"AUTHSVC_DATABASE_URL": "postgresql://authsvc_app:hunter2@127.0.0.1:1/authsvc"}
    ended = own_service.try_to_serve()
    _is_one_line(ended, "AUTHSVC_DATABASE_URL")
    assert "hunter2" not in ended.err


def test_keys_that_are_not_there(own_service: Service, service: Service) -> None:
    """A command with the right database and the wrong KEYS_DIR names the folder, and makes no keys in it."""
    application = service.command("db", "url", "--role", "app").succeeded().out.strip()
    own_service.settings = {"AUTHSVC_DATABASE_URL": application}
    _is_one_line(own_service.command("keys", "list"), "data/keys")
    assert list(own_service.folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [["admin", "reset-password", "admin"], ["keys", "list"], ["db", "url", "--role", "app"]],
)
def test_commands_without_a_service(own_service: Service, command: list[str]) -> None:
    """Commands that need the embedded Postgres say in one line that it does not run, and leave no keys behind."""
    _is_one_line(own_service.command(*command))
    assert list(own_service.folder.iterdir()) == []


def test_certificate_without_a_key(own_service: Service, tmp_path: Path) -> None:
    """Half a TLS configuration is refused before anything is made."""
    own_service.settings = {"AUTHSVC_TLS_CERT_FILE": str(tmp_path / "absent.crt")}
    _refuses(own_service, "TLS_KEY_FILE")


def test_certificate_files_that_are_not_there(own_service: Service, tmp_path: Path) -> None:
    """TLS files that cannot be read are named."""
    own_service.settings = {
        "AUTHSVC_TLS_CERT_FILE": str(tmp_path / "absent.crt"),
        "AUTHSVC_TLS_KEY_FILE": str(tmp_path / "absent.key"),
    }
    _refuses(own_service, "absent.crt")
