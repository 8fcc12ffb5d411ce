"""Explaining: the decision that a token request would get, unsigned and with its reasons, for any account, address and time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.policy import (
    find_only_service,
    find_principal_policy,
    find_robot_principal,
    find_service,
    find_user,
    find_visibility,
)
from authsvc.core.decide import Circumstances, Grant, Reason, Verdict, decide
from authsvc.core.errors import NotFoundError, UnknownServiceError
from authsvc.core.names import user_key
from authsvc.core.principal import ANONYMOUS, Address, Principal, Snapshot
from authsvc.core.repository import parse_repository
from authsvc.core.scope import Scope, parse_scope
from authsvc.core.service import Service
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.deps import Deps


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `account` empty is anonymous, `at` None is now, `service` empty is the only one there is."""

    account: str
    service: str
    scopes: Sequence[str]
    address: Address | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One scope as it was asked, and the answer to it."""

    scope: str
    grant: Grant


async def explain(deps: Deps, actor: Actor, question: Question) -> list[Explained]:
    """Return the answer to each scope, in order; about oneself, or about anybody with `user:read`.

    Without `user:read` a project that does not exist is answered as one that nothing is bound on.
    Raises NotFoundError for an unknown account and UnknownServiceError for an unknown service.
    """
    async with deps.database.read() as read:
        authority = await read_authority(deps, read, actor)
        if user_key(question.account) == user_key(actor.who.principal.name):
            authority.demand_over_oneself("user:read")
        else:
            authority.demand("user:read", SYSTEM_WIDE)
        knows_all = authority.may("user:read", SYSTEM_WIDE)
        driver = await read.driver()
        known = await (
            find_service(driver, question.service) if question.service else find_only_service(driver)
        )
        if known.value is None:
            raise UnknownServiceError(f"there is no service {question.service!r}")
        principal = await _find_principal(read, question.account)
        asked = [(text, parse_scope(text)) for text in question.scopes]
        snapshot = await _snapshot(read, principal, [scope for _, scope in asked if scope], known.value)
    circumstances = Circumstances(known.value.name, question.address, question.at or deps.now())
    grants = [_answer(snapshot, text, scope, known.value, circumstances) for text, scope in asked]
    if not knows_all:
        grants = [_hide_projects(grant) for grant in grants]
    return [Explained(text, grant) for (text, _), grant in zip(asked, grants, strict=True)]


def _hide_projects(grant: Grant) -> Grant:
    """Return the answer as if every project existed: which ones do is told to nobody by asking about himself."""
    verdicts = [
        replace(verdict, reason=Reason.NO_BINDING) if verdict.reason is Reason.UNKNOWN_PROJECT else verdict
        for verdict in grant.verdicts
    ]
    return replace(grant, verdicts=tuple(sorted(verdicts, key=lambda verdict: verdict.action)))


def _answer(
    snapshot: Snapshot, text: str, scope: Scope | None, service: Service, circumstances: Circumstances
) -> Grant:
    if scope is None:
        refused = Verdict("", allowed=False, reason=Reason.MALFORMED_NAME)
        return Grant(Scope("", text, ()), (refused,))
    return decide(snapshot, [scope], service=service, circumstances=circumstances)[0]


async def _find_principal(read: Read, account: str) -> Principal:
    if not account:
        return ANONYMOUS
    driver = await read.driver()
    if "+" in account:
        robot = await find_robot_principal(driver, account)
        if robot is not None:
            return robot
    user = (await find_user(driver, user_key(account))).value
    if user is None:
        raise NotFoundError("there is no such account")
    return user.principal


async def _snapshot(read: Read, principal: Principal, scopes: Sequence[Scope], service: Service) -> Snapshot:
    driver = await read.driver()
    repositories = [parse_repository(scope.name.removeprefix(service.name_prefix)) for scope in scopes]
    names = {repository.project for repository in repositories if repository is not None}
    projects = {name: (await find_visibility(driver, name)).value for name in sorted(names)}
    if principal == ANONYMOUS:
        return Snapshot(principal, projects=projects)
    policy = (await find_principal_policy(driver, principal)).value
    return Snapshot(principal, policy.bindings, policy.enabled, projects)
