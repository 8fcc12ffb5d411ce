"""The profiles of all services, read outside of any transaction of operations."""

from authsvc.adapters.postgres.log import Connection
from authsvc.core.service import Algorithm, HeaderProfile, Service

_PROFILES = """
SELECT name, issuer, algorithm, header, backdate_seconds, isolated, own_key, name_prefix FROM services ORDER BY name
"""

_TO_ACTIVATE = """
SELECT k.id, array_agg(s.name ORDER BY s.name) FROM signing_keys k
JOIN services s ON s.algorithm = k.algorithm AND k.label = CASE WHEN s.own_key THEN s.name ELSE '' END AND s.header <> 'x5c'
WHERE k.state = 'published' AND k.activated_at IS NULL GROUP BY k.id ORDER BY k.id
"""


async def find_keys_to_activate(connection: Connection) -> dict[str, list[str]]:
    """Return the new keys that wait for the operator, each with the services whose registries know keys by name."""
    return dict(await (await connection.execute(_TO_ACTIVATE)).fetchall())


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
