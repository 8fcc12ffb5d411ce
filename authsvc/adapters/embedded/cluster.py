"""Where the embedded cluster lives, who its roles are, and how any process of the service reaches it."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from authsvc.core.errors import StartupError

DATABASE = "authsvc"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 107  # sockaddr_un.sun_path less its terminator


class EmbeddedServerError(StartupError):
    """The embedded server cannot be used; the message is one line that says what to do and holds no secret."""


class ClusterRole(StrEnum):
    """The login roles of the cluster; only `SUPERUSER` is one, and nothing but the supervisor uses it."""

    SUPERUSER = "postgres"
    OWNER = "authsvc_owner"
    APP = "authsvc_app"
    AUDITOR = "authsvc_auditor"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The files of one embedded cluster.

    `DATA_DIR/postgres/` belongs to the service's user and is mode 0700. Only `data/` in it belongs to the server's
    user, which is another account when the service runs as root: a server that was taken over cannot reach upwards.
    """

    data_dir: Path

    @property
    def home(self) -> Path:
        """The folder of everything below, absolute."""
        return self.data_dir.absolute() / "postgres"

    @property
    def pgdata(self) -> Path:
        """Postgres' own folder; it exists only once it is complete."""
        return self.home / "data"

    @property
    def log_file(self) -> Path:
        """What the server says; never on the service's own output."""
        return self.home / "server.log"

    @property
    def lock_file(self) -> Path:
        """Locked with flock(2) by the one supervisor."""
        return self.home / "lock"

    @property
    def passwords_file(self) -> Path:
        """A JSON object from role to password, mode 0600."""
        return self.home / "passwords.json"

    @property
    def socket_record(self) -> Path:
        """Holds the socket folder's path when that is not `pgdata`."""
        return self.home / "socket-folder"

    def socket_folder(self) -> Path:
        """Where the server listens: its data folder, or a short private one when that path is no socket address."""
        if self.socket_record.exists():
            return Path(self.socket_record.read_text(encoding="utf-8"))
        return self.pgdata

    def url(self, role: ClusterRole, database: str = DATABASE) -> str:
        """Give the `postgresql://` URI, password included, for psycopg, SQLAlchemy and psql alike.

        It names the port, so that PGPORT of the caller's environment cannot redirect it.
        Raises EmbeddedServerError when there is no cluster here or this user may not read its passwords.
        """
        password = quote(self.passwords()[role], safe="")
        host = quote(str(self.socket_folder()), safe="")
        return f"postgresql://{role}:{password}@/{quote(database, safe='')}?host={host}&port=5432"

    def passwords(self) -> Mapping[ClusterRole, str]:
        """Read every role's password; raises EmbeddedServerError when that cannot be done safely."""
        file = self.passwords_file
        try:
            if file.stat().st_mode & 0o077:
                raise EmbeddedServerError(f"{file} can be read by others; run chmod 600 {file}")
            stored = json.loads(file.read_text(encoding="utf-8"))
            return {role: str(stored[role.value]) for role in ClusterRole}
        except FileNotFoundError:
            raise EmbeddedServerError(
                f"no embedded Postgres below {self.data_dir}: start `authsvc serve` once, or restore {file}"
            ) from None
        except OSError as fault:
            raise EmbeddedServerError(
                f"cannot read {file}: {fault.strerror}; run as the service's user"
            ) from None
        except (ValueError, TypeError, KeyError):
            raise EmbeddedServerError(f"{file} is damaged; restore it from a backup") from None

    def create_passwords(self) -> None:
        """Choose every role's password, unless that was done before.

        INVARIANT: called before initdb. The superuser's password must be known durably before a cluster has it.
        """
        if self.passwords_file.exists():
            return
        passwords = {role.value: secrets.token_urlsafe(32) for role in ClusterRole}
        write_durably(self.passwords_file, json.dumps(passwords, indent=1))


def write_durably(file: Path, text: str) -> None:
    """Replace a file by one of mode 0600, so that a crash leaves the old one or the new one."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make renames within a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
