"""THE LIFE OF A TOKEN REQUEST (DESIGN 5)."""

from datetime import datetime, timedelta
from functools import lru_cache

from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.deadline import finish_within
from authsvc.core.claims import Claims, make_claims
from authsvc.core.credential import CredentialKind
from authsvc.core.errors import Fault, InvalidInputError, UnavailableError
from authsvc.core.event import TokenIssued
from authsvc.core.presented import NothingPresented
from authsvc.core.principal import PrincipalKind
from authsvc.core.recorded import Recorded, Stale
from authsvc.core.scope import ParsedScopes, parse_scopes, split_scopes
from authsvc.core.service import MIN_TOKEN_TTL, Service
from authsvc.operations.authenticate import Authenticated, Refused
from authsvc.operations.create_refresh_token import create_refresh_token
from authsvc.operations.deps import Deps
from authsvc.operations.prepare_token import key_of, prepare_token
from authsvc.operations.refuse_token import record_refused
from authsvc.operations.remember_prepared import Prepared, RequestKey
from authsvc.operations.share_anonymous import SharedKey, SharedToken
from authsvc.operations.sign_token import sign_token, token_size
from authsvc.operations.throttle import address_key
from authsvc.operations.token_events import describe_issued
from authsvc.operations.token_request import IssuedToken, TokenRequest, requester_of

MAX_SCOPES = 100
MAX_SCOPE_TEXT = 12_000
SHORT_SCOPES = 512
FEW_SCOPES = 6
MAX_TOKEN = 7 * 1024
"""Characters of a token: with a header line around it, it must pass through proxies that stop at 8 KiB (A4.74)."""
REFRESH_SECONDS = 3.0
MIN_LIFE = timedelta(seconds=MIN_TOKEN_TTL)
MAX_ROUNDS = 20
"""Rounds of catching up; each means that policy changed while the request was decided."""


async def issue_token(deps: Deps, request: TokenRequest) -> IssuedToken | Refused:
    """Answer one request, from its scopes to a signature, or with credentials refused.

    Raises InvalidInputError, UnknownServiceError, ThrottledError or UnavailableError: then there is no token.
    """
    size = sum(map(len, request.scopes))
    is_short = size <= SHORT_SCOPES
    parsed = _read_few(request.scopes) if is_short else _read_scopes(request.scopes)
    shared_key = _shared_key(request, parsed) if is_short else None
    if shared_key is not None:
        shared = deps.shared.find(shared_key, deps.now())
        if shared is not None and shared.revision == await deps.memory.refresh():
            return IssuedToken(shared.token, shared.granted, deps.now(), shared.expires_at)
    if isinstance(request.presented, NothingPresented):
        by_address = ("anonymous", address_key(request.address))
        deps.throttle.admit_anonymous(by_address, deps.now(), scopes=len(parsed.scopes), size=size)
    key = key_of(deps, request) if is_short else None
    for _ in range(MAX_ROUNDS):
        answer = await _try_to_issue(deps, request, parsed, key, shared_key)
        if answer is not None:
            return answer
    raise UnavailableError("policy changes faster than this request can be decided")


async def _try_to_issue(
    deps: Deps,
    request: TokenRequest,
    parsed: ParsedScopes,
    key: RequestKey | None,
    shared_key: SharedKey | None,
) -> IssuedToken | Refused | None:
    """Go through the request once; None when policy moved on meanwhile, and everything is to be asked again."""
    # 1.-4. Read it, find out who asks, what is bound and what is granted; or know that from the last time.
    who = None
    now = deps.now()
    prepared = None if key is None else deps.prepared.find(key, deps.memory, now=now)
    if prepared is None:
        made = await prepare_token(deps, request, parsed)
        if isinstance(made, Refused):
            return await record_refused(deps, request, parsed.scopes, made)
        if made is None:
            return None
        prepared, who = made
        now = prepared.decided_at
        if key is not None:
            deps.prepared.keep(key, prepared)
    # 5. Write it down.
    expires_at = _expiry(prepared, now)
    event = _describe(deps, request, prepared, now=now, expires_at=expires_at)
    recorded = await _record(deps, event, prepared.revision)
    if not isinstance(recorded, Recorded):
        await deps.memory.catch_up(recorded.revision)
        return None
    deps.last_uses.note(prepared.by, now)
    # 6. Sign it.
    token = await sign_token(deps, recorded, key=prepared.key, header=prepared.service.header)
    granted = prepared.decision.granted
    if shared_key is not None:
        deps.shared.add(shared_key, SharedToken(token, granted, prepared.revision, now, expires_at))
    refresh_token = None if who is None else await _refresh_token(deps, request, who, prepared.service)
    return IssuedToken(token, granted, now, expires_at, refresh_token)


