"""Who asks: from what a request presents to a principal, or to a refusal whose reason only the log gets.

INVARIANT: every way in ends in `_admit`, so that none of them forgets a disabled account, an expiry or an address.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from authsvc.adapters.postgres.known import Basis, Known
from authsvc.adapters.postgres.policy import User
from authsvc.core.credential import (
    Credential,
    CredentialKind,
    MachineSecret,
    looks_like_machine_secret,
    parse_secret,
)
from authsvc.core.decide import is_within
from authsvc.core.names import MAX_NAME, is_same_user, user_key
from authsvc.core.presented import BareSecret, NameAndSecret, NothingPresented, Presented, Unreadable
from authsvc.core.principal import ANONYMOUS, Address, Binding, Limit, Principal, PrincipalKind
from authsvc.core.service import Service
from authsvc.operations.choose_password import renew_hash
from authsvc.operations.deps import Deps
from authsvc.operations.throttle import address_key

MAX_SECRET = 1024
"""Characters of a password or credential; a longer one is refused before anything is computed."""
MAX_ACCOUNT = 2 * MAX_NAME + 1
"""Characters of the longest account: a project, `+` and a robot."""
IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - the name that docker's credential helpers store identity tokens under


REALM_KINDS = frozenset(CredentialKind)
"""What the token endpoint takes."""
ADMIN_KINDS = REALM_KINDS - {CredentialKind.REFRESH}
"""What the admin API takes: a refresh token gets access tokens, and nothing else (audit-log C32)."""
_NAMELESS = frozenset({CredentialKind.REFRESH})


class Refusal(StrEnum):
    """Why credentials were refused; callers are told that they were, and no more."""

    ANONYMOUS = "anonymous"
    UNREADABLE = "unreadable"
    UNKNOWN_ACCOUNT = "unknown_account"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of a reason
    UNKNOWN_CREDENTIAL = "unknown_credential"
    WRONG_KIND = "wrong_kind"
    WRONG_ACCOUNT = "wrong_account"
    EXPIRED = "expired"
    ADDRESS = "address"
    SERVICE = "service"
    SUPERSEDED = "superseded"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who asks, what is bound to them, and what their credential leaves of it, and which policy that rests on."""

    principal: Principal
    bindings: tuple[Binding, ...]
    basis: Basis
    kind: CredentialKind | None = None
    credential: Credential | None = None
    credential_version: int = 0

    @property
    def limits(self) -> tuple[Limit, ...] | None:
        """Return what the credential narrows itself to, None for nothing."""
        return None if self.credential is None else self.credential.limits

    @property
    def credential_id(self) -> str | None:
        """Return the public id of a machine credential."""
        return None if self.credential is None else self.credential.id

    @property
    def expires_at(self) -> datetime | None:
        """Return when the credential ends."""
        return None if self.credential is None else self.credential.expires_at


@dataclass(frozen=True, slots=True)
class Refused:
    """Credentials that were refused, as the log keeps it; `principal` is the account that was named."""

    reason: Refusal
    principal: Principal
    revision: int
    kind: CredentialKind | None = None
    credential_id: str | None = None


async def authenticate(
    deps: Deps,
    presented: Presented,
    *,
    address: Address | None,
    kinds: frozenset[CredentialKind],
    service: Service | None = None,
) -> Authenticated | Refused:
    """Return who asks; `kinds` are the credentials taken here, and `service` is the one that a refresh token must serve.

    Raises ThrottledError when a password was not evaluated, and UnavailableError when the database is needed and not there.
    """
    match presented:
        case NothingPresented():
            return Authenticated(ANONYMOUS, (), Basis(deps.memory.revision))
        case Unreadable():
            return Refused(Refusal.UNREADABLE, _unknown(deps, ""), deps.memory.revision)
        case BareSecret(secret, bare_kinds):
            return await _by_machine_secret(deps, None, secret, address, kinds & bare_kinds, service)
        case NameAndSecret(name, secret):
            return await _by_name(deps, name, secret, address, kinds, service)


async def _by_name(
    deps: Deps,
    name: str,
    secret: str,
    address: Address | None,
    kinds: frozenset[CredentialKind],
    service: Service | None,
) -> Authenticated | Refused:
    if not secret or len(secret) > MAX_SECRET or len(name) > MAX_ACCOUNT or not name.isprintable():
        return Refused(Refusal.UNREADABLE, _unknown(deps, name[:MAX_SECRET]), deps.memory.revision)
    if name in ("", IDENTITY_TOKEN_USER):
        return await _by_machine_secret(deps, None, secret, address, kinds & _NAMELESS, service)
    if looks_like_machine_secret(secret):
        return await _by_machine_secret(deps, name, secret, address, kinds, service)
    return await _by_password(deps, name, secret, address)


async def _by_machine_secret(
    deps: Deps,
    name: str | None,
    text: str,
    address: Address | None,
    kinds: frozenset[CredentialKind],
    service: Service | None,
) -> Authenticated | Refused:
    secret = parse_secret(text)
    if secret is None:
        return Refused(Refusal.UNKNOWN_CREDENTIAL, _unknown(deps, name or ""), deps.memory.revision)
    known = await deps.memory.credential(secret.id)
    credential = known.value
    if credential is None or not _is_right(deps, secret, credential):
        account = _unknown(deps, name or "")
        return Refused(Refusal.UNKNOWN_CREDENTIAL, account, known.revision, secret.kind, secret.id)
    reason, basis = await _mismatch(deps, name, known, credential, kinds, service)
    if reason is not None:
        return Refused(reason, credential.owner, basis.revision, credential.kind, credential.id)
    found = Authenticated(credential.owner, (), basis, credential.kind, credential)
    return await _admit(deps, found, address)


