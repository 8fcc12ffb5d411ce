import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole, EmbeddedServerError
from authsvc.adapters.embedded.server import EmbeddedServer

_PATIENCE = 30.0
_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges")

_SERVE = """
import sys, time
from pathlib import Path
from authsvc.adapters.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), fast_unsafe=True)
server.start()
print("up", flush=True)
time.sleep(60)
"""

_AS_NOBODY = """
import os, subprocess, sys
from pathlib import Path
import psycopg
from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
os.setgroups([]); os.setgid(65534); os.setuid(65534)
other = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL)
data_dir = Path(sys.argv[1])
for attempt in range(2):
    with EmbeddedServer(data_dir, fast_unsafe=True) as server:
        with psycopg.connect(server.cluster.url(ClusterRole.APP)) as connection:
            print(*connection.execute("SELECT current_user").fetchone())
    # What a killed server leaves when its number is another program of the same user by now.
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (server.cluster.pgdata / name).write_text(f"{other.pid}\\n" + "x\\n" * 5)
other.kill()
other.wait()
"""


def _ask(
    cluster: Cluster, role: ClusterRole, question: str, database: str = "authsvc"
) -> list[tuple[object, ...]]:
    with psycopg.connect(cluster.url(role, database), autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        return cursor.fetchall() if cursor.description else []


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server for the tests that leave it running and whole."""
    with EmbeddedServer(tmp_path_factory.mktemp("embedded"), fast_unsafe=True) as running:
        yield running


@pytest.mark.parametrize("role", list(ClusterRole))
def test_every_role_reaches_the_database_by_its_url(server: EmbeddedServer, role: ClusterRole) -> None:
    """Each role's URL connects to the service's database as that role."""
    assert _ask(server.cluster, role, "SELECT current_user, current_database()") == [(role.value, "authsvc")]


def test_only_the_superuser_is_privileged(server: EmbeddedServer) -> None:
    """Owner, application and auditor hold none of the attributes that go around privileges."""
    question = (
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND "
        "(rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)"
    )
    assert _ask(server.cluster, ClusterRole.APP, question) == [("postgres",)]


@pytest.mark.parametrize("role", [ClusterRole.APP, ClusterRole.AUDITOR])
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t ()", "CREATE SCHEMA s", "CREATE TEMPORARY TABLE t ()", "CREATE DATABASE d"]
)
def test_application_and_auditor_create_nothing(
    server: EmbeddedServer, role: ClusterRole, statement: str
) -> None:
    """What is not the owner's to create, nobody else creates."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _ask(server.cluster, role, statement)


@pytest.mark.parametrize("role", [ClusterRole.OWNER, ClusterRole.APP, ClusterRole.AUDITOR])
@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_other_databases_admit_only_the_superuser(
    server: EmbeddedServer, role: ClusterRole, database: str
) -> None:
    """A role of the service cannot even connect to a database that is not the service's."""
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        _ask(server.cluster, role, "SELECT 1", database)


def test_the_owner_migrates(server: EmbeddedServer) -> None:
    """The owner can create and drop tables in the public schema."""
    _ask(server.cluster, ClusterRole.OWNER, "CREATE TABLE migrated (n int); DROP TABLE migrated")


def test_a_wrong_password_is_refused(server: EmbeddedServer) -> None:
    """Being on the machine is not enough: the socket asks for the password."""
    url = server.cluster.url(ClusterRole.APP)
    password = server.cluster.passwords()[ClusterRole.APP]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "wrong"))


def test_statements_never_reach_the_log(server: EmbeddedServer) -> None:
    """A statement that fails is not written down, as it may hold a secret."""
    with pytest.raises(psycopg.errors.SyntaxError):
        _ask(server.cluster, ClusterRole.SUPERUSER, "CREATE ROLE r PASSWORD 'hunter2' BOGUS")
    log = server.cluster.log_file.read_text()
    assert 'unrecognized role option "bogus"' in log
    assert "hunter2" not in log


