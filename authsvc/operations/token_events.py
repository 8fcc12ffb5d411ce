"""The events of the token endpoint: what the log keeps of a token that was issued, and of credentials that were refused."""

from collections.abc import Sequence
from datetime import datetime

from authsvc.core.canonical import Json
from authsvc.core.claims import Claims
from authsvc.core.decide import RULE_VERSION, Grant, Verdict
from authsvc.core.event import Event, Kind, Outcome, Requester, TokenIssued
from authsvc.core.service import Service
from authsvc.operations.deps import Deps

MAX_ODD = 8
MAX_ODD_LENGTH = 128


def describe_issued(
    deps: Deps,
    by: Requester,
    *,
    now: datetime,
    claims: Claims,
    grants: Sequence[Grant],
    odd: Sequence[str],
    key_id: str,
    service: Service,
    client: str | None,
    revision: int,
) -> TokenIssued:
    """Return the event of a token decided `now`: asked, granted by which binding, refused why, and every claim but the `jti`."""
    body: dict[str, Json] = {
        "rule": RULE_VERSION,
        "revision": revision,
        "service": service.name,
        "key": key_id,
        "token": claims.entry(),
        "grants": [describe_grant(grant, service) for grant in grants],
    }
    if odd:
        body["odd"] = [text[:MAX_ODD_LENGTH] for text in odd[:MAX_ODD]]
    if client:
        body["client"] = client
    return TokenIssued(Kind.TOKEN_ISSUED, now, deps.new_nonce(), by, _outcome(grants), body, claims=claims)


def describe_refused(
    deps: Deps, by: Requester, *, service: str, reason: str, scopes: Sequence[str], client: str | None
) -> Event:
    """Return the event of credentials that were refused."""
    body: dict[str, Json] = {"service": service, "reason": reason}
    if scopes:
        body["asked"] = [text[:MAX_ODD_LENGTH] for text in scopes[:MAX_ODD]]
    if client:
        body["client"] = client
    return Event(Kind.TOKEN_REFUSED, deps.now(), deps.new_nonce(), by, Outcome.REFUSED, body)


def describe_grant(grant: Grant, service: Service) -> dict[str, Json]:
    """Return a grant as the log keeps it: each action with the id of the binding, or the visibility, that decided it.

    `as` is the name that the rule was asked about, where the service's names have a prefix that it does not see.
    """
    described: dict[str, Json] = {
        "type": grant.scope.type,
        "name": grant.scope.name,
        "asked": list(grant.scope.actions),
    }
    matched = grant.scope.name.removeprefix(service.name_prefix)
    if matched != grant.scope.name:
        described["as"] = matched
    granted: dict[str, Json] = {v.action: _basis(v) for v in grant.verdicts if v.allowed}
    refused: dict[str, Json] = {v.action: v.reason for v in grant.verdicts if not v.allowed}
    if granted:
        described["granted"] = granted
    if refused:
        described["refused"] = refused
    return described


def _basis(verdict: Verdict) -> str:
    return verdict.reason if verdict.binding is None else verdict.binding.id


def _outcome(grants: Sequence[Grant]) -> Outcome:
    if any(grant.refused for grant in grants):
        return Outcome.PARTIAL if any(grant.granted for grant in grants) else Outcome.REFUSED
    return Outcome.ALLOWED