def _describe(
    deps: Deps, request: TokenRequest, prepared: Prepared, *, now: datetime, expires_at: datetime
) -> TokenIssued:
    claims = make_claims(
        service=prepared.service,
        audience=prepared.audience,
        subject=prepared.by.principal.name,
        now=now,
        expires_at=expires_at,
        access=prepared.decision.access,
    )
    _check_size(claims, prepared.key, prepared.service)
    return describe_issued(
        deps,
        prepared.by,
        now=now,
        claims=claims,
        decision=prepared.decision,
        odd=prepared.odd,
        key_id=prepared.key.kid_id,
        service=prepared.service,
        client=request.client,
        revision=prepared.revision,
    )


async def _record(deps: Deps, event: TokenIssued, revision: int) -> Recorded | Stale:
    try:
        return await deps.journal.record(event, revision=revision)
    except ValueError as error:
        raise InvalidInputError(
            Fault("scope", "more than one event can hold: ask for fewer at a time")
        ) from error


@lru_cache(maxsize=4096)
def _read_few(scopes: tuple[str, ...]) -> ParsedScopes:
    """Read scopes that may well come again, as nodes ask for the same images."""
    return _read_scopes(scopes)


def _read_scopes(scopes: tuple[str, ...]) -> ParsedScopes:
    asked = split_scopes(scopes)
    if len(asked) > MAX_SCOPES or sum(len(scope.encode()) for scope in asked) > MAX_SCOPE_TEXT:
        raise InvalidInputError(
            Fault("scope", f"more than {MAX_SCOPES} scopes, or {MAX_SCOPE_TEXT} bytes of them")
        )
    return parse_scopes(asked)


def _check_size(claims: Claims, key: SigningKey, service: Service) -> None:
    """Raise InvalidInputError when the token would not fit a header; with a few scopes it always does."""
    if len(claims.access) > FEW_SCOPES and token_size(claims, key=key, header=service.header) > MAX_TOKEN:
        raise InvalidInputError(
            Fault("scope", "the token for all of these would not fit a header: ask for fewer at a time")
        )


def _shared_key(request: TokenRequest, parsed: ParsedScopes) -> SharedKey | None:
    if not isinstance(request.presented, NothingPresented):
        return None
    scopes = (*(str(scope) for scope in parsed.scopes), *parsed.odd)
    return SharedKey(str(request.address), request.service, scopes)


def _expiry(prepared: Prepared, now: datetime) -> datetime:
    """Return when the token ends: after the service's time, or with the first thing it rests on; in 60 s at the earliest."""
    end = now + timedelta(seconds=prepared.service.token_ttl_seconds)
    return end if prepared.ends is None else max(min(end, prepared.ends), now + MIN_LIFE)


async def _refresh_token(
    deps: Deps, request: TokenRequest, who: Authenticated, service: Service
) -> str | None:
    """Return a new refresh token when one is asked for and may be given; an old one is never replaced (A6.83)."""
    wanted = request.offline and service.refresh_tokens and who.principal.kind is not PrincipalKind.ANONYMOUS
    if not wanted or who.kind is CredentialKind.REFRESH:
        return None
    creating = create_refresh_token(
        deps, who, by=requester_of(request, who), service=service, client=request.client
    )
    return await finish_within(REFRESH_SECONDS, creating)