def test_durability_is_given_up_only_on_request(server: EmbeddedServer) -> None:
    """Even the fast server answers a commit as a synchronous one, so that tests see the code's real path."""
    names = ("fsync", "synchronous_commit", "password_encryption", "max_connections")
    question = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    assert _ask(server.cluster, ClusterRole.APP, question) == [("off", "on", "scram-sha-256", "200")]


def test_a_second_supervisor_is_refused(server: EmbeddedServer) -> None:
    """Two services on one folder: the second is told so and the first is not disturbed."""
    second = EmbeddedServer(server.cluster.data_dir)
    with pytest.raises(EmbeddedServerError, match="another process runs the Postgres"):
        second.start()
    assert server.is_running()
    assert not server.ensure_running()


def test_only_the_main_thread_starts(tmp_path: Path) -> None:
    """A server started from another thread would stop with that thread, so it is refused."""
    faults: list[EmbeddedServerError] = []

    def start() -> None:
        try:
            EmbeddedServer(tmp_path).start()
        except EmbeddedServerError as fault:
            faults.append(fault)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(faults[0])


def test_a_restart_keeps_data_and_passwords(tmp_path: Path) -> None:
    """What was committed under default settings is there after a stop and a start, at the same address."""
    with EmbeddedServer(tmp_path) as first:
        url = first.cluster.url(ClusterRole.OWNER)
        _ask(first.cluster, ClusterRole.OWNER, "CREATE TABLE kept AS SELECT 7 AS n")
        settings = "SELECT current_setting('fsync'), current_setting('full_page_writes')"
        assert _ask(first.cluster, ClusterRole.APP, settings) == [("on", "on")]
    assert not first.is_running()
    with EmbeddedServer(tmp_path, fast_unsafe=True) as second:
        assert second.cluster.url(ClusterRole.OWNER) == url
        assert _ask(second.cluster, ClusterRole.OWNER, "SELECT n FROM kept") == [(7,)]


def test_a_half_made_cluster_is_completed(tmp_path: Path) -> None:
    """A start killed between making files, roles, database and privileges is completed by the next one."""
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        for statement in ("DROP DATABASE authsvc", "DROP ROLE authsvc_app"):
            _ask(server.cluster, ClusterRole.SUPERUSER, statement, "postgres")
        _ask(server.cluster, ClusterRole.SUPERUSER, "GRANT ALL ON DATABASE postgres TO PUBLIC", "postgres")
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        assert _ask(server.cluster, ClusterRole.APP, "SELECT 1") == [(1,)]
        with pytest.raises(psycopg.OperationalError):
            _ask(server.cluster, ClusterRole.APP, "SELECT 1", "postgres")


