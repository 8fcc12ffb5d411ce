"""Who administers: a principal with its requester, and the authority it has at the moment of a change.

INVARIANT: authority is read in the transaction that uses it. A change holds the policy lock by then, so that a revocation and a
change by who was revoked cannot cross.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import find_credential, find_principal_policy
from authsvc.core.canonical import Json
from authsvc.core.credential import Credential
from authsvc.core.decide import Circumstances, decide_permission, holds
from authsvc.core.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind, Outcome
from authsvc.core.permission import Permission, ResourceType, Role
from authsvc.core.presented import NothingPresented, Presented
from authsvc.core.principal import Address, Binding, Network, PrincipalKind, Snapshot
from authsvc.core.recorded import Recorded
from authsvc.core.repository import Pattern
from authsvc.operations.authenticate import ADMIN_KINDS, Authenticated, Refused, authenticate
from authsvc.operations.console import AtConsole
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

    @property
    def is_narrowed(self) -> bool:
        """Say whether the credential is less than its owner: what it made could be wider, or serve elsewhere.

        Its end is not asked: without scopes it can do what its owner can, for as long as it lives.
        """
        credential = self.who.credential
        return credential is not None and (credential.limits is not None or bool(credential.cidrs))

    def demand_not_narrowed(self) -> None:
        """Raise ForbiddenError for a credential that is less than its owner, where what it made could be more than itself."""
        if self.is_narrowed:
            raise ForbiddenError(
                "a credential with limits or addresses makes no other: sign in with your password"
            )

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
    deps.last_uses.note(by, deps.now())
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
    """What an actor may do, at the newest policy, here and now; `credential` None is a password, which narrows nothing."""

    snapshot: Snapshot
    circumstances: Circumstances
    credential: Credential | None = None

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

    def may_over_oneself(self, permission: str) -> bool:
        """Say whether the credential's limits leave a permission that everybody has over himself."""
        type_, _, action = permission.partition(":")
        return self._is_left(Permission(type_, action))

    def demand_over_oneself(self, permission: str) -> None:
        """Raise ForbiddenError unless the credential's limits leave a permission that everybody has over himself."""
        if not self.may_over_oneself(permission):
            raise ForbiddenError(f"the limits of this credential leave out the permission {permission}")

    def _is_left(self, permission: Permission) -> bool:
        limits = self.snapshot.limits
        return limits is None or any(
            limit.pattern is None and limit.permission.covers(permission) for limit in limits
        )

    def demand_all_of(self, bindings: Iterable[Binding]) -> None:
        """Raise ForbiddenError unless all that `bindings` give is held, as widely and as long: nobody hands out more.

        Nor does a credential hand out what serves where it does not. Its own end narrows nothing: its owner's rights last longer.
        """
        for binding in bindings:
            if self.credential and not _serves_within(self.credential.cidrs, binding):
                raise ForbiddenError(
                    "this would serve where your credential does not: give it the same addresses, or sign in with your password"
                )
            for permission in binding.role.permissions:
                if not all(self._holds(permission, binding, pattern) for pattern in binding.repositories):
                    raise ForbiddenError(f"this would hand out {permission}, which you do not hold there")

    def demand_to_hand_out(self, permission: str, project: str | None) -> None:
        """Raise ForbiddenError unless a permission is held for good over a whole place, for what gives it without a binding."""
        type_, _, action = permission.partition(":")
        role = Role("", frozenset({Permission(type_, action)}))
        self.demand_all_of([Binding("", role, project)])

    def _holds(self, permission: Permission, given: Binding, pattern: Pattern) -> bool:
        """Say whether one binding of the actor's, here and now, holds this much of `given`, and its credential leaves that."""
        return self._is_left(permission) and any(
            held.role.covers(permission)
            and _reaches(held, permission, given.project, pattern)
            and _outlasts(held.expires_at, given)
            and _serves_within(held.cidrs, given)
            for held in self.snapshot.bindings
            if holds(held, self.circumstances)
        )


def _reaches(held: Binding, permission: Permission, project: str | None, pattern: Pattern) -> bool:
    """Say whether a binding is about the whole place; over part of a project's repositories, the same part is enough."""
    same_part = held.project == project and pattern in held.repositories
    return held.covers_project(project) or (permission.type == ResourceType.REPOSITORY and same_part)


def _outlasts(end: datetime | None, given: Binding) -> bool:
    """Say whether what ends then lasts at least as long as `given`: who holds something for a day gives it for a day."""
    return end is None or (given.expires_at is not None and given.expires_at <= end)


def _serves_within(cidrs: Sequence[Network], given: Binding) -> bool:
    """Say whether the addresses of a binding or a credential are at least those of `given`."""
    return not cidrs or (bool(given.cidrs) and all(any(_is_inside(g, h) for h in cidrs) for g in given.cidrs))


def _is_inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and (
        int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


async def read_authority(deps: Deps, read: Read, actor: Actor) -> Authority:
    """Return the actor's authority as this transaction sees it; at the server's own console it is an administrator's.

    Raises UnauthenticatedError when the principal or its credential has ended since it was identified.
    """
    circumstances = Circumstances("", actor.address, deps.now())
    if isinstance(actor.who, AtConsole):
        return Authority(Snapshot(actor.who.principal, actor.who.bindings), circumstances)
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
    return Authority(snapshot, circumstances, actor.who.credential)
