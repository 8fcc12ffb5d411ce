"""Who the caller is, and which permissions it holds where, now and here."""

from authsvc.core.canonical import Json
from authsvc.core.decide import holds
from authsvc.operations.act import Actor, read_authority
from authsvc.operations.deps import Deps


async def describe_me(deps: Deps, actor: Actor) -> dict[str, Json]:
    """Return the principal and its permissions by place; `limits` are what the credential leaves of them, None for all."""
    async with deps.database.read() as read:
        authority = await read_authority(deps, read, actor)
    principal, limits = actor.who.principal, authority.snapshot.limits
    permissions: list[Json] = [
        {
            "project": binding.project,
            "repositories": [str(pattern) for pattern in binding.repositories],
            "role": binding.role.name,
            "permissions": sorted(str(permission) for permission in binding.role.permissions),
        }
        for binding in authority.snapshot.bindings
        if holds(binding, authority.circumstances)
    ]
    return {
        "principal": {"kind": principal.kind, "name": principal.name},
        "permissions": permissions,
        "limits": None if limits is None else [str(limit) for limit in limits],
    }
