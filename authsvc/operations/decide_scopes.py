"""The decision of a token request, and what a token, its event and its response say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from authsvc.core.canonical import Json
from authsvc.core.claims import Access, access_of
from authsvc.core.decide import Circumstances, Grant, decide
from authsvc.core.event import GrantIndex, index_grants
from authsvc.core.issued import describe_grant, outcome_of
from authsvc.core.kind import Outcome
from authsvc.core.principal import Snapshot
from authsvc.core.scope import Scope
from authsvc.core.service import Service


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


def decide_scopes(
    snapshot: Snapshot, scopes: Sequence[Scope], *, service: Service, circumstances: Circumstances
) -> Decision:
    """Return the rule's answer to `scopes` with everything that follows from it."""
    grants = decide(snapshot, scopes, service=service, circumstances=circumstances)
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
