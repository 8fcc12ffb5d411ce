"""What a registry needs to verify a service's tokens: public halves of the keys that are published or active."""

from datetime import UTC, datetime

from authsvc.adapters.keys.export import bundle_pem, jwks
from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.nodes import list_nodes, names_lacking
from authsvc.adapters.postgres.services import list_key_records
from authsvc.core.canonical import Json
from authsvc.core.errors import UnknownServiceError
from authsvc.core.records import KeyRecord, KeyState
from authsvc.core.service import HeaderProfile, Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page
from authsvc.operations.register_keys import label_of


async def export_bundle(deps: Deps, service: str, *, leaf: bool = False) -> str:
    """Return PEM certificates for `rootcertbundle`; with `leaf` the active key's alone (zot, Pulp).

    An empty `service` is the only one there is, or, of several, any with the default settings.
    Raises UnknownServiceError, and KeyExportError when no key is left that the target could load.
    """
    found = await _service(deps, service) or Service("", deps.issuer)
    keys = await _keys(deps, found, only_active=leaf)
    return bundle_pem(keys, deps.keys.keys.authority, profile=found.header, leaf=leaf)


async def export_jwks(deps: Deps, service: str, *, leaf: bool = False) -> dict[str, list[dict[str, str]]]:
    """Return the JWK set for Distribution 3; with `leaf` the set of one that zot demands.

    An empty `service` is the only one there is. Of several it is all of them: who reads the whole set looks for a token's key by
    its name, and a registry is given that of its own service.
    """
    found = await _service(deps, service)
    if found is None and not leaf:
        return jwks(await _keys(deps), profile=HeaderProfile.THUMBPRINT_KID)
    found = found or Service("", deps.issuer)
    return jwks(await _keys(deps, found, only_active=leaf), profile=found.header, leaf=leaf)


async def _service(deps: Deps, name: str) -> Service | None:
    """Return a service, the only one there is where no name is given, and None where there is not one only."""
    await deps.memory.refresh()
    known = await deps.memory.service(name)
    if known.value is None and name:
        raise UnknownServiceError(f"there is no service {name!r}: name one that is registered")
    return known.value


async def _keys(deps: Deps, service: Service | None = None, *, only_active: bool = False) -> list[SigningKey]:
    """Return what verifies a service's tokens, or anybody's; a predecessor whose certificate has ended verifies none."""
    now = deps.now()
    stages = {KeyState.ACTIVE} if only_active else {KeyState.ACTIVE, KeyState.PUBLISHED}
    of_service = None if service is None else (service.algorithm, label_of(service))
    async with deps.database.read() as read:
        records = await list_key_records(read)
    ids = [
        record.id
        for record in records
        if record.stage in stages
        and of_service in (None, (record.algorithm, record.label))
        and (record.stage is KeyState.ACTIVE or record.not_after > now)
    ]
    return [key for id_ in ids if (key := deps.keys.find(id_, now=now)) is not None]


async def list_keys(deps: Deps) -> list[dict[str, Json]]:
    """Return the public facts of every key, oldest first."""
    async with deps.database.read() as read:
        return await _list_views(read)


async def page_keys(deps: Deps, actor: Actor, asked: Asked) -> Page[dict[str, Json]]:
    """Return a page of the public facts of keys, oldest first; they are a handful, and none is ever deleted."""
    async with deps.database.read() as read:
        (await read_authority(deps, read, actor)).demand("key:read", SYSTEM_WIDE)
        views = await _list_views(read)
    ids = [view["id"] for view in views]
    rest = views[ids.index(asked.after) + 1 if asked.after in ids else 0 :]
    found = [view for view in rest if all(view[field] == value for field, value in asked.where.items())]
    shown = found[: asked.limit]
    return Page(shown, str(shown[-1]["id"]) if len(found) > asked.limit else None)


async def _list_views(read: Read) -> list[dict[str, Json]]:
    """Return the facts of keys with the live nodes that lack them: a new key waits for these, a retired one for nobody."""
    nodes = await list_nodes(await read.driver())
    return [
        {
            **view_key(record),
            "missing_on": []
            if record.stage is KeyState.RETIRED
            else list[Json](names_lacking(nodes, record.id)),
        }
        for record in await list_key_records(read)
    ]


def view_key(record: KeyRecord) -> dict[str, Json]:
    """Return the public facts of a key."""
    return {
        "id": record.id,
        "algorithm": record.algorithm,
        "service": record.label or None,
        "state": record.stage,
        "created_at": _time(record.created_at),
        "not_after": _time(record.not_after),
        "activated_at": None if record.activated_at is None else _time(record.activated_at),
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
