"""Settings in, Deps out: the only module that builds things."""

import asyncio
import gc
import os
import secrets
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from cryptography import x509

from authsvc.adapters import http_server
from authsvc.adapters.common_passwords import read_common_passwords
from authsvc.adapters.embedded.cluster import Cluster, ClusterRole
from authsvc.adapters.kept_checkpoints import KeptCheckpoints
from authsvc.adapters.keys.audit_key import verify as verify_signature
from authsvc.adapters.keys.folder import KeyFolder, KeySet
from authsvc.adapters.keys.ring import KeyRing
from authsvc.adapters.logs import configure_logs
from authsvc.adapters.metrics import (
    METRICS_TYPE,
    exposition,
    flush_tokens,
    observe_batch,
    observe_queues,
    observe_token,
    reserve_metrics,
)
from authsvc.adapters.passwords import PasswordHasher
from authsvc.adapters.postgres.custody import Custody, check_marks
from authsvc.adapters.postgres.database import Database
from authsvc.adapters.postgres.hmac_key import open_hmac_key
from authsvc.adapters.postgres.journal import Journal
from authsvc.adapters.postgres.log import Connection, Epoch, Seal, open_epoch
from authsvc.adapters.postgres.memory import PolicyMemory
from authsvc.adapters.postgres.migrate import check_migrated, upgrade
from authsvc.adapters.postgres.selftest import check_database, ensure_partitions
from authsvc.adapters.shared_memory import open_shared
from authsvc.config import Settings
from authsvc.core.credential import SECRET_ALPHABET, SECRET_LENGTH
from authsvc.core.errors import StartupError
from authsvc.core.mark import Mark
from authsvc.core.note import Checkpoint, VerifierKey, sign_note
from authsvc.core.service import Algorithm
from authsvc.operations.deps import Deps
from authsvc.operations.diagnose import Checkup
from authsvc.operations.recover_audit import Recovery
from authsvc.operations.throttle import ATTEMPTS_FILE, THROTTLE_BYTES, Throttle

__all__ = ["METRICS_TYPE", "configure_logs", "exposition", "observe_token", "upgrade"]

CONNECT_SECONDS = 5
CLOCK_TOLERANCE = timedelta(seconds=60)
"""As registries give a token's times 60 s."""
COLLECT_AFTER = (50_000, 20, 50)
"""Allocations before the youngest are looked through, and rounds before the older are: Python's own 700, 10, 10 cost a sixth."""
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def now() -> datetime:
    """Return the time, which everything else is given."""
    return datetime.now(UTC)  # noqa: TID251 - the clock itself


def new_id() -> str:
    """Return 80 random bits as an id."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))


def new_nonce() -> str:
    """Return 64 random bits for an event; its token's id ends with it."""
    return secrets.token_urlsafe(8)


def new_secret() -> str:
    """Return 238 random bits in base 62."""
    return "".join(secrets.choice(SECRET_ALPHABET) for _ in range(SECRET_LENGTH))


def node_name() -> str:
    """Return what this process is called in the log."""
    return f"{socket.gethostname()}:{os.getpid()}"


def application_url(settings: Settings) -> str:
    """Return the application role's URL, of the embedded server where none is set."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return Cluster(settings.data_dir).url(ClusterRole.APP)


def owner_url(settings: Settings) -> str:
    """Return the owner role's URL, for migrations; raises StartupError when it is needed and not set."""
    if settings.owner_database_url is not None:
        return settings.owner_database_url.get_secret_value()
    if settings.database_url is not None:
        raise StartupError("set AUTHSVC_OWNER_DATABASE_URL: migrations run as the owner of the database")
    return Cluster(settings.data_dir).url(ClusterRole.OWNER)


def load_keys(settings: Settings, *, create: bool) -> tuple[KeyFolder, KeySet]:
    """Return the key folder and what it holds; `create` makes what is missing, which only a start may."""
    folder = KeyFolder(settings.keys_path)
    if create:
        folder.create_missing(algorithms={Algorithm.ES256}, now=now())
    return folder, folder.load()


