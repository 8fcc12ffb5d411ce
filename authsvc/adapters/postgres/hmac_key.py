"""Which key the stored digests of machine credentials were made under; under another one, none of these is known any more."""

from authsvc.adapters.postgres.log import Connection
from authsvc.core.errors import StartupError

_OTHER = (
    "hmac.key in KEYS_DIR is not the one that the stored tokens and robot secrets were made with, and would refuse them all: "
    "restore the file, or run 'authsvc admin revoke-credentials --yes' to go on without them"
)


async def open_hmac_key(connection: Connection, fingerprint: bytes) -> None:
    """Remember the key of a first start, and raise StartupError for another one than is remembered."""
    await connection.execute(
        "INSERT INTO hmac_key (fingerprint) VALUES (%s) ON CONFLICT DO NOTHING", [fingerprint]
    )
    if not await is_hmac_key(connection, fingerprint):
        raise StartupError(_OTHER)


async def is_hmac_key(connection: Connection, fingerprint: bytes) -> bool:
    """Say whether this key is the one that is remembered."""
    row = await (await connection.execute("SELECT fingerprint FROM hmac_key")).fetchone()
    return row is not None and bytes(row[0]) == fingerprint


async def replace_hmac_key(connection: Connection, fingerprint: bytes) -> None:
    """Remember another key, as the owner, once no credential is left that was made with the old one."""
    await connection.execute(
        "INSERT INTO hmac_key (fingerprint) VALUES (%s) ON CONFLICT (one) DO UPDATE SET fingerprint = excluded.fingerprint",
        [fingerprint],
    )
