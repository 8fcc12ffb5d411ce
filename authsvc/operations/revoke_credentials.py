"""Revoking every machine credential there is, from the server's own console: after a breach, or when hmac.key was lost."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.credentials import delete_credential, list_all_credentials
from authsvc.adapters.postgres.database import connect_alone
from authsvc.adapters.postgres.hmac_key import is_hmac_key, replace_hmac_key
from authsvc.core.event import Requester
from authsvc.operations.deps import Deps

MAX_REVOKED = 100
"""Credentials revoked in one change, which holds the policy lock."""


def revoke_credentials_offline(
    open_deps: Callable[[], AbstractAsyncContextManager[Deps]],
    by: Requester,
    *,
    owner_url: Callable[[], str],
    data_dir: Path | None,
) -> int:
    """Revoke all, and return how many; `data_dir` is the embedded server's, which is started for it, None for another's.

    Raises StartupError while the service runs on the embedded server.
    """

    async def run() -> int:
        async with open_deps() as deps:
            return await revoke_credentials(deps, by, owner_url)

    with ExitStack() as stack:
        if data_dir is not None:
            stack.enter_context(EmbeddedServer(data_dir))
        return asyncio.run(run())


async def revoke_credentials(deps: Deps, by: Requester, owner_url: Callable[[], str]) -> int:
    """Revoke every token, robot secret and session, each with its event, and return how many; passwords stay.

    From then on the key in KEYS_DIR is the one that credentials are made with; where it is another one, the owner says so.
    Raises StartupError, before anything is revoked, when his URL is needed and not known.
    """
    async with deps.database.hot_read() as connection:
        is_known = await is_hmac_key(connection, deps.digest.fingerprint)
    url = "" if is_known else owner_url()
    revoked, more = 0, True
    while more:
        async with deps.database.change(by) as change:
            records = await list_all_credentials(change, limit=MAX_REVOKED)
            for record in records:
                await delete_credential(change, record)
        revoked += len(records)
        more = bool(records)
    if not is_known:
        async with connect_alone(url) as owner:
            await replace_hmac_key(owner, deps.digest.fingerprint)
    return revoked