def make_seal(keys: KeySet) -> Seal:
    """Return the function that signs checkpoints with the audit key, under the origin's name."""

    def seal(checkpoint: Checkpoint) -> str:
        key = VerifierKey(checkpoint.origin, keys.audit.public_bytes)
        return sign_note(checkpoint.to_text(), key=key, sign=keys.audit.sign)

    return seal


def keep_checkpoints(settings: Settings, keys: KeySet) -> KeptCheckpoints:
    """Return the checkpoints outside Postgres: in DATA_DIR, and the mark in KEYS_DIR too where that is another place."""
    data, folder = settings.data_dir.absolute(), settings.keys_path.absolute()
    public = keys.audit.public_bytes
    return KeptCheckpoints(
        data / "audit",
        None if folder.is_relative_to(data) else folder / "audit.checkpoint",
        lambda note: Mark.read(note, public=public, verify=verify_signature),
    )


def free_disk(settings: Settings) -> Callable[[], int]:
    """Return what tells the free bytes on DATA_DIR's disk."""
    return lambda: shutil.disk_usage(settings.data_dir).free


def open_checkup(settings: Settings) -> Checkup:
    """Return what the doctor looks at."""

    async def connect() -> Connection:
        return await connect_database(application_url(settings))

    return Checkup(
        connect=connect,
        load_keys=lambda: load_keys(settings, create=False)[1],
        keep=lambda keys: keep_checkpoints(settings, keys),
        tls_ends=lambda: tls_ends(settings),
        free_disk=free_disk(settings) if settings.is_embedded else None,
        realm=settings.realm,
        retention_days=settings.audit_retention_days,
        now=now,
    )


def tls_ends(settings: Settings) -> datetime | None:
    """Return when the certificate of https ends, None where there is none; raises StartupError as `check_tls`."""
    check_tls(settings)
    if settings.tls_cert_file is None:
        return None
    return x509.load_pem_x509_certificate(settings.tls_cert_file.read_bytes()).not_valid_after_utc


def open_recovery(settings: Settings) -> Recovery:
    """Return what `audit recover` works with."""
    _, keys = load_keys(settings, create=False)
    return Recovery(
        kept=keep_checkpoints(settings, keys),
        owner_url=lambda: owner_url(settings),
        embedded=settings.data_dir if settings.is_embedded else None,
        public=keys.audit.public_bytes,
        seal=make_seal(keys),
        now=now,
        new_nonce=new_nonce,
    )


