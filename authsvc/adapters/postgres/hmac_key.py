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
    row = await (await connection.execute("SELECT fingerprint FROM hmac_key")).fetchone()
    if row is None or bytes(row[0]) != fingerprint:
        raise StartupError(_OTHER)


async def replace_hmac_key(connection: Connection, fingerprint: bytes) -> None:
    """Remember another key, once no credential is left that was made with the old one."""
    await connection.execute("UPDATE hmac_key SET fingerprint = %s", [fingerprint])
