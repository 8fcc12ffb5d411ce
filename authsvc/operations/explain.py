"""Explaining: the decision that a token request would get, unsigned and with its reasons, for any account, address and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import (
    find_credential,
    find_only_service,
    find_principal_policy,
    find_robot_principal,
    find_service,
    find_user,
    find_visibility,
)
from authsvc.core.credential import Credential, CredentialKind
from authsvc.core.decide import Circumstances, Grant, Verdict, decide, is_within, refuse
from authsvc.core.errors import Fault, ForbiddenError, InvalidInputError, UnknownServiceError
from authsvc.core.names import user_key
from authsvc.core.principal import ANONYMOUS, Address, Principal, Snapshot, Visibility
from authsvc.core.reason import Reason
from authsvc.core.repository import parse_repository
from authsvc.core.scope import Scope, parse_scope
from authsvc.core.service import Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `account` empty is anonymous, `at` None is now, `service` empty is the only one there is.

    `at` asks the policy of today about another time; `credential` is the public id of one of the account's personal access
    tokens or robot secrets, whose limits, addresses and end then count.
    """

    account: str
    service: str
    scopes: Sequence[str]
    address: Address | None = None
    at: datetime | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One scope as it was asked, and the answer to it."""

    scope: str
    grant: Grant


async def explain(deps: Deps, actor: Actor, question: Question) -> list[Explained]:
    """Return the answer to each scope, in order.

    Everybody may ask about himself and about anonymous, and is told no more of projects than a token tells; who holds `user:read`
    may ask about anybody, and is told everything.
    Raises ForbiddenError, and UnknownServiceError for an unknown service.
    """
    async with deps.database.read() as read:
        knows_all = _demand(await read_authority(deps, read, actor), actor, question.account)
        driver = await read.driver()
        service = (
            await (find_service(driver, question.service) if question.service else find_only_service(driver))
        ).value
        if service is None:
            if not question.service:
                raise UnknownServiceError("name a service: there is not one only")
            raise UnknownServiceError(f"there is no service {question.service!r}")
        circumstances = Circumstances(service.name, question.address, question.at or deps.now())
        principal = await _find_principal(read, question.account)
        credential = await _find_credential(read, principal, question.credential)
        asked = [(text, parse_scope(text)) for text in question.scopes]
        projects = await _find_projects(read, [scope for _, scope in asked if scope], service)
        snapshot = await _read_snapshot(read, principal, projects, credential)
    barred = _what_bars(principal, credential, circumstances)
    return [
        Explained(
            text,
            _refuse_text(text)
            if scope is None
            else refuse(scope, barred)
            if barred is not None
            else _decide(snapshot, scope, service, circumstances, knows_all=knows_all),
        )
        for text, scope in asked
    ]


def _demand(authority: Authority, actor: Actor, account: str) -> bool:
    """Return whether the actor may know of every account and project; raises ForbiddenError unless he may ask about this one."""
    if authority.may("user:read", SYSTEM_WIDE):
        return True
    if account and user_key(account) != user_key(actor.who.principal.name):
        raise ForbiddenError("this needs the permission user:read, as it is about somebody else")
    authority.demand_over_oneself("user:read")
    return False


def _decide(
    snapshot: Snapshot, scope: Scope, service: Service, circumstances: Circumstances, *, knows_all: bool
) -> Grant:
    """Return the decision; to who does not know every project, one that does not exist is refused as a private one is."""
    (grant,) = decide(snapshot, [scope], service=service, circumstances=circumstances)
    if knows_all or all(verdict.reason is not Reason.UNKNOWN_PROJECT for verdict in grant.verdicts):
        return grant
    private = replace(snapshot, projects=dict.fromkeys(snapshot.projects, Visibility.PRIVATE))
    (pretended,) = decide(private, [scope], service=service, circumstances=circumstances)
    # Who would be granted something there is bound on the whole system: a token tells him which projects exist.
    told = {verdict.action: verdict for verdict in pretended.verdicts if not verdict.allowed}
    return replace(grant, verdicts=tuple(told.get(verdict.action, verdict) for verdict in grant.verdicts))


def _refuse_text(text: str) -> Grant:
    """Return the refusal of what is no scope, each action that it seems to ask by its own name."""
    asked = text.rpartition(":")[2] if text.count(":") > 1 else ""
    actions = sorted({action for action in asked.split(",") if action})
    refused = [Verdict(action, allowed=False, reason=Reason.MALFORMED_SCOPE) for action in actions or [""]]
    return Grant(Scope("", text, tuple(actions)), tuple(refused))


def _what_bars(
    principal: Principal | None, credential: Credential | None, circumstances: Circumstances
) -> Reason | None:
    """Return why a token request would be refused as a whole, before the rule is asked."""
    if principal is None:
        return Reason.UNKNOWN_ACCOUNT
    if credential is None:
        return None
    if credential.expires_at is not None and circumstances.time >= credential.expires_at:
        return Reason.EXPIRED
    if credential.cidrs and not is_within(circumstances.address, credential.cidrs):
        return Reason.ADDRESS
    return None


async def _find_principal(read: Read, account: str) -> Principal | None:
    if not account:
        return ANONYMOUS
    driver = await read.driver()
    if "+" in account:
        return await find_robot_principal(driver, account)
    user = (await find_user(driver, user_key(account))).value
    return None if user is None else user.principal


async def _find_credential(read: Read, principal: Principal | None, id_: str | None) -> Credential | None:
    if id_ is None:
        return None
    credential = (await find_credential(await read.driver(), id_)).value
    if credential is None or credential.owner != principal or credential.kind is CredentialKind.REFRESH:
        raise InvalidInputError(
            Fault("/credential", "is no personal access token or robot secret of the account")
        )
    return credential


async def _find_projects(
    read: Read, scopes: Sequence[Scope], service: Service
) -> dict[str, Visibility | None]:
    driver = await read.driver()
    repositories = [parse_repository(scope.name.removeprefix(service.name_prefix)) for scope in scopes]
    names = {repository.project for repository in repositories if repository is not None}
    return {name: (await find_visibility(driver, name)).value for name in sorted(names)}


async def _read_snapshot(
    read: Read,
    principal: Principal | None,
    projects: Mapping[str, Visibility | None],
    credential: Credential | None,
) -> Snapshot:
    if principal is None or principal == ANONYMOUS:
        return Snapshot(ANONYMOUS, projects=projects)
    policy = (await find_principal_policy(await read.driver(), principal)).value
    limits = None if credential is None else credential.limits
    return Snapshot(principal, policy.bindings, policy.enabled, projects, limits)
