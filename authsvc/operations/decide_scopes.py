"""The decision of a token request, and what follows from it alone; remembered, as nodes ask for the same images over and over.

`decide` is a pure function, so its answer can be kept by everything it was computed from. Only time is no part of the key: what
rests on a binding with a beginning or an end is decided afresh each time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from authsvc.core.canonical import Json
from authsvc.core.claims import Access, access_of
from authsvc.core.decide import Circumstances, Grant, decide
from authsvc.core.event import GrantIndex, Outcome, index_grants
from authsvc.core.issued import describe_grant, outcome_of
from authsvc.core.principal import Address, PrincipalKind, Snapshot, Visibility
from authsvc.core.scope import ParsedScopes
from authsvc.core.service import Service

MAX_DECISIONS = 4_096
MAX_SCOPES = 16
"""Scopes of a decision that is worth keeping, and small enough: more are asked by nobody twice."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The grants, and what a token, its event and its response say of them.

    `ends` is when the first thing that they rest on lapses. INVARIANT: nobody changes `described`: many events share it.
    """

    grants: tuple[Grant, ...]
    access: tuple[Access, ...]
    described: list[Json]
    index: GrantIndex
    granted: tuple[str, ...]
    outcome: Outcome
    ends: datetime | None


class _Key(NamedTuple):
    """INVARIANT: a typed tuple of everything that `decide` is given but the time; bindings, limits and holds by identity."""

    bindings: int
    limits: int
    kind: PrincipalKind
    enabled: bool
    holds: int
    scopes: int
    service: str
    prefix: str
    address: Address | None
    visibilities: tuple[Visibility | None, ...]


class _Kept(NamedTuple):
    """A decision with the very objects that its key names: while they are held here, no other object has their identity."""

    decision: Decision
    snapshot: Snapshot
    scopes: ParsedScopes


class Decisions:
    """Decides, and keeps the newest decisions."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def decide(
        self, snapshot: Snapshot, parsed: ParsedScopes, *, service: Service, circumstances: Circumstances
    ) -> Decision:
        """Return the decision on `parsed`; the snapshot's projects are those asked about, in the order of asking."""
        key = _Key(
            bindings=id(snapshot.bindings),
            limits=id(snapshot.limits),
            holds=id(snapshot.holds),
            kind=snapshot.principal.kind,
            enabled=snapshot.enabled,
            scopes=id(parsed),
            service=service.name,
            prefix=service.name_prefix,
            address=circumstances.address,
            visibilities=tuple(snapshot.projects.values()),
        )
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept.decision
        decision = _conclude(
            decide(snapshot, parsed.scopes, service=service, circumstances=circumstances), service
        )
        is_timed = any(binding.not_before or binding.expires_at for binding in snapshot.bindings)
        if not is_timed and len(parsed.scopes) <= MAX_SCOPES:
            self._kept[key] = _Kept(decision, snapshot, parsed)
            if len(self._kept) > MAX_DECISIONS:
                self._kept.popitem(last=False)
        return decision


def _conclude(grants: tuple[Grant, ...], service: Service) -> Decision:
    access = access_of(grants)
    described: list[Json] = [describe_grant(grant, service) for grant in grants]
    return Decision(
        grants=grants,
        access=access,
        described=described,
        index=index_grants(described),
        granted=tuple(f"{a.type}:{a.name}:{','.join(a.actions)}" for a in access),
        outcome=outcome_of(grants),
        ends=min((grant.expires_at for grant in grants if grant.expires_at is not None), default=None),
    )
