"""The first half of a token request: from what was asked to what is granted, by the policy in memory."""

from datetime import datetime, timedelta

from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.known import Basis
from authsvc.core.decide import Circumstances
from authsvc.core.errors import UnavailableError, UnknownServiceError
from authsvc.core.presented import BareSecret, NameAndSecret
from authsvc.core.principal import Snapshot, Visibility
from authsvc.core.repository import parse_repository
from authsvc.core.scope import ParsedScopes
from authsvc.core.service import Service
from authsvc.operations.authenticate import REALM_KINDS, Authenticated, Refusal, Refused, authenticate
from authsvc.operations.decide_scopes import decide_scopes
from authsvc.operations.deps import Deps
from authsvc.operations.remember_prepared import Prepared, RequestKey
from authsvc.operations.token_request import TokenRequest, requester_of

MAX_SERVICE = 255
KEPT_FOR = timedelta(minutes=10)


def key_of(deps: Deps, request: TokenRequest) -> RequestKey | None:
    """Return what the request is remembered by; None for anonymous requests and those that ask for a refresh token too."""
    presented = request.presented
    if request.offline or not isinstance(presented, NameAndSecret | BareSecret):
        return None
    return RequestKey(
        name=presented.name if isinstance(presented, NameAndSecret) else None,
        secret=deps.prepared.fingerprint(presented.secret),
        service=request.service,
        scopes=request.scopes,
        address=request.address,
        peer=request.peer,
        agent=request.agent,
        client=request.client,
    )


async def prepare_token(
    deps: Deps, request: TokenRequest, parsed: ParsedScopes
) -> tuple[Prepared, Authenticated] | Refused | None:
    """Return the decided request and who made it, or the refused credentials; None when policy moved on meanwhile.

    Raises UnknownServiceError, and whatever `authenticate` raises.
    """
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
        who = Refused(Refusal.ANONYMOUS, who.principal, who.basis.revision)
    if isinstance(who, Refused):
        return who
    # 3. What is bound?
    now = deps.now()
    snapshot, basis = await _complete_snapshot(deps, who, parsed, service)
    basis &= found.basis
    signing = await _signing_key(deps, service, basis)
    if signing is None:
        return None
    key, key_basis = signing
    # 4. What is granted?
    circumstances = Circumstances(service.name, request.address, now)
    decision = decide_scopes(snapshot, parsed.scopes, service=service, circumstances=circumstances)
    ends = [end for end in (who.expires_at, decision.ends) if end is not None]
    prepared = Prepared(
        service=service,
        audience=request.service or service.name,
        by=requester_of(request, who),
        decision=decision,
        odd=parsed.odd,
        key=key,
        decided_at=now,
        ends=min(ends, default=None),
        basis=basis & key_basis,
        keep_until=_keep_until(who, now, deps.keys.ends_at(key)),
    )
    return prepared, who


def _keep_until(who: Authenticated, now: datetime, key_ends: datetime) -> datetime | None:
    """Return until when time alone changes nothing about the request; None when a binding's beginning or end could."""
    if any(binding.not_before or binding.expires_at for binding in who.bindings):
        return None
    kept = min(now + KEPT_FOR, key_ends)
    return kept if who.expires_at is None else min(kept, who.expires_at)


async def _complete_snapshot(
    deps: Deps, who: Authenticated, parsed: ParsedScopes, service: Service
) -> tuple[Snapshot, Basis]:
    """Return the snapshot of who asks, with the projects that are asked about, and what both rest on."""
    projects: dict[str, Visibility | None] = {}
    basis = who.basis
    for scope in parsed.scopes:
        repository = parse_repository(scope.name.removeprefix(service.name_prefix))
        if repository is not None and repository.project not in projects:
            known = await deps.memory.visibility(repository.project)
            projects[repository.project] = known.value
            basis &= known.basis
    return Snapshot(who.principal, who.bindings, projects=projects, limits=who.limits), basis


async def _signing_key(deps: Deps, service: Service, basis: Basis) -> tuple[SigningKey, Basis] | None:
    """Return the key in use; None when policy has moved on, as nothing may be refused for good by what is remembered."""
    known = await deps.memory.active_key(service.algorithm, service.name if service.own_key else "")
    key = None if known.value is None else deps.keys.find(known.value, now=deps.now())
    if key is not None:
        return key, known.basis
    if await deps.memory.refresh() != (basis & known.basis).revision:
        return None
    raise UnavailableError(
        "this node does not hold the signing key in use: is KEYS_DIR the same on every replica?"
    )
