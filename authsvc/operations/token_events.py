"""The events of the token endpoint: what the log keeps of a token that was issued, and of credentials that were refused."""

from collections.abc import Sequence
from datetime import datetime

from authsvc.core.canonical import Json
from authsvc.core.claims import Claims
from authsvc.core.decide import RULE_VERSION
from authsvc.core.event import Event, Requester, TokenIssued
from authsvc.core.kind import Kind, Outcome
from authsvc.core.service import Service
from authsvc.operations.decide_scopes import Decision
from authsvc.operations.deps import Deps

MAX_ODD = 8
MAX_ODD_LENGTH = 128


def describe_issued(
    deps: Deps,
    by: Requester,
    *,
    now: datetime,
    claims: Claims,
    decision: Decision,
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
        "grants": decision.described,
    }
    if odd:
        body["odd"] = [text[:MAX_ODD_LENGTH] for text in odd[:MAX_ODD]]
    if client:
        body["client"] = client
    return TokenIssued(
        Kind.TOKEN_ISSUED,
        now,
        deps.new_nonce(),
        by,
        decision.outcome,
        body,
        claims=claims,
        index=decision.index,
    )


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
