"""Serving: prepare everything, then keep the database and the workers running until told to stop.

Synchronous, in the main thread of the parent process: the embedded server and the workers die with that very thread.
"""

import asyncio
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog

from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.metrics import forget_process, inherit_counts
from authsvc.adapters.postgres.migrate import upgrade
from authsvc.adapters.shared_memory import create_shared
from authsvc.adapters.workers import Workers, listen, this_python
from authsvc.core.errors import StartupError
from authsvc.operations.bootstrap import Bootstrapped, FirstStart, bootstrap
from authsvc.operations.deps import Deps
from authsvc.operations.export_keys import export_bundle
from authsvc.operations.keep_custody import warn_of_weak_custody
from authsvc.operations.throttle import ATTEMPTS_FILE, THROTTLE_BYTES

LOOK_SECONDS = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve. `data_dir` None: the database is somebody else's, and migrated. `owner_url` is asked for when needed."""

    host: str
    port: int
    workers: int
    data_dir: Path
    is_embedded: bool
    first: FirstStart
    environment: Mapping[str, str]
    owner_url: Callable[[], str]
    open_deps: Callable[[], AbstractAsyncContextManager[Deps]]


@dataclass(frozen=True, slots=True)
class Ready:
    """What a person is told once everything is prepared; `bundles` are the files for registries, by service."""

    bootstrapped: Bootstrapped
    bundles: Mapping[str, Path]


def serve(plan: Plan, announce: Callable[[Ready], None]) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code. Raises StartupError instead of starting half.

    SIGHUP renews the workers, so that they read certificates and code anew, without a failed request.
    """
    asked = _Asked()
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(plan))
        server = EmbeddedServer(plan.data_dir) if plan.is_embedded else None
        if server is not None:
            stack.enter_context(server)
            upgrade(plan.owner_url())
        announce(asyncio.run(prepare(plan)))
        metrics = _empty_folder(plan.data_dir / "metrics")
        create_shared(plan.data_dir / ATTEMPTS_FILE, THROTTLE_BYTES)
        environment = {**plan.environment, "PROMETHEUS_MULTIPROC_DIR": metrics}
        workers = Workers(
            [*this_python(), "worker"],
            listening,
            plan.workers,
            environment,
            forget=lambda pid: forget_process(pid, metrics),
            inherit=lambda dead, heir: inherit_counts(dead, heir, metrics),
        )
        workers.start()
        stack.callback(workers.stop)
        while not asked.to_stop(LOOK_SECONDS):
            if server is not None and server.ensure_running():
                workers.forgive_failures()
            code = workers.keep_running()
            if code is not None:
                return code
            if asked.to_renew():
                _log.info("workers.renewed" if workers.renew() else "workers.not_renewed")
    return 0


async def prepare(plan: Plan) -> Ready:
    """Bootstrap, and write the certificates that registries are to trust where their operator finds them."""
    async with plan.open_deps() as deps:
        await warn_of_weak_custody(deps)
        bootstrapped = await bootstrap(deps, plan.first)
        folder = plan.data_dir / "registries"
        folder.mkdir(parents=True, exist_ok=True)
        bundles = {}
        for number, service in enumerate(bootstrapped.services):
            path = folder / f"{_file_name(service.name, number)}.pem"
            path.write_text(await export_bundle(deps, service.name), encoding="ascii")
            bundles[service.name] = path.absolute()
    return Ready(bootstrapped, bundles)


def _file_name(service: str, number: int) -> str:
    """Return the service's name where it can be a file's, else a number."""
    return service if service.replace("-", "").replace(".", "").isalnum() else f"service-{number}"


def _empty_folder(path: Path) -> str:
    """Return a folder that holds nothing: what the last run's processes counted is over."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return str(path.absolute())


def _listen(plan: Plan) -> socket.socket:
    try:
        return listen(plan.host, plan.port)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {plan.host}:{plan.port}: {error.strerror}; set AUTHSVC_HOST and AUTHSVC_PORT"
        ) from error


class _Asked:
    """Turns signals into something to ask for."""

    def __init__(self) -> None:
        self._stop = self._renew = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGHUP:
            self._renew = True
        else:
            self._stop = True

    def to_stop(self, seconds: float) -> bool:
        """Say whether to stop, after `seconds` at most."""
        if not self._stop and not self._renew:
            time.sleep(seconds)
        return self._stop

    def to_renew(self) -> bool:
        """Say whether the workers are to be renewed, once each time it was asked for."""
        asked, self._renew = self._renew, False
        return asked
