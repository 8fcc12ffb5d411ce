"""Renewing the shared signing keys before their certificates end, which would stop tokens.

A service's own key is not renewed by itself: registries that hold one key (zot, Pulp) must be given the next one by hand.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from authsvc.adapters.keys.errors import KeyFolderError
from authsvc.adapters.metrics import observe_certificates
from authsvc.adapters.postgres.nodes import forget_dead_nodes, try_lock_keys
from authsvc.adapters.postgres.profiles import list_profiles
from authsvc.adapters.postgres.services import insert_key, list_key_records
from authsvc.core.event import Requester
from authsvc.core.principal import SYSTEM
from authsvc.core.records import KeyRecord, KeyState
from authsvc.operations.deps import Deps
from authsvc.operations.register_keys import label_of, record_of
from authsvc.operations.rotate_keys import list_waiting

RENEW_BEFORE = timedelta(days=90)
"""INVARIANT: longer than any token lives, a day, by far: a certificate ends after the last token that its key signed.

And longer than the doctor's 60 days: what it warns of was not renewed, or waits for somebody.
"""

BY_HAND = "run 'authsvc keys rotate' where KEYS_DIR can be written, then copy it to every node"

_log = structlog.get_logger()


async def renew_keys(deps: Deps) -> None:
    """Publish a new key for each shared one whose certificate ends soon; one process does, under a lock of the database.

    What cannot be renewed, as KEYS_DIR is read-only, is logged with what to do.
    """
    async with deps.database.hot_read() as connection:
        await forget_dead_nodes(connection)
        async with connection.transaction():
            if await try_lock_keys(connection):
                for record in _list_due(deps, await _list_records(deps)):
                    await _renew(deps, record)


async def observe_keys(deps: Deps) -> None:
    """Show when the keys that sign end, and how many are to be renewed; those of services that are gone sign for nobody."""
    records = await _list_records(deps)
    async with deps.database.hot_read() as connection:
        labels = {"", *(label_of(profile) for profile in await list_profiles(connection))}
    ends = {
        (record.algorithm.value, record.label): min(record.not_after, _authority_ends(deps))
        for record in records
        if record.stage is KeyState.ACTIVE and record.label in labels
    }
    observe_certificates(ends, due=len(_list_due(deps, records)))


def _list_due(deps: Deps, records: Sequence[KeyRecord]) -> list[KeyRecord]:
    now, ends = deps.now(), _authority_ends(deps)
    return [record for record in records if _is_due(record, records, now=now, authority_ends=ends)]


def _is_due(
    record: KeyRecord, records: Sequence[KeyRecord], *, now: datetime, authority_ends: datetime
) -> bool:
    """Say whether a new key is wanted beside an active one: none is there yet, and it would last longer."""
    if record.stage is not KeyState.ACTIVE or record.label or record.not_after - now >= RENEW_BEFORE:
        return False
    has_next = any(
        other.is_new and (other.algorithm, other.label) == (record.algorithm, record.label)
        for other in records
    )
    return not has_next and record.not_after < authority_ends


async def _renew(deps: Deps, old: KeyRecord) -> None:
    """Publish a new key beside `old`; it is made before the policy lock is taken, as an RSA key may take seconds."""
    now = deps.now()
    try:
        key = await asyncio.to_thread(lambda: deps.keys.create(old.algorithm, None, now=now))
    except KeyFolderError as error:
        _log.warning(
            "keys.not_renewed", key=old.id, ends=f"{old.not_after:%Y-%m-%d}", why=str(error), do=BY_HAND
        )
        return
    async with deps.database.change(Requester(SYSTEM)) as change:
        record = record_of(key, old.label)
        await insert_key(change, record)
        waiting = await list_waiting(change, record)
    _log.info("keys.renewed", key=record.id, old=old.id)
    if waiting:
        do = f"give their registries 'authsvc keys bundle', restart them, then 'authsvc keys activate {record.id}'"
        _log.warning("keys.waiting", key=record.id, services=waiting, do=do)


def _authority_ends(deps: Deps) -> datetime:
    return deps.keys.keys.authority.certificate.not_valid_after_utc


async def _list_records(deps: Deps) -> list[KeyRecord]:
    async with deps.database.read() as read:
        return await list_key_records(read)