@asynccontextmanager
async def open_deps(
    settings: Settings,
    *,
    create_keys: bool = False,
    durable: bool = True,
    any_hmac_key: bool = False,
    shared: bool = False,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[Deps]:
    """Build everything on a database that has passed its self-test, with the journal running, and take it down again.

    `shared` counts attempts together with the other workers of the same `serve`.
    `any_hmac_key` is for the command that begins anew with another one than credentials were made with.
    A command run in the wrong folder must not leave keys there: `create_keys` is for `serve` and `bootstrap` alone.
    Raises StartupError, in one line that says what to do, for a database, a folder or a key that must not be worked with.
    """
    url = application_url(settings)
    folder, keys = load_keys(settings, create=create_keys)
    seal = make_seal(keys)
    kept = keep_checkpoints(settings, keys)
    epoch = await _check(settings, keys, kept.marks(), durable=durable, any_hmac_key=any_hmac_key)
    custody = Custody(epoch, kept.read)
    hasher = PasswordHasher(slots=max(1, (os.cpu_count() or 1) // settings.workers))
    signing_threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="sign")
    async with Database(url, custody=custody, seal=seal, now=clock, new_nonce=new_nonce) as database:
        journal = Journal(database.connect, custody=custody, seal=seal, observe=observe_batch)
        running = {asyncio.create_task(journal.run()), asyncio.create_task(_watch_queues(journal, hasher))}
        try:
            yield Deps(
                database=database,
                memory=PolicyMemory(database.hot_read),
                journal=journal,
                custody=custody,
                kept=kept,
                keys=KeyRing(folder, keys),
                digest=keys.digest,
                hasher=hasher,
                common_passwords=read_common_passwords(),
                signing_threads=signing_threads,
                now=clock,
                new_id=new_id,
                new_nonce=new_nonce,
                new_secret=new_secret,
                issuer=settings.issuer,
                token_ttl_seconds=settings.token_ttl_seconds,
                retention_days=settings.audit_retention_days,
                free_disk=free_disk(settings) if settings.is_embedded else None,
                clock_tolerance=CLOCK_TOLERANCE if clock is now else None,
                throttle=_throttle(settings, keys) if shared else Throttle(),
            )
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            hasher.close()
            signing_threads.shutdown(wait=False, cancel_futures=True)


def _throttle(settings: Settings, keys: KeySet) -> Throttle:
    memory = open_shared(settings.data_dir / ATTEMPTS_FILE, THROTTLE_BYTES)
    return Throttle(memory, keys.digest.digest("", purpose="attempts"))


async def _watch_queues(journal: Journal, hasher: PasswordHasher) -> None:
    """Show every second what scrapes cannot ask of several processes: the queues' lengths, and what was answered."""
    while True:
        observe_queues(journal.waiting, hasher.busy)
        flush_tokens()
        await asyncio.sleep(1)


async def connect_database(url: str) -> Connection:
    """Open a connection; raises StartupError when there is no database to reach."""
    try:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise StartupError(
            "the database cannot be reached: check AUTHSVC_DATABASE_URL, and that Postgres runs"
        ) from error


async def _check(
    settings: Settings, keys: KeySet, marks: list[Mark], *, durable: bool, any_hmac_key: bool
) -> Epoch:
    try:
        connection = await connect_database(application_url(settings))
    except StartupError as error:
        if not settings.is_embedded:
            raise
        raise StartupError(
            "nothing runs here: start `authsvc serve`, or run this where AUTHSVC_DATA_DIR is that of the one that runs"
        ) from error
    try:
        await check_migrated(connection)
        await ensure_partitions(connection)
        await check_database(connection, durable=durable)
        await check_marks(connection, marks)
        if not any_hmac_key:
            await open_hmac_key(connection, keys.digest.fingerprint)
        return await open_epoch(connection, public=keys.audit.public_bytes, name=f"authsvc-{new_id()[:8]}")
    finally:
        await connection.close()


def embedded_url(settings: Settings, role: str) -> str:
    """Return the embedded server's URL for `app`, `owner`, `auditor` or `superuser`."""
    return Cluster(settings.data_dir).url(ClusterRole[role.upper()])


def check_tls(settings: Settings) -> None:
    """Raise StartupError when the certificate and key of https are not there, unreadable or not a pair."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None or key is None:
        return
    try:
        # The password keeps OpenSSL from asking for one at the terminal.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise StartupError(
            f"https cannot be served with AUTHSVC_TLS_CERT_FILE {certificate} and AUTHSVC_TLS_KEY_FILE {key}: "
            f"{error.strerror or error}; both must be PEM, belong together, and the key have no password"
        ) from error


def calm_interpreter() -> None:
    """Let the cycle collector look seldom, as requests leave no cycles, and the event loop go on soon while others hash."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(0.0005)


def run_worker(settings: Settings, application: str, descriptor: int, ready: int) -> None:
    """Serve the application that an import string names, on an inherited socket."""
    reserve_metrics()
    http_server.run_worker(
        application,
        descriptor,
        ready=ready,
        tls_cert=None if settings.tls_cert_file is None else str(settings.tls_cert_file),
        tls_key=None if settings.tls_key_file is None else str(settings.tls_key_file),
        trusted=settings.trusted_proxies,
    )


def audit_public_key(settings: Settings) -> bytes:
    """Return the public half of the audit key in KEYS_DIR; raises StartupError when the folder does not hold it."""
    return KeyFolder(settings.keys_path).load().audit.public_bytes
