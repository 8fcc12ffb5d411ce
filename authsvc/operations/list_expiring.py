"""What will expire soon, as far as the caller may read it, so that nobody learns of it from a pipeline that stopped."""

from datetime import datetime, timedelta

from authsvc.adapters.postgres import expiring
from authsvc.adapters.postgres.expiring import Readable
from authsvc.core.principal import PrincipalKind
from authsvc.core.records import ExpiringRecord
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, page_of


async def list_expiring(deps: Deps, actor: Actor, days: int, asked: Asked) -> Page[ExpiringRecord]:
    """Return the bindings, robot secrets and personal access tokens that end within `days`, the first to end first.

    Of a project with `project:read`; of the system with `role:read` (bindings) and `user:read` (robots); of users with
    `user:read`, and one's own. What may not be read is left out.
    """
    now = deps.now()
    async with deps.database.read() as read:
        readable = _readable(await read_authority(deps, read, actor), actor)
        page = await page_of(
            asked,
            lambda after, limit: expiring.list_expiring(
                read, readable, after=_place(after, now), until=now + timedelta(days=days), limit=limit
            ),
            lambda record: f"{record.expires_at.isoformat()} {record.id}",
        )
        return await deps.last_uses.of_page(read, page)


def _place(after: str, now: datetime) -> tuple[datetime, str]:
    """Return the time and the id that a page comes after: now, or where the page before ended."""
    if not after:
        return now, ""
    time, _, id_ = after.partition(" ")
    return datetime.fromisoformat(time), id_


def _readable(authority: Authority, actor: Actor) -> Readable:
    who = actor.who.principal
    bound = {b.project for b in authority.snapshot.bindings if b.project is not None}
    own = who.kind is PrincipalKind.USER and authority.may_over_oneself("user:read")
    return Readable(
        projects=None
        if authority.may("project:read", SYSTEM_WIDE)
        else sorted(name for name in bound if authority.may("project:read", name)),
        system_bindings=authority.may("role:read", SYSTEM_WIDE),
        system_robots=authority.may("user:read", SYSTEM_WIDE),
        tokens=authority.may("user:read", SYSTEM_WIDE),
        tokens_of=who.id if own else None,
    )
