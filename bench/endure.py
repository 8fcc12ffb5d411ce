"""A long run of a real `authsvc serve` under mixed load, while policy changes and its parts are killed, and what came of it."""

import asyncio
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core.claims import payload_of as payload_of_entry
from authsvc.core.verified import Verified
from authsvc.operations.verify_audit import verify_audit
from bench.answers import Answers, Error, Restart
from bench.installation import ADMIN, Size, build
from bench.load import Load
from bench.measure import run_load
from bench.mixture import Mixture
from bench.running import Client, Service
from bench.samples import Growth, Sample, growths, take_sample
from bench.toggles import Admin
from bench.traffic import Traffic, payload_of

CLIENTS = 32
CHANGES = 2.0
"""Of policy a second."""
GRACE = 15.0
"""Seconds after a kill in which errors are its own."""
TOP_SECONDS = 10.0
SAMPLE_SECONDS = 10.0
CALM_SECONDS = 1.0
"""From the last request to the look at the log."""
RESTARTS = (
    (0.06, Restart.WORKER),
    (0.12, Restart.RENEWAL),
    (0.18, Restart.POSTGRES),
    (0.24, Restart.WORKER),
    (0.28, Restart.RENEWAL),
    (0.36, Restart.WORKER),
    (0.44, Restart.POSTGRES),
    (0.52, Restart.WORKER),
    (0.60, Restart.WORKER),
    (0.68, Restart.POSTGRES),
    (0.76, Restart.WORKER),
    (0.84, Restart.POSTGRES),
    (0.92, Restart.WORKER),
)
"""When each happens, of the whole run. It is the youngest worker that is killed, and renewals are over before memory is measured,
so that one worker lives through all that is measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run; `rate` is of token requests a second, 0 for half of the most that the service answers."""

    seconds: float
    rate: float = 0.0
    seed: int = 22
    size: Size = field(default_factory=Size)
    restarts: tuple[tuple[float, Restart], ...] = RESTARTS
    grace: float = GRACE


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run; `top` is 0 when the rate was given. `missing` counts tokens that the log has not as they were given."""

    plan: Plan
    top: float
    rate: float
    answers: Answers
    changed: int
    growths: list[Growth]
    samples: list[Sample]
    sampled: int
    missing: int
    verified: Verified

    @property
    def faults(self) -> Sequence[Error]:
        """Return the answers that no restart excuses."""
        return self.answers.faults(self.plan.grace)


async def endure(plan: Plan) -> Report:
    """Run a service as planned; raises TamperedError when its log does not prove itself."""
    with _folder() as folder:
        service = Service(folder)
        service.start()
        try:
            return await _endure(plan, service)
        finally:
            if service.is_alive():
                service.stop()


async def _endure(plan: Plan, service: Service) -> Report:
    await service.until_ready()
    mixture = await build(service.port, plan.size)
    top = 0.0 if plan.rate else await asyncio.to_thread(_top_rate, service.port, mixture)
    traffic = Traffic(service.port, mixture, plan.rate or top / 2, plan.seed)
    samples: list[Sample] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(traffic.ask_for_tokens(number, CLIENTS))
        tasks.create_task(traffic.change_policy(Admin(Client(service.port), ADMIN), CHANGES))
        tasks.create_task(_restart(plan, service, traffic))
        tasks.create_task(_sample(plan, service, traffic, samples))
        await asyncio.sleep(plan.seconds)
        traffic.done = True
    await service.until_ready()
    await asyncio.sleep(CALM_SECONDS)
    tokens = set(traffic.tokens)  # anonymous ones are shared
    verified, missing = await asyncio.to_thread(_check_log, service, tokens)
    assert service.process is not None
    outages = [at for at, restart in traffic.answers.restarts if restart is Restart.POSTGRES]
    return Report(
        plan=plan,
        top=top,
        rate=traffic.answers.total() / plan.seconds,
        answers=traffic.answers,
        changed=traffic.changed,
        growths=growths(samples, outages, parent=service.process.pid, whole=plan.seconds),
        samples=samples,
        sampled=len(tokens),
        missing=missing,
        verified=verified,
    )


def _top_rate(port: int, mixture: Mixture) -> float:
    """Return how many token requests a second are answered with nothing else going on."""
    asks = [ask.text() for kind in ("robot", "token", "password") for ask in mixture.asks[kind]]
    tally = run_load(Load(port, asks, 2 * CLIENTS, TOP_SECONDS, warm=5.0, sources=CLIENTS))
    return tally.responses / tally.seconds


async def _restart(plan: Plan, service: Service, traffic: Traffic) -> None:
    for part, restart in plan.restarts:
        await asyncio.sleep(max(0.0, part * plan.seconds - traffic.seconds()))
        traffic.answers.restarts.append((traffic.seconds(), restart))
        match restart:
            case Restart.WORKER:
                service.kill(max(service.worker_pids(), key=_started, default=None))
            case Restart.POSTGRES:
                service.kill(service.postmaster_pid())
            case Restart.RENEWAL:
                service.renew()


def _started(pid: int) -> int:
    """Return when a process started, in ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


async def _sample(plan: Plan, service: Service, traffic: Traffic, samples: list[Sample]) -> None:
    every = min(SAMPLE_SECONDS, plan.seconds / 10)
    while not traffic.done:
        if not service.is_alive():
            raise RuntimeError(service.output()[-3000:])
        samples.append(await asyncio.to_thread(take_sample, service, traffic.seconds()))
        _tell(traffic, samples[-1])
        await asyncio.sleep(every)


def _tell(traffic: Traffic, sample: Sample) -> None:
    memory = " ".join(f"{megabytes:.1f}" for megabytes in sample.memory.values())
    print(
        f"{sample.at:6.0f} s  {traffic.answers.total():9,} answers  {len(traffic.answers.errors):5} errors"
        f"  MB: {memory}, Postgres {sample.postgres:.1f}  files: {list(sample.files.values())}"
        f"  waiting: {sample.waiting}, {sample.hashing}",
        flush=True,
    )


def _check_log(service: Service, tokens: Collection[str]) -> tuple[Verified, int]:
    """Prove the log, every decision made again, and return how many of the tokens are not in it as they were given."""
    public = KeyFolder(service.folder / "data" / "keys").load().audit.public_bytes
    dsn = service.url(ClusterRole.AUDITOR)
    verified = verify_audit(dsn, public=public)
    payloads = {int(claims["jti"].split(".")[1]): claims for claims in map(payload_of, tokens)}
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT seq, entry FROM log WHERE seq = ANY(%s)", [list(payloads)])
        found = {seq: decode(bytes(entry)) for seq, entry in rows}
    return verified, sum(
        1
        for seq, claims in payloads.items()
        if seq not in found or payload_of_entry(found[seq], claims["jti"]) != claims
    )


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="authsvc-soak-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
