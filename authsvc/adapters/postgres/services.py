"""Services and the public halves of signing keys, as stored."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Executable, Select, Text, cast, delete, func, insert, select, update

from authsvc.adapters.postgres.database import Change, Read
from authsvc.adapters.postgres.narrow import EVERYTHING, Conditions, Where, begins, equals, narrow
from authsvc.adapters.postgres.tables import credentials, service_names, services, signing_keys
from authsvc.core.event import Thing
from authsvc.core.kind import Kind
from authsvc.core.records import KeyRecord, KeyState, ServiceRecord
from authsvc.core.service import Algorithm, HeaderProfile, Service

_CONDITIONS: Conditions = {
    "name": equals(services.c.name),
    "q": begins(services.c.name),
    "algorithm": equals(services.c.algorithm),
    "header": equals(services.c.header),
}


async def insert_service(change: Change, record: ServiceRecord) -> None:
    """Store a new service with its name and aliases."""
    service = record.service
    statement = insert(services).values(
        name=service.name, created_at=record.created_at, version=record.version, **_settings(service)
    )
    await change.write(
        statement,
        Kind.SERVICE_CREATED,
        state=record.state(),
        things=record.things(),
        then=_name_statements(service),
    )


async def update_service(change: Change, record: ServiceRecord, old: ServiceRecord) -> None:
    """Store what is new of a service, whose name is not; caches hear of the old aliases too."""
    service = record.service
    statement = (
        update(services)
        .where(services.c.name == service.name)
        .values(version=record.version, **_settings(service))
    )
    things: tuple[Thing, ...] = (*record.things(), *old.things())
    forget = delete(service_names).where(service_names.c.service == service.name)
    await change.write(
        statement,
        Kind.SERVICE_CHANGED,
        state=record.state(),
        things=tuple(dict.fromkeys(things)),
        then=(forget, *_name_statements(service)),
    )


async def delete_service(change: Change, record: ServiceRecord) -> None:
    """Remove a service with its refresh tokens, which must not serve another one that is later called the same."""
    name = record.service.name
    await change.write(
        delete(services).where(services.c.name == name),
        Kind.SERVICE_DELETED,
        state=record.state(),
        things=record.things(),
        then=[delete(credentials).where(credentials.c.service == name)],
    )


async def find_service_record(read: Read, name: str) -> ServiceRecord | None:
    """Return a service by its name; an alias is none here."""
    row = await read.row(_select().where(services.c.name == name))
    return None if row is None else _record(row)


async def list_service_records(
    read: Read, *, after: str, limit: int, where: Where = EVERYTHING
) -> list[ServiceRecord]:
    """Return services by name, from after `after` on."""
    statement = narrow(_select(), _CONDITIONS, where)
    statement = statement.where(services.c.name > after).order_by(services.c.name).limit(limit)
    return [_record(row) for row in await read.rows(statement)]


async def insert_key(change: Change, record: KeyRecord) -> None:
    """Store the public half of a key that KEYS_DIR holds."""
    statement = insert(signing_keys).values(
        id=record.id,
        algorithm=record.algorithm,
        label=record.label,
        certificate=record.certificate,
        state=record.stage,
        created_at=record.created_at,
        not_after=record.not_after,
        activated_at=record.activated_at,
    )
    await change.write(statement, Kind.KEY_CREATED, state=record.state(), things=record.things())


async def update_key_state(change: Change, record: KeyRecord) -> None:
    """Store a key's new state."""
    kind = Kind.KEY_RETIRED if record.stage is KeyState.RETIRED else Kind.KEY_CHANGED
    values = {"state": record.stage, "activated_at": record.activated_at}
    statement = update(signing_keys).where(signing_keys.c.id == record.id).values(values)
    await change.write(statement, kind, state=record.state(), things=record.things())


async def list_key_records(read: Read) -> list[KeyRecord]:
    """Return all keys, oldest first; there are a handful."""
    c = signing_keys.c
    statement = select(
        c.id, c.algorithm, c.label, c.certificate, c.state, c.created_at, c.not_after, c.activated_at
    )
    rows = await read.rows(statement.order_by(c.created_at, c.id))
    return [
        KeyRecord(i, Algorithm(a), label, cert, KeyState(s), made, end, activated)
        for i, a, label, cert, s, made, end, activated in rows
    ]


def _settings(service: Service) -> dict[str, Any]:
    return {
        "issuer": service.issuer,
        "algorithm": service.algorithm,
        "header": service.header,
        "token_ttl_seconds": service.token_ttl_seconds,
        "backdate_seconds": service.backdate_seconds,
        "refresh_tokens": service.refresh_tokens,
        "anonymous": service.anonymous,
        "own_key": service.own_key,
        "isolated": service.isolated,
        "name_prefix": service.name_prefix,
    }


def _name_statements(service: Service) -> Sequence[Executable]:
    names = (service.name, *service.aliases)
    return [insert(service_names).values([{"name": name, "service": service.name} for name in names])]


def _select() -> Select[Any]:
    c = services.c
    aliases = (
        select(func.coalesce(func.array_agg(service_names.c.name), cast([], ARRAY(Text))))
        .where(service_names.c.service == c.name, service_names.c.name != c.name)
        .scalar_subquery()
    )
    return select(
        c.name, c.issuer, c.algorithm, c.header, c.token_ttl_seconds, c.backdate_seconds, c.refresh_tokens, c.anonymous,
        c.own_key, c.isolated, aliases, c.name_prefix, c.created_at, c.version,
    )  # fmt: skip


def _record(row: Any) -> ServiceRecord:
    (
        name, issuer, algorithm, header, ttl, backdate, refresh_tokens, anonymous, own_key, isolated, aliases,
        name_prefix, created_at, version,
    ) = row  # fmt: skip
    service = Service(
        name=name,
        issuer=issuer,
        algorithm=Algorithm(algorithm),
        header=HeaderProfile(header),
        token_ttl_seconds=ttl,
        backdate_seconds=backdate,
        refresh_tokens=refresh_tokens,
        anonymous=anonymous,
        own_key=own_key,
        isolated=isolated,
        aliases=tuple(sorted(aliases)),
        name_prefix=name_prefix,
    )
    return ServiceRecord(service, created_at, version)
