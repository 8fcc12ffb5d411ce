"""The rule in reverse: which bindings, of whomever, allow an action on a repository, and whom visibility lets in.

INVARIANT: nothing is decided here. Each binding is put to `decide` as the only one of somebody; as the rule only ever allows, who
holds several may do what any of them allows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from authsvc.core.decide import Circumstances, Verdict, decide
from authsvc.core.principal import (
    ANONYMOUS,
    Address,
    Binding,
    Hold,
    Principal,
    PrincipalKind,
    Snapshot,
    Visibility,
)
from authsvc.core.reason import Reason
from authsvc.core.scope import Scope
from authsvc.core.service import Service

_SOMEBODY = Principal(PrincipalKind.USER, "", "")


class ReachKind(StrEnum):
    """Who reaches something: a principal, or by visibility anybody, or anybody who signs in."""

    ANONYMOUS = "anonymous"
    AUTHENTICATED = "authenticated"
    USER = "user"
    ROBOT = "robot"


@dataclass(frozen=True, slots=True)
class Reach:
    """One way in which somebody may do something; `binding` None is visibility."""

    kind: ReachKind
    name: str
    reason: Reason
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What is known about a project: every binding on it and on the system, its visibility (None: no such project), its holds."""

    bindings: tuple[Binding, ...]
    projects: Mapping[str, Visibility | None]
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The where and when of what is asked; None for `service` or `address` is any, so that the condition counts as met."""

    time: datetime
    service: Service | None = None
    address: Address | None = None


def bindings_that_allow(scope: Scope, place: Place, whereabouts: Whereabouts) -> tuple[Binding, ...]:
    """Return the bindings that allow the one action of a repository's `scope` to whom they bind."""
    return tuple(
        binding
        for binding in place.bindings
        if _verdict_of(scope, place, whereabouts, binding).reason is Reason.BINDING
    )


def openings(scope: Scope, place: Place, whereabouts: Whereabouts) -> Iterable[Reach]:
    """Yield whom visibility lets do the one action of a repository's `scope`."""
    for kind, principal in ((ReachKind.ANONYMOUS, ANONYMOUS), (ReachKind.AUTHENTICATED, _SOMEBODY)):
        verdict = _verdict(
            scope, Snapshot(principal, projects=place.projects, holds=place.holds), whereabouts
        )
        if verdict.allowed:
            yield Reach(kind, kind.value, verdict.reason)


def _verdict_of(scope: Scope, place: Place, whereabouts: Whereabouts, binding: Binding) -> Verdict:
    met = replace(
        binding,
        services=binding.services if whereabouts.service is not None else frozenset(),
        cidrs=binding.cidrs if whereabouts.address is not None else (),
    )
    snapshot = Snapshot(_SOMEBODY, (met,), projects=place.projects, holds=place.holds)
    return _verdict(scope, snapshot, whereabouts)


def _verdict(scope: Scope, snapshot: Snapshot, whereabouts: Whereabouts) -> Verdict:
    service = whereabouts.service or Service(name="", issuer="")
    circumstances = Circumstances(service.name, whereabouts.address, whereabouts.time)
    (grant,) = decide(snapshot, [scope], service=service, circumstances=circumstances)
    (action,) = scope.actions
    return next(verdict for verdict in grant.verdicts if verdict.action == action)
