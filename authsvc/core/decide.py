"""THE RULE:  granted(scope) = asked ∩ (bound ∪ visible) ∩ limits − held

Allow only, default deny, order-free; *held* is the single deny. One pure function answers the token endpoint, the admin API,
`explain` and replay, and every answer carries its reasons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from authsvc.core.nearest import nearest_obstacle
from authsvc.core.permission import REPOSITORY_ACTIONS, Permission, ResourceType
from authsvc.core.principal import Address, Binding, Network, PrincipalKind, Snapshot, Visibility
from authsvc.core.reason import Reason
from authsvc.core.repository import Repository, parse_repository
from authsvc.core.scope import WILDCARD, Scope
from authsvc.core.service import Service

RULE_VERSION = 2
"""INVARIANT: raised with every change of meaning; each event names the version that decided it, so that it can be replayed."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The where and when of a request, which bindings' conditions are held against."""

    service: str
    address: Address | None
    time: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one action: allowed or not, why, and the binding that allows it or comes nearest to it."""

    action: str
    allowed: bool
    reason: Reason
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to one scope. `verdicts` are sorted by action; where `*` was asked they name the concrete actions too."""

    scope: Scope
    verdicts: tuple[Verdict, ...]

    @property
    def granted(self) -> tuple[str, ...]:
        """Return the allowed actions, sorted."""
        return tuple(verdict.action for verdict in self.verdicts if verdict.allowed)

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the asked actions that were refused, sorted."""
        return tuple(verdict.action for verdict in self.verdicts if not verdict.allowed)

    @property
    def expires_at(self) -> datetime | None:
        """Return when the first of the bindings that this grant rests on lapses, or None when none does."""
        ends = [
            verdict.binding.expires_at
            for verdict in self.verdicts
            if verdict.allowed and verdict.binding is not None and verdict.binding.expires_at is not None
        ]
        return min(ends, default=None)


def decide(
    snapshot: Snapshot, scopes: Iterable[Scope], *, service: Service, circumstances: Circumstances
) -> tuple[Grant, ...]:
    """Answer each scope in order. `service` tells how its names are to be read; nothing here can fail."""
    return tuple(_decide_scope(snapshot, scope, service, circumstances) for scope in scopes)


def decide_permission(
    snapshot: Snapshot, permission: Permission, *, project: str | None, circumstances: Circumstances
) -> Verdict:
    """Answer whether an administrative permission is held over a whole project, or over the system (`project` None)."""
    if not snapshot.enabled:
        return Verdict(permission.action, allowed=False, reason=Reason.DISABLED)
    covering = [binding for binding in snapshot.bindings if binding.covers_project(project)]
    verdict = _bound(covering, permission, circumstances) or _refusal(
        snapshot, project, covering, permission, circumstances
    )
    return _within_limits(snapshot, permission, None, verdict)


def _decide_scope(snapshot: Snapshot, scope: Scope, service: Service, circumstances: Circumstances) -> Grant:
    if scope.type == ResourceType.REPOSITORY:
        return _decide_repository(snapshot, scope, service, circumstances)
    if scope.type == ResourceType.REGISTRY:
        return _decide_registry(snapshot, scope, circumstances)
    return refuse(scope, Reason.UNKNOWN_TYPE)


def refuse(scope: Scope, reason: Reason) -> Grant:
    """Return the answer that refuses all of a scope for one reason."""
    return Grant(scope, tuple(Verdict(action, allowed=False, reason=reason) for action in scope.actions))


def _decide_registry(snapshot: Snapshot, scope: Scope, circumstances: Circumstances) -> Grant:
    """Grant `registry:catalog:*`, the one scope of a whole registry, to who holds `registry:catalog` over the system."""
    if scope.name != "catalog":
        return refuse(scope, Reason.UNKNOWN_TYPE)
    catalog = decide_permission(
        snapshot, Permission(ResourceType.REGISTRY, "catalog"), project=None, circumstances=circumstances
    )
    return Grant(
        scope,
        tuple(
            Verdict(WILDCARD, catalog.allowed, catalog.reason, catalog.binding)
            if action == WILDCARD
            else Verdict(action, allowed=False, reason=Reason.NO_BINDING)
            for action in scope.actions
        ),
    )


def _decide_repository(
    snapshot: Snapshot, scope: Scope, service: Service, circumstances: Circumstances
) -> Grant:
    repository = parse_repository(scope.name.removeprefix(service.name_prefix))
    if repository is None:
        return refuse(scope, Reason.MALFORMED_NAME)
    if snapshot.projects.get(repository.project) is None:
        return refuse(scope, Reason.UNKNOWN_PROJECT)
    if not snapshot.enabled:
        return refuse(scope, Reason.DISABLED)
    covering = [b for b in snapshot.bindings if b.covers_path(repository.project, repository.path)]
    asked = set(scope.actions)
    verdicts = [
        _decide_action(snapshot, action, repository, covering, circumstances) for action in scope.actions
    ]
    if WILDCARD in asked:
        # Registries that compare literally (zot, Pulp) need the concrete actions beside `*`, and who does not hold everything
        # gets the actions held instead of nothing (token-protocol A2.36-37). Only what is allowed is added.
        concrete = _decide_concrete(snapshot, asked, repository, covering, circumstances)
        verdicts.extend(verdict for verdict in concrete if verdict.allowed)
    return Grant(scope, tuple(sorted(verdicts, key=lambda verdict: verdict.action)))


def _decide_concrete(
    snapshot: Snapshot,
    asked: set[str],
    repository: Repository,
    covering: list[Binding],
    circumstances: Circumstances,
) -> list[Verdict]:
    named = {
        permission.action
        for binding in covering
        if _failing_condition(binding, circumstances) is None
        for permission in binding.role.permissions
        if permission.type == ResourceType.REPOSITORY
    }
    actions = (REPOSITORY_ACTIONS | named) - asked - {WILDCARD}
    return [
        _decide_action(snapshot, action, repository, covering, circumstances) for action in sorted(actions)
    ]


def _decide_action(
    snapshot: Snapshot,
    action: str,
    repository: Repository,
    covering: list[Binding],
    circumstances: Circumstances,
) -> Verdict:
    permission = Permission(ResourceType.REPOSITORY, action)
    verdict = _bound(covering, permission, circumstances)
    if verdict is None and action == "pull":
        verdict = _visible(snapshot, repository.project)
    if verdict is None:
        verdict = _refusal(snapshot, repository.project, covering, permission, circumstances)
    verdict = _within_limits(snapshot, permission, repository, verdict)
    if verdict.allowed and _is_held(snapshot, action, repository):
        return Verdict(action, allowed=False, reason=Reason.HELD, binding=verdict.binding)
    return verdict


def _bound(covering: list[Binding], permission: Permission, circumstances: Circumstances) -> Verdict | None:
    """Return the verdict of the bindings that allow, by the one that does so longest, or None when none does."""
    best: Binding | None = None
    for binding in covering:
        if (
            binding.role.covers(permission)
            and _failing_condition(binding, circumstances) is None
            and (best is None or _lasts_longer(binding, best))
        ):
            best = binding
    return (
        None
        if best is None
        else Verdict(permission.action, allowed=True, reason=Reason.BINDING, binding=best)
    )


def _refusal(
    snapshot: Snapshot,
    project: str | None,
    covering: list[Binding],
    permission: Permission,
    circumstances: Circumstances,
) -> Verdict:
    """Return the verdict where no binding allows: what stands in the way of the one that comes nearest."""
    reason, binding = nearest_obstacle(
        covering,
        [each for each in snapshot.bindings if project is not None and each.project == project],
        permission,
        lambda each: _failing_condition(each, circumstances),
    )
    return Verdict(permission.action, allowed=False, reason=reason, binding=binding)


def _lasts_longer(one: Binding, other: Binding) -> bool:
    """Order bindings by their end, then by id, so that the answer does not depend on the order of bindings."""
    if one.expires_at == other.expires_at:
        return one.id < other.id
    return other.expires_at is not None and (one.expires_at is None or one.expires_at > other.expires_at)


def holds(binding: Binding, circumstances: Circumstances) -> bool:
    """Say whether all of a binding's conditions hold here and now."""
    return _failing_condition(binding, circumstances) is None


