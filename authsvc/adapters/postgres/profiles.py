"""The profiles of all services, read outside of any transaction of operations."""

from authsvc.adapters.postgres.log import Connection
from authsvc.core.service import Algorithm, HeaderProfile, Service

_PROFILES = """
SELECT name, issuer, algorithm, header, backdate_seconds, isolated, own_key, name_prefix FROM services ORDER BY name
"""


async def list_profiles(connection: Connection) -> list[Service]:
    """Return every service, with what decides whether its registry accepts its tokens."""
    return [
        Service(
            name,
            issuer,
            Algorithm(algorithm),
            HeaderProfile(header),
            backdate_seconds=backdate_seconds,
            isolated=isolated,
            own_key=own_key,
            name_prefix=name_prefix,
        )
        for name, issuer, algorithm, header, backdate_seconds, isolated, own_key, name_prefix in await (
            await connection.execute(_PROFILES)
        ).fetchall()
    ]
