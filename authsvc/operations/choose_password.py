"""Passwords on their way to the database: held against what nobody should choose, and hashed; and hashed anew in time."""

from dataclasses import replace

import structlog

from authsvc.adapters.postgres.services import list_service_records
from authsvc.adapters.postgres.users import find_user_record, update_password
from authsvc.core.credential import looks_like_machine_secret
from authsvc.core.errors import AuthsvcError, Fault, InvalidInputError
from authsvc.core.event import Requester
from authsvc.core.password import describe_bad_password
from authsvc.core.principal import SYSTEM, Principal
from authsvc.operations.deps import Deps
from authsvc.operations.page import MAX_LIMIT

_log = structlog.get_logger()


async def hash_new_password(deps: Deps, password: str, *, name: str, email: str | None) -> str:
    """Return the hash of a password that may be chosen; it is computed before any transaction begins.

    Raises InvalidInputError, which says what is wrong with the password and never what it is.
    """
    if looks_like_machine_secret(password):
        raise InvalidInputError(Fault("/password", "must not begin as machine credentials do"))
    async with deps.database.read() as read:
        services = await list_service_records(read, after="", limit=MAX_LIMIT)
    local_part = "" if email is None else email.partition("@")[0]
    words = [name, local_part, deps.issuer, *(service.service.name for service in services)]
    if fault := describe_bad_password(password, words=words, common=deps.common_passwords):
        raise InvalidInputError(Fault("/password", fault))
    return await deps.hasher.hash(password)


async def renew_hash(deps: Deps, principal: Principal, password: str, stored: str) -> None:
    """Hash a password that was just right anew, when its hash costs a guesser less than one made now.

    What was obtained with it stays, as the password does. The login does not depend on it: the next one tries again.
    """
    if not deps.hasher.is_outdated(stored):
        return
    try:
        password_hash = await deps.hasher.hash(password)
        async with deps.database.change(Requester(SYSTEM)) as change:
            user = await find_user_record(change, principal.name)
            if user is not None and user.id == principal.id and user.password_hash == stored:
                await update_password(change, replace(user, password_hash=password_hash))
    except AuthsvcError as error:
        _log.warning("password.not_rehashed", error=type(error).__name__)