def _failing_condition(binding: Binding, circumstances: Circumstances) -> Reason | None:
    """Return the hardest to meet of the conditions that do not hold, or None when all do."""
    if binding.expires_at is not None and circumstances.time >= binding.expires_at:
        return Reason.EXPIRED
    if binding.not_before is not None and circumstances.time < binding.not_before:
        return Reason.NOT_YET
    if binding.cidrs and not is_within(circumstances.address, binding.cidrs):
        return Reason.ADDRESS
    if binding.services and circumstances.service not in binding.services:
        return Reason.SERVICE
    return None


def is_within(address: Address | None, cidrs: Iterable[Network]) -> bool:
    """Say whether `address` lies in one of `cidrs`; an unknown address lies in none."""
    return address is not None and any(address in network for network in cidrs)


def _visible(snapshot: Snapshot, project: str) -> Verdict | None:
    visibility = snapshot.projects.get(project)
    if visibility is Visibility.PUBLIC:
        return Verdict("pull", allowed=True, reason=Reason.PUBLIC)
    if visibility is Visibility.INTERNAL and snapshot.principal.kind is not PrincipalKind.ANONYMOUS:
        return Verdict("pull", allowed=True, reason=Reason.INTERNAL)
    return None


def _within_limits(
    snapshot: Snapshot, permission: Permission, repository: Repository | None, verdict: Verdict
) -> Verdict:
    if not verdict.allowed or snapshot.limits is None:
        return verdict
    for limit in snapshot.limits:
        inside = limit.pattern is None or (
            repository is not None and limit.pattern.matches(repository.full_path)
        )
        if inside and limit.permission.covers(permission):
            return verdict
    return Verdict(verdict.action, allowed=False, reason=Reason.OUTSIDE_LIMITS, binding=verdict.binding)


def _is_held(snapshot: Snapshot, action: str, repository: Repository) -> bool:
    """Say whether a hold stops `action` here; `*` is stopped by any hold, as it would include the held action."""
    return any(
        hold.project == repository.project
        and hold.pattern.matches(repository.path)
        and (not hold.actions or action == WILDCARD or action in hold.actions)
        for hold in snapshot.holds
    )
