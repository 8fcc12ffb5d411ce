"""The doctor: everything that an operator would look at, each with what to do; it changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from authsvc.adapters.kept_checkpoints import HEARTBEAT, KeptCheckpoints
from authsvc.adapters.keys.folder import KeySet
from authsvc.adapters.postgres.custody import check_marks, read_clock
from authsvc.adapters.postgres.growth import Extent, find_stray, read_extent
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.migrate import check_migrated
from authsvc.adapters.postgres.nodes import find_unheld_keys
from authsvc.adapters.postgres.profiles import find_keys_to_activate, list_profiles
from authsvc.adapters.postgres.retention import find_legal_hold
from authsvc.adapters.postgres.selftest import check_database
from authsvc.core.errors import AuthsvcError
from authsvc.operations.advise import Finding, State, advise_on_realm, advise_on_services
from authsvc.operations.check_reports import check_reports
from authsvc.operations.measure_growth import DAY, estimate_growth

SOON, TOO_SOON = timedelta(days=60), timedelta(days=7)
OFF_BY, WAY_OFF_BY = timedelta(seconds=2), timedelta(seconds=60)
FULL_SOON_DAYS, FULL_VERY_SOON_DAYS = 30, 3
LITTLE_FREE = 1 << 30
ROTATE = "run 'authsvc keys rotate' where KEYS_DIR can be written, and give every node that folder"
ROTATE_OWN = (
    "it is not renewed by itself: run 'authsvc keys rotate --service {service}' where KEYS_DIR can be written, give every node"
    " that folder, and a registry that holds one key (zot, Pulp) 'authsvc keys bundle --service {service} --leaf' in that moment"
)


@dataclass(frozen=True, slots=True)
class Checkup:
    """What the doctor looks at; `free_disk` None is a database elsewhere, `tls_ends` None is no https of ours."""

    connect: Callable[[], Awaitable[Connection]]
    load_keys: Callable[[], KeySet]
    keep: Callable[[KeySet], KeptCheckpoints]
    tls_ends: Callable[[], datetime | None]
    free_disk: Callable[[], int] | None
    realm: str
    retention_days: int
    now: Callable[[], datetime]


async def diagnose(checkup: Checkup) -> list[Finding]:
    """Return what was found, in the order in which it would be mended."""
    found = [Finding("settings", State.OK, "they can be read"), *advise_on_realm(checkup.realm)]
    try:
        found.append(_ends("TLS certificate", checkup.tls_ends(), checkup.now(), "renew it, then restart"))
    except AuthsvcError as error:
        found.append(Finding("TLS certificate", State.FAIL, str(error)))
    keys: KeySet | None = None
    try:
        keys = await asyncio.to_thread(checkup.load_keys)
        found += _check_keys(keys, checkup.now())
    except AuthsvcError as error:
        found.append(Finding("keys folder", State.FAIL, str(error)))
    try:
        connection = await checkup.connect()
    except AuthsvcError as error:
        return [*found, Finding("database", State.FAIL, str(error))]
    async with connection:
        found += await _check_database(checkup, connection, keys)
    return found


async def _check_database(checkup: Checkup, connection: Connection, keys: KeySet | None) -> list[Finding]:
    """Look at the schema first: without it nothing else can be asked."""
    try:
        await check_migrated(connection)
    except AuthsvcError as error:
        return [Finding("database", State.FAIL, str(error))]
    found = [Finding("database", State.OK, "it is reachable, and migrated")]
    try:
        await check_database(connection, durable=True)
        found.append(
            Finding("self-test", State.OK, "roles, rights, triggers and settings are as they must be")
        )
    except AuthsvcError as error:
        found.append(Finding("self-test", State.FAIL, str(error)))
    found.append(_check_clock(checkup.now() - await read_clock(connection)))
    extent = await read_extent(connection)
    found.append(_check_partitions(extent, checkup.now()))
    stray = await find_stray(connection)
    if stray is not None:
        words = f"row {stray} lies beyond the log's end: somebody else wrote it; run 'authsvc audit verify'"
        found.append(Finding("rows of the log", State.FAIL, words))
    if keys is not None:
        found += await _check_custody(checkup, connection, keys, extent)
    found += await check_reports(connection, size=extent.size, now=checkup.now())
    found += await _check_new_keys(connection)
    hold = await find_legal_hold(connection)
    if hold is not None:
        found.append(Finding("retention", State.WARN, f"a legal hold stops pruning: {hold}"))
    return found + advise_on_services(await list_profiles(connection))


async def _check_new_keys(connection: Connection) -> list[Finding]:
    """Say what keys wait for; their certificates are looked at in the folder."""
    unheld = {
        f"{key} is not on {', '.join(nodes)}: copy KEYS_DIR to them, or stop them"
        for key, nodes in (await find_unheld_keys(connection)).items()
    }
    waiting = {
        f"{key} signs for {', '.join(services)} once their registries hold the new 'authsvc keys bundle', are restarted,"
        f" and you run 'authsvc keys activate {key}'"
        for key, services in (await find_keys_to_activate(connection)).items()
    }
    return [Finding("signing keys", State.WARN, what) for what in sorted(unheld | waiting)]


async def _check_custody(
    checkup: Checkup, connection: Connection, keys: KeySet, extent: Extent
) -> list[Finding]:
    kept, now = checkup.keep(keys), checkup.now()
    try:
        marks = kept.marks()
        await check_marks(connection, marks)
        mark = max((mark.checkpoint.size for mark in marks), default=None)
        found = [
            Finding("high-water mark", State.WARN, weakness)
            if (weakness := kept.weakness(log_size=extent.size)) is not None
            else Finding(
                "high-water mark", State.WARN, f"there is none in {kept.folder}: has the service run here?"
            )
            if mark is None
            else Finding(
                "high-water mark", State.OK, f"the log holds the {mark} entries that are known to be signed"
            )
        ]
    except AuthsvcError as error:
        found = [Finding("high-water mark", State.FAIL, str(error))]
    published = kept.published()
    if published:
        age = now - published[-1].time
        state = State.OK if age < 2 * HEARTBEAT else State.WARN
        words = f"the last was {age.total_seconds():.0f} s ago, in {kept.history}: copy them elsewhere"
        found.append(
            Finding(
                "published checkpoints",
                state,
                words if state is State.OK else f"{words}; does the service run?",
            )
        )
    return found + _check_growth(checkup, extent, kept, now)


def _check_growth(checkup: Checkup, extent: Extent, kept: KeptCheckpoints, now: datetime) -> list[Finding]:
    free = None if checkup.free_disk is None else checkup.free_disk()
    growth = estimate_growth(
        extent, kept.published(), free=free, retention_days=checkup.retention_days, now=now
    )
    rate = (
        "too early to say how fast"
        if growth.bytes_per_day is None
        else f"{_size(growth.bytes_per_day)} a day"
    )
    found = [
        Finding(
            "log", State.OK, f"{extent.size - extent.first} entries, {_size(growth.bytes)}; it grows: {rate}"
        )
    ]
    if free is None:
        found.append(
            Finding(
                "disk", State.OK, "the database's disk is elsewhere: watch it there, the log needs the above"
            )
        )
    else:
        days = growth.days_until_full
        state = State.OK
        if free < LITTLE_FREE or (days is not None and days < FULL_SOON_DAYS):
            state = State.WARN
        if free < LITTLE_FREE // 8 or (days is not None and days < FULL_VERY_SOON_DAYS):
            state = State.FAIL
        words = f"{_size(free)} free" + ("" if days is None else f", full in {days:.0f} days")
        found.append(
            Finding(
                "disk", state, words if state is State.OK else f"{words}: make room, a full disk stops tokens"
            )
        )
    if growth.days_until_prunable is not None:
        due = growth.days_until_prunable
        words = (
            f"the oldest month may be pruned in {due:.0f} days"
            if due > 0
            else "the oldest month may go: 'authsvc audit archive', then 'authsvc audit prune'"
        )
        found.append(Finding("retention", State.OK, words))
    return found


def _check_keys(keys: KeySet, now: datetime) -> list[Finding]:
    """Look at the newest key of each kind: older ones are on their way out."""
    found = [Finding("keys folder", State.OK, "it is whole, and nobody else can read it")]
    found.append(
        _ends(
            "authority",
            keys.authority.certificate.not_valid_after_utc,
            now,
            "give every registry a new bundle",
        )
    )
    newest = {(key.algorithm, key.service): key for key in keys.token_keys}
    for (algorithm, service), key in newest.items():
        about = f"signing certificate {algorithm}" + (f" of {service}" if service else "")
        advice = ROTATE_OWN.format(service=service) if service else ROTATE
        found.append(_ends(about, key.certificate.not_valid_after_utc, now, advice))
    return found


def _ends(about: str, ends: datetime | None, now: datetime, what: str) -> Finding:
    if ends is None:
        return Finding(about, State.OK, "none is set: a remote Docker needs https, here or at a proxy")
    left = ends - now
    words = f"ends {ends:%Y-%m-%d}, in {left / DAY:.0f} days"
    if left >= SOON:
        return Finding(about, State.OK, words)
    return Finding(about, State.WARN if left >= TOO_SOON else State.FAIL, f"{words}: {what}")


def _check_clock(ahead: timedelta) -> Finding:
    off = abs(ahead)
    words = f"{off.total_seconds():.1f} s {'ahead of' if ahead > timedelta() else 'behind'} the database's"
    if off < OFF_BY:
        return Finding("clock", State.OK, words)
    state = State.WARN if off < WAY_OFF_BY else State.FAIL
    return Finding("clock", state, f"{words}: set whichever is wrong; beyond 60 s no tokens are issued")


def _check_partitions(extent: Extent, now: datetime) -> Finding:
    until = extent.partitioned_until
    if until is not None and until - now > timedelta(days=31):
        return Finding("partitions", State.OK, f"the log has room until {until:%Y-%m-%d}")
    return Finding(
        "partitions",
        State.FAIL,
        "the log has no partition for next month: run 'authsvc migrate', and restart",
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - a thousand of each is one of the next
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