def test_killing_the_service_stops_the_server_cleanly(tmp_path: Path) -> None:
    """After SIGKILL of the service its server shuts down in order, and the next start waits for it and has the data."""
    service = subprocess.Popen([sys.executable, "-c", _SERVE, str(tmp_path)], stdout=subprocess.PIPE)
    assert service.stdout is not None
    assert service.stdout.readline() == b"up\n"
    cluster = Cluster(tmp_path)
    _ask(cluster, ClusterRole.OWNER, "CREATE TABLE kept AS SELECT 7 AS n")
    service.kill()
    service.wait()
    service.stdout.close()
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        assert _ask(server.cluster, ClusterRole.OWNER, "SELECT n FROM kept") == [(7,)]
    log = cluster.log_file.read_text()
    assert "database system is shut down" in log
    assert "not properly shut down" not in log


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    """After SIGKILL of the postmaster, sessions open, ensure_running brings it back with every commit."""
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        _ask(server.cluster, ClusterRole.OWNER, "CREATE TABLE kept AS SELECT 7 AS n")
        with psycopg.connect(server.cluster.url(ClusterRole.APP)):
            postmaster = int((server.cluster.pgdata / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGKILL)
            _wait_for(lambda: not server.is_running())
            assert server.ensure_running()
        assert _ask(server.cluster, ClusterRole.OWNER, "SELECT n FROM kept") == [(7,)]
        assert not server.ensure_running()


def test_the_server_s_log_is_bounded_while_it_runs(tmp_path: Path) -> None:
    """Once it is large it is kept aside and begun anew, without a restart, and the server goes on in it."""
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        log = server.cluster.log_file
        older = log.with_name("server.log.1")
        for text in (b"first\n", b"second\n"):
            with log.open("ab") as said:
                said.write(text * 2_000_000)
            assert not server.ensure_running()
            assert log.stat().st_size < 100_000
            assert older.read_bytes().endswith(text)
        with pytest.raises(psycopg.OperationalError):
            _ask(server.cluster, ClusterRole.APP, "SELECT 1", "nothing_such")
        _wait_for(lambda: b'database "nothing_such" does not exist' in log.read_bytes())
        assert b"\0" not in log.read_bytes()
        assert {path.stat().st_mode & 0o777 for path in (log, older)} == {0o600}


def test_an_interrupted_initdb_leaves_nothing(tmp_path: Path) -> None:
    """After SIGKILL in the middle of initdb the next start makes the cluster from nothing."""
    cluster = Cluster(tmp_path)
    service = subprocess.Popen([sys.executable, "-c", _SERVE, str(tmp_path)], stdout=subprocess.DEVNULL)
    _wait_for(lambda: list(cluster.home.glob("initdb-*/global")))
    service.kill()
    service.wait()
    assert not cluster.pgdata.exists()
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        assert _ask(server.cluster, ClusterRole.APP, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ["x" * 120, "with,comma and %"])
def test_a_path_that_is_no_socket_address_works(tmp_path: Path, name: str) -> None:
    """Where the data folder's path cannot be an address, a private short folder is one, and goes with the server."""
    with EmbeddedServer(tmp_path / name, fast_unsafe=True) as server:
        folder = server.cluster.socket_folder()
        assert folder != server.cluster.pgdata
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == server.cluster.pgdata.stat().st_uid
        assert _ask(server.cluster, ClusterRole.APP, "SELECT 1") == [(1,)]
    assert not folder.exists()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    """A data folder of another major version is left alone, with one line that says what to do."""
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        version = server.cluster.pgdata / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"Postgres '17'.*dump") as refusal:
        server.start()
    assert "\n" not in str(refusal.value)
    version.write_text("18\n")
    server.start()
    server.stop()


def test_a_failed_start_names_its_reason(tmp_path: Path) -> None:
    """A server that cannot start is reported in one line with the log file and what the server said last."""
    with EmbeddedServer(tmp_path, fast_unsafe=True) as server:
        broken = server.cluster.pgdata / "pg_hba.conf"
    broken.write_text("nonsense\n")
    with pytest.raises(EmbeddedServerError, match=r"server\.log: .*FATAL: .*pg_hba\.conf") as failure:
        server.start()
    assert "\n" not in str(failure.value)


@_as_root
def test_root_is_dropped_and_no_parent_is_opened(tmp_path: Path) -> None:
    """Below a folder that only root can enter the server runs unprivileged, and no folder's mode changes."""
    data_dir = tmp_path / "closed" / "data"
    data_dir.mkdir(parents=True)
    data_dir.parent.chmod(0o700)
    before = {folder: folder.stat().st_mode for folder in (data_dir, *data_dir.parents)}
    with EmbeddedServer(data_dir, fast_unsafe=True) as server:
        postmaster = (server.cluster.pgdata / "postmaster.pid").read_text().splitlines()[0]
        status = Path(f"/proc/{postmaster}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert "0" not in fields["Uid"].split() + fields["Gid"].split() + fields["Groups"].split()
        assert server.cluster.home.stat().st_uid == 0
    assert {folder: folder.stat().st_mode for folder in before} == before


@_as_root
def test_an_ordinary_user_runs_it_too() -> None:
    """As an ordinary user, and beside a postmaster.pid that names another program, everything works the same."""
    data_dir = Path(tempfile.mkdtemp(prefix="authsvc-test-", dir="/tmp"))
    try:
        os.chown(data_dir, 65534, 65534)
        command = [sys.executable, "-c", _AS_NOBODY, str(data_dir)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        assert run.stdout.split() == ["authsvc_app", "authsvc_app"], run.stderr
        assert Cluster(data_dir).pgdata.stat().st_uid == 65534
    finally:
        shutil.rmtree(data_dir)
