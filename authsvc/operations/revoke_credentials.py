"""Revoking every machine credential there is, from the server's own console: after a breach, or when hmac.key was lost."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.credentials import delete_credential, list_all_credentials
from authsvc.adapters.postgres.hmac_key import replace_hmac_key
from authsvc.core.event import Requester
from authsvc.operations.deps import Deps

MAX_REVOKED = 100
"""Credentials revoked in one change, which holds the policy lock."""


def revoke_credentials_offline(
    open_deps: Callable[[], AbstractAsyncContextManager[Deps]], by: Requester, *, data_dir: Path | None
) -> int:
    """Revoke all, and return how many; `data_dir` is the embedded server's, which is started for it, None for another's.

    Raises StartupError while the service runs on the embedded server.
    """

    async def run() -> int:
        async with open_deps() as deps:
            return await revoke_credentials(deps, by)

    with ExitStack() as stack:
        if data_dir is not None:
            stack.enter_context(EmbeddedServer(data_dir))
        return asyncio.run(run())


async def revoke_credentials(deps: Deps, by: Requester) -> int:
    """Revoke every token, robot secret and session, each with its event, and return how many; passwords stay.

    From then on the key in KEYS_DIR is the one that credentials are made with.
    """
    revoked, more = 0, True
    while more:
        async with deps.database.change(by) as change:
            records = await list_all_credentials(change, limit=MAX_REVOKED)
            for record in records:
                await delete_credential(change, record)
        revoked += len(records)
        more = bool(records)
    async with deps.database.hot_read() as connection:
        await replace_hmac_key(connection, deps.digest.fingerprint)
    return revoked