async def _mismatch(
    deps: Deps,
    name: str | None,
    known: Known[Credential | None],
    credential: Credential,
    kinds: frozenset[CredentialKind],
    service: Service | None,
) -> tuple[Refusal | None, Basis]:
    """Return why a right credential does not fit the request it came with, or None, and the policy that this rests on."""
    if credential.kind not in kinds:
        return Refusal.WRONG_KIND, known.basis
    if name is not None and not is_same_user(name, credential.owner.name):
        return Refusal.WRONG_ACCOUNT, known.basis
    if credential.kind is CredentialKind.REFRESH and service is not None:
        return await _misplaced(deps, known, credential, service)
    return None, known.basis


def _is_right(deps: Deps, secret: MachineSecret, credential: Credential) -> bool:
    matches = deps.digest.matches(secret.text, credential.digest, purpose="credential")
    return matches and secret.kind is credential.kind


async def _misplaced(
    deps: Deps, known: Known[Credential | None], credential: Credential, service: Service
) -> tuple[Refusal | None, Basis]:
    """Return whether a refresh token must not be used here: where they are off, or across an isolated service's border.

    INVARIANT: where the token was obtained is policy too, so it belongs to the basis (DESIGN 7, 8).
    """
    if not service.refresh_tokens:
        return Refusal.SERVICE, known.basis
    if credential.service == service.name:
        return None, known.basis
    origin = await deps.memory.service(credential.service or "")
    apart = service.isolated or origin.value is None or origin.value.isolated
    return (Refusal.SERVICE if apart else None), known.basis & origin.basis


async def _by_password(
    deps: Deps, name: str, password: str, address: Address | None
) -> Authenticated | Refused:
    known = await deps.memory.user(name)
    user, now = known.value, deps.now()
    fingerprint = _fingerprint(deps, user, name, password)
    if not deps.right_passwords.holds(fingerprint, now) and not await _is_right_password(
        deps, known, name, password, fingerprint, address
    ):
        reason = Refusal.UNKNOWN_ACCOUNT if user is None else Refusal.WRONG_PASSWORD
        account = _unknown(deps, name) if user is None else user.principal
        return Refused(reason, account, known.revision, CredentialKind.PASSWORD)
    if user is None:
        raise RuntimeError("a password was right for nobody")
    found = Authenticated(
        user.principal, (), known.basis, CredentialKind.PASSWORD, None, user.credential_version
    )
    return await _admit(deps, found, address)


async def _is_right_password(
    deps: Deps,
    known: Known[User | None],
    name: str,
    password: str,
    fingerprint: bytes,
    address: Address | None,
) -> bool:
    """Compute whether a password that is not remembered is right; the same cost, and the same count, for an unknown account."""
    user, now = known.value, deps.now()
    if deps.wrong_passwords.holds(fingerprint, now):
        return False
    key = address_key(address)
    attempt = (user_key(name), key)
    deps.throttle.check_passwords(attempt, now)
    deps.throttle.check_failures(("credentials", key), now)
    stored = None if user is None else user.password_hash
    right = await deps.password_checks.verify(
        deps.hasher, fingerprint, password=password, stored=stored, address=key
    )
    if right:
        is_first = not deps.right_passwords.holds(fingerprint, deps.now())
        deps.right_passwords.add(fingerprint, deps.now())
        if (
            is_first and user is not None and stored is not None
        ):  # not each of a thousand jobs that waited together
            await renew_hash(deps, user.principal, password, stored)
    else:
        deps.throttle.passwords.count(attempt, deps.now(), fingerprint=fingerprint)
        deps.wrong_passwords.add(fingerprint, deps.now())
    return right


async def _admit(deps: Deps, found: Authenticated, address: Address | None) -> Authenticated | Refused:
    """Hold a right credential against its own conditions and its owner's state, and add what is bound to the owner."""
    known = await deps.memory.principal_policy(found.principal)
    policy, credential = known.value, found.credential
    basis = found.basis & known.basis

    def refused(reason: Refusal) -> Refused:
        id_ = None if credential is None else credential.id
        return Refused(reason, found.principal, basis.revision, found.kind, id_)

    if not policy.exists or not policy.enabled:
        return refused(Refusal.DISABLED)
    if credential is None:
        if policy.credential_version != found.credential_version:
            return refused(Refusal.SUPERSEDED)
    elif credential.owner_version is not None and credential.owner_version != policy.credential_version:
        return refused(Refusal.SUPERSEDED)
    elif credential.expires_at is not None and deps.now() >= credential.expires_at:
        return refused(Refusal.EXPIRED)
    elif credential.cidrs and not is_within(address, credential.cidrs):
        return refused(Refusal.ADDRESS)
    return Authenticated(
        found.principal, policy.bindings, basis, found.kind, credential, policy.credential_version
    )


def _fingerprint(deps: Deps, user: User | None, name: str, password: str) -> bytes:
    """Return what a password is remembered by: it dies with the version of the account's credentials."""
    account = ("", user_key(name), 0) if user is None else (user.principal.id, "", user.credential_version)
    purpose = "\0".join(str(part) for part in ("password", *account))
    return deps.digest.digest(password, purpose=purpose)


def _unknown(deps: Deps, name: str) -> Principal:
    """Return how the log names an account that does not exist: people type passwords into the name's field."""
    if not name:
        return Principal(PrincipalKind.UNKNOWN, "", "")
    return Principal(PrincipalKind.UNKNOWN, deps.digest.digest(name, purpose="account").hex()[:32], "")
