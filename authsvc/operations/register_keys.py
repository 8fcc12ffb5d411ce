"""Keys for services: the active key of an algorithm and label, made when there is none."""

from dataclasses import replace

from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.database import Change
from authsvc.adapters.postgres.services import insert_key, list_key_records
from authsvc.core.records import KeyRecord, KeyState
from authsvc.core.service import Service
from authsvc.operations.deps import Deps


def label_of(service: Service) -> str:
    """Return which keys sign for a service: its own, or (empty) the shared ones."""
    return service.name if service.own_key else ""


async def active_or_new_key(deps: Deps, change: Change, service: Service) -> KeyRecord:
    """Return the active key for a service; the first of its algorithm and label is active at once, as nobody knows another.

    Raises the folder's error when a key must be made and KEYS_DIR cannot be written.
    """
    label = label_of(service)
    for record in await list_key_records(change):
        if (record.algorithm, record.label, record.stage) == (service.algorithm, label, KeyState.ACTIVE):
            return record
    key = deps.keys.newest(service.algorithm, label or None)
    if key is None:
        key = deps.keys.create(service.algorithm, label or None, now=change.time)
    record = replace(record_of(key, label), stage=KeyState.ACTIVE, activated_at=change.time)
    await insert_key(change, record)
    return record


def record_of(key: SigningKey, label: str) -> KeyRecord:
    """Return what Postgres keeps of a new key, which is published: its public half and its state."""
    return KeyRecord(
        id=key.kid_id,
        algorithm=key.algorithm,
        label=label,
        certificate=key.certificate_pem,
        stage=KeyState.PUBLISHED,
        created_at=key.created_at,
        not_after=key.certificate.not_valid_after_utc,
    )
