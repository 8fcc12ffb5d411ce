"""Who administers: a principal with its requester, and the authority it has at the moment of a change.

INVARIANT: authority is read in the transaction that uses it. A change holds the policy lock by then, so that a revocation and a
change by who was revoked cannot cross.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import find_credential, find_principal_policy
from authsvc.core.canonical import Json
from authsvc.core.decide import Circumstances, decide_permission, holds
from authsvc.core.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from authsvc.core.event import Event, Kind, Outcome, Requester
from authsvc.core.permission import Permission, ResourceType
from authsvc.core.presented import NothingPresented, Presented
from authsvc.core.principal import Address, Binding, PrincipalKind, Snapshot
from authsvc.core.recorded import Recorded
from authsvc.core.repository import Pattern
from authsvc.operations.authenticate import ADMIN_KINDS, Authenticated, Refused, authenticate
from authsvc.operations.deps import Deps
from authsvc.operations.throttle import address_key

SYSTEM_WIDE = None
"""The place of a permission that is about no project."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes an administrative request, and from where."""

    who: Authenticated
    by: Requester
    address: Address | None

    def is_user(self, user_id: str) -> bool:
        """Say whether the actor is this user."""
        return self.who.principal.kind is PrincipalKind.USER and self.who.principal.id == user_id


async def identify(
    deps: Deps, presented: Presented, *, address: Address | None, peer: str | None, agent: str | None
) -> Actor:
    """Return who administers, at the newest policy; raises UnauthenticatedError after logging refused credentials."""
    await deps.memory.refresh()
    who = await authenticate(deps, presented, address=address, kinds=ADMIN_KINDS)
    by = Requester(
        who.principal,
        address=None if address is None else str(address),
        peer=peer,
        agent=agent,
        credential_kind=who.kind,
        credential_id=who.credential_id,
    )
    if isinstance(who, Refused):
        await _record_refused(deps, by, who, address)
        raise UnauthenticatedError("incorrect user name or password, or an expired credential")
    if isinstance(presented, NothingPresented):
        raise UnauthenticatedError(
            "sign in: Basic with a password or personal access token, or Bearer with one"
        )
    return Actor(who, by, address)


async def _record_refused(deps: Deps, by: Requester, refused: Refused, address: Address | None) -> None:
    key = ("credentials", address_key(address))
    deps.throttle.check_failures(key, deps.now())
    body: dict[str, Json] = {"service": "", "reason": str(refused.reason)}
    event = Event(Kind.TOKEN_REFUSED, deps.now(), deps.new_nonce(), by, Outcome.REFUSED, body)
    recorded = await deps.journal.record(event, revision=None)
    if isinstance(recorded, Recorded):
        deps.throttle.failures.count(key, deps.now())


@dataclass(frozen=True, slots=True)
class Authority:
    """What an actor may do, at the newest policy, here and now."""

    snapshot: Snapshot
    circumstances: Circumstances

    def may(self, permission: str, project: str | None) -> bool:
        """Say whether a permission such as `project:write` is held over a whole project, or over the system (None)."""
        type_, _, action = permission.partition(":")
        wanted = Permission(type_, action)
        return decide_permission(
            self.snapshot, wanted, project=project, circumstances=self.circumstances
        ).allowed

    def demand(self, permission: str, project: str | None) -> None:
        """Raise ForbiddenError unless the permission is held, or NotFoundError where not even the project may be known."""
        if self.may(permission, project):
            return
        if project is not SYSTEM_WIDE and not self.may("project:read", project):
            raise NotFoundError(f"there is no project {project!r}")
        raise ForbiddenError(f"this needs the permission {permission}")

    def demand_all_of(self, bindings: Iterable[Binding]) -> None:
        """Raise ForbiddenError unless everything that `bindings` give is held over the same places: nobody hands out more."""
        for binding in bindings:
            for permission in binding.role.permissions:
                if not all(self._holds(permission, binding.project, p) for p in binding.repositories):
                    raise ForbiddenError(f"this would hand out {permission}, which you do not hold there")

    def _holds(self, permission: Permission, project: str | None, pattern: Pattern) -> bool:
        if decide_permission(
            self.snapshot, permission, project=project, circumstances=self.circumstances
        ).allowed:
            return True
        # Over part of a project, holding the same part is enough.
        return permission.type == ResourceType.REPOSITORY and any(
            held.project == project and pattern in held.repositories and held.role.covers(permission)
            for held in self._part_bindings()
        )

    def _part_bindings(self) -> list[Binding]:
        """Return the bindings that hold here and now; none for a credential with limits, which hands out nothing in part."""
        if self.snapshot.limits is not None or not self.snapshot.enabled:
            return []
        return [b for b in self.snapshot.bindings if holds(b, self.circumstances)]


async def read_authority(deps: Deps, read: Read, actor: Actor) -> Authority:
    """Return the actor's authority as this transaction sees it.

    Raises UnauthenticatedError when the principal or its credential has ended since it was identified.
    """
    driver = await read.driver()
    policy = (await find_principal_policy(driver, actor.who.principal)).value
    ended = not (policy.exists and policy.enabled)
    if actor.who.credential is None:
        ended = ended or policy.credential_version != actor.who.credential_version
    else:
        ended = ended or (await find_credential(driver, actor.who.credential.id)).value is None
    if ended:
        raise UnauthenticatedError("the credential has ended meanwhile: sign in again")
    snapshot = Snapshot(actor.who.principal, policy.bindings, limits=actor.who.limits)
    return Authority(snapshot, Circumstances("", actor.address, deps.now()))
