"""THE LIFE OF A TOKEN REQUEST (DESIGN 5)."""

from datetime import datetime, timedelta
from functools import lru_cache

from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.deadline import finish_within
from authsvc.core.claims import Claims, make_claims
from authsvc.core.credential import CredentialKind
from authsvc.core.decide import Circumstances
from authsvc.core.errors import Fault, InvalidInputError, UnavailableError, UnknownServiceError
from authsvc.core.presented import NothingPresented
from authsvc.core.principal import PrincipalKind, Snapshot, Visibility
from authsvc.core.recorded import Recorded
from authsvc.core.repository import parse_repository
from authsvc.core.scope import ParsedScopes, parse_scopes, split_scopes
from authsvc.core.service import MIN_TOKEN_TTL, Service
from authsvc.operations.authenticate import REALM_KINDS, Authenticated, Refusal, Refused, authenticate
from authsvc.operations.create_refresh_token import create_refresh_token
from authsvc.operations.decide_scopes import Decision
from authsvc.operations.deps import Deps
from authsvc.operations.refuse_token import record_refused
from authsvc.operations.share_anonymous import SharedKey, SharedToken
from authsvc.operations.sign_token import sign_token, token_size
from authsvc.operations.throttle import address_key
from authsvc.operations.token_events import describe_issued
from authsvc.operations.token_request import IssuedToken, TokenRequest, requester_of

MAX_SCOPES = 100
MAX_SCOPE_TEXT = 12_000
SHORT_SCOPES = 512
MAX_SERVICE = 255
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
    for _ in range(MAX_ROUNDS):
        answer = await _try_to_issue(deps, request, parsed, shared_key)
        if answer is not None:
            return answer
    raise UnavailableError("policy changes faster than this request can be decided")


async def _try_to_issue(
    deps: Deps, request: TokenRequest, parsed: ParsedScopes, shared_key: SharedKey | None
) -> IssuedToken | Refused | None:
    """Go through the request once; None when policy moved on meanwhile, and everything is to be asked again."""
    # 1. Read the request: which service is it for?
    if len(request.service) > MAX_SERVICE or not request.service.isprintable():
        raise UnknownServiceError("unknown service: no service has such a name")
    found = await deps.memory.service(request.service)
    service = found.value
    if service is None:
        raise UnknownServiceError(
            "unknown service: register it, or correct 'service' in the registry's auth.token"
        )
    # 2. Who asks?
    who = await authenticate(
        deps, request.presented, address=request.address, kinds=REALM_KINDS, service=service
    )
    if isinstance(who, Authenticated) and who.kind is None and not service.anonymous:
        who = Refused(Refusal.ANONYMOUS, who.principal, who.revision)
    if isinstance(who, Refused):
        return await record_refused(deps, request, parsed.scopes, who)
    # 3. What is bound? 4. What is granted?
    now = deps.now()
    snapshot, revision = await _complete_snapshot(deps, who, parsed, service)
    circumstances = Circumstances(service.name, request.address, now)
    decision = deps.decisions.decide(snapshot, parsed, service=service, circumstances=circumstances)
    # 5. Write it down.
    signing = await _signing_key(deps, service, revision)
    if signing is None:
        return None
    key, key_revision = signing
    revision = min(revision, who.revision, found.revision, key_revision)
    expires_at = _expiry(service, who, decision, now)
    claims = make_claims(
        service=service,
        audience=request.service or service.name,
        subject=who.principal.name,
        now=now,
        expires_at=expires_at,
        access=decision.access,
    )
    _check_size(claims, key, service)
    event = describe_issued(
        deps,
        requester_of(request, who),
        now=now,
        claims=claims,
        decision=decision,
        odd=parsed.odd,
        key_id=key.kid_id,
        service=service,
        client=request.client,
        revision=revision,
    )
    try:
        recorded = await deps.journal.record(event, revision=revision)
    except ValueError as error:
        raise InvalidInputError(
            Fault("scope", "more than one event can hold: ask for fewer at a time")
        ) from error
    if not isinstance(recorded, Recorded):
        await deps.memory.catch_up(recorded.revision)
        return None
    # 6. Sign it.
    token = await sign_token(deps, recorded, key=key, header=service.header)
    if shared_key is not None:
        deps.shared.add(shared_key, SharedToken(token, decision.granted, revision, now, expires_at))
    refresh_token = await _refresh_token(deps, request, who, service)
    return IssuedToken(token, decision.granted, now, expires_at, refresh_token)


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


async def _complete_snapshot(
    deps: Deps, who: Authenticated, parsed: ParsedScopes, service: Service
) -> tuple[Snapshot, int]:
    """Return the snapshot of who asks, with the projects that are asked about, and the oldest revision among these."""
    projects: dict[str, Visibility | None] = {}
    revision = who.revision
    for scope in parsed.scopes:
        repository = parse_repository(scope.name.removeprefix(service.name_prefix))
        if repository is not None and repository.project not in projects:
            known = await deps.memory.visibility(repository.project)
            projects[repository.project] = known.value
            revision = min(revision, known.revision)
    return Snapshot(who.principal, who.bindings, projects=projects, limits=who.limits), revision


async def _signing_key(deps: Deps, service: Service, revision: int) -> tuple[SigningKey, int] | None:
    """Return the key in use; None when policy has moved on, as nothing may be refused for good by what is remembered."""
    known = await deps.memory.active_key(service.algorithm, service.name if service.own_key else "")
    key = None if known.value is None else deps.keys.find(known.value, now=deps.now())
    if key is not None:
        return key, known.revision
    if await deps.memory.refresh() != min(revision, known.revision):
        return None
    raise UnavailableError(
        "this node does not hold the signing key in use: is KEYS_DIR the same on every replica?"
    )


def _expiry(service: Service, who: Authenticated, decision: Decision, now: datetime) -> datetime:
    """Return when the token ends: after the service's time, or with the first thing it rests on; in 60 s at the earliest."""
    end = now + timedelta(seconds=service.token_ttl_seconds)
    rests = [lapse for lapse in (who.expires_at, decision.ends) if lapse is not None]
    return max(min(end, *rests), now + MIN_LIFE) if rests else end


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
