"""The first start: the log's epoch, the built-in roles, an administrator, the services, and a key for each of these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from authsvc.adapters.postgres.bindings import insert_binding
from authsvc.adapters.postgres.database import Change
from authsvc.adapters.postgres.roles import find_role_record, insert_role
from authsvc.adapters.postgres.services import insert_service, list_service_records
from authsvc.adapters.postgres.users import insert_user, list_user_records
from authsvc.core.errors import StartupError
from authsvc.core.event import Requester
from authsvc.core.password import describe_bad_password
from authsvc.core.permission import ADMINISTRATOR, BUILT_IN_ROLES
from authsvc.core.principal import SYSTEM
from authsvc.core.records import BindingRecord, RoleRecord, ServiceRecord, Subject, UserRecord
from authsvc.core.repository import EVERYTHING
from authsvc.core.service import Service
from authsvc.operations.deps import Deps
from authsvc.operations.register_keys import active_or_new_key

_log = structlog.get_logger()

BY_SYSTEM = Requester(SYSTEM)
MANY = 10_000


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start was told; `password` None is made up."""

    username: str
    services: Sequence[str]
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What a person must be told: the administrator's password, when it was made up just now."""

    services: tuple[Service, ...]
    new_password: str | None = field(default=None, repr=False)


async def bootstrap(deps: Deps, first: FirstStart) -> Bootstrapped:
    """Create what is missing in one transaction, safe to repeat and to race; an administrator only where there is no user."""
    password = first.password or deps.new_secret()[:20]
    password_hash = await deps.hasher.hash(password)
    async with deps.database.change(BY_SYSTEM) as change:
        for role in BUILT_IN_ROLES:
            if await find_role_record(change, role.name) is None:
                permissions = tuple(sorted(role.permissions))
                record = RoleRecord(role.name, permissions, change.time, role.description, built_in=True)
                await insert_role(change, record)
        is_new = not await list_user_records(change, after="", limit=1)
        if is_new:
            await _create_administrator(deps, change, first.username, password_hash)
        services = await _create_services(deps, change, first.services)
        await _create_keys(deps, change, services)
    if is_new and describe_bad_password(password, words=[first.username], common=deps.common_passwords):
        _log.warning("bootstrap.weak_password", advice="change it: it is one of those that are tried first")
    return Bootstrapped(tuple(services), password if is_new and first.password is None else None)


async def _create_administrator(deps: Deps, change: Change, name: str, password_hash: str) -> None:
    user = UserRecord(deps.new_id(), name, change.time, password_hash=password_hash)
    await insert_user(change, user)
    subject = Subject("user", user.id, user.name)
    await insert_binding(
        change,
        BindingRecord(
            deps.new_id(), ADMINISTRATOR.name, subject, None, change.time, (EVERYTHING,), comment="bootstrap"
        ),
    )


async def _create_services(deps: Deps, change: Change, names: Iterable[str]) -> list[Service]:
    """Register the named services where there are none at all, and return all there are."""
    records = await list_service_records(change, after="", limit=MANY)
    if not records:
        for name in dict.fromkeys(names):
            service = Service(name, deps.issuer, token_ttl_seconds=deps.token_ttl_seconds)
            records.append(ServiceRecord(service, change.time))
            await insert_service(change, records[-1])
    return [record.service for record in records]


async def _create_keys(deps: Deps, change: Change, services: Iterable[Service]) -> None:
    """See that each service has an active key, and that KEYS_DIR holds the private half of every active one."""
    for service in services:
        record = await active_or_new_key(deps, change, service)
        if deps.keys.find(record.id, now=deps.now()) is None:
            raise StartupError(
                f"KEYS_DIR does not hold the key in use for {service.algorithm}, {record.id}: restore the folder"
            )
