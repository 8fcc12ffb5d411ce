"""Taking down what a registry reports: each operation once, answered only when it is durable.

The events and their ids go in by one transaction, and not by the journal, which knows no other writes: so a report that is sent
again is recognised, whatever became of the first answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from authsvc.adapters.metrics import observe_reported
from authsvc.adapters.postgres.database import Report
from authsvc.adapters.postgres.policy import find_only_service, find_service
from authsvc.adapters.postgres.reported import find_known_ids, insert_ids, note_heard
from authsvc.core.canonical import Json
from authsvc.core.decide import Circumstances
from authsvc.core.errors import UnknownServiceError
from authsvc.core.event import Event, Requester
from authsvc.core.permission import Permission
from authsvc.core.principal import Snapshot
from authsvc.core.reported import Reported
from authsvc.operations.act import SYSTEM_WIDE, Actor, Authority, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.throttle import address_key

PERMISSION = "registry:report"
ORDINARY = 1024
"""Characters of what an operation is reported with, and half of what it takes in the log."""
_REPORT = Permission(*PERMISSION.split(":"))


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many reports were logged, were known, and were of nothing that is logged."""

    recorded: int
    repeated: int
    ignored: int


def demand_to_report(deps: Deps, actor: Actor) -> None:
    """Raise ForbiddenError for who may report for no service at all, before a large body is read; it decides nothing else.

    Raises ThrottledError for who has reported too much lately.
    """
    snapshot = Snapshot(actor.who.principal, actor.who.bindings, limits=actor.who.limits)
    circumstances = Circumstances("", actor.address, deps.now())
    named = {service for binding in actor.who.bindings for service in binding.services}
    authorities = [
        Authority(snapshot, replace(circumstances, service=service)) for service in sorted({"", *named})
    ]
    if not any(authority.may(PERMISSION, SYSTEM_WIDE) for authority in authorities):
        authorities[0].demand(PERMISSION, SYSTEM_WIDE)
    deps.throttle.check_reported(_credential(actor), deps.now(), address=address_key(actor.address))


def _credential(actor: Actor) -> str:
    """Return what is counted by: a registry's secret; two of a robot are two, so that a stolen one does not silence the other."""
    return actor.who.credential_id or actor.who.principal.id


def _weigh(reported: Reported) -> int:
    """Return for how many ordinary operations this one takes disk."""
    return 1 + len(str(reported.entry())) // ORDINARY


async def report_operations(
    deps: Deps, actor: Actor, service: str, *, reported: Sequence[Reported], ignored: int = 0
) -> Receipt:
    """Log what the registry of `service` reports, and return once it is durable.

    An empty `service` is the one that the actor is bound to report for, or the only one there is.
    Raises ForbiddenError when the actor does not report for this service, UnknownServiceError, and UnavailableError when it may
    not be in the log: the registry sends it again, and what is known is not logged twice.
    """
    weight = max(1, ignored + sum(map(_weigh, reported)))
    deps.throttle.count_reported(_credential(actor), deps.now(), weight=weight)
    operations = [each for each in reported if not each.moves_nothing]
    ignored += len(reported) - len(operations)
    by_id = {each.id: each for each in reversed(operations)}  # of two under one id, the first
    async with deps.database.report() as report:
        name = await _demand_service(deps, report, actor, service)
        now = deps.now()
        if name:
            await note_heard(report, name, now)
        known = await find_known_ids(report, name, list(by_id))
        fresh = [each for each in reversed(by_id.values()) if each.id not in known]
        if fresh:
            events = [
                _describe(each, service=name, by=actor.by, nonce=deps.new_nonce(), time=now) for each in fresh
            ]
            first = await report.append(events)
            await insert_ids(report, name, [each.id for each in fresh], first=first, at=now)
    receipt = Receipt(len(fresh), len(operations) - len(fresh), ignored)
    observe_reported(receipt.recorded, receipt.repeated, receipt.ignored)
    return receipt


async def _demand_service(deps: Deps, report: Report, actor: Actor, name: str) -> str:
    """Return the service's own name, empty where a reporter for all of several names none.

    Whoever may not report for a service is not told whether it exists.
    """
    driver = await report.driver()
    name = name or _bound_service(actor)
    service = (await (find_service(driver, name) if name else find_only_service(driver))).value
    asked = name if service is None else service.name
    authority = await read_authority(deps, report, actor)
    replace(authority, circumstances=replace(authority.circumstances, service=asked)).demand(
        PERMISSION, SYSTEM_WIDE
    )
    if service is None and name:
        raise UnknownServiceError("name a registered service: ?service=NAME")
    return asked


def _bound_service(actor: Actor) -> str:
    """Return the one service that the actor is bound to report for; empty when there are several, or no such condition."""
    reporting = [binding for binding in actor.who.bindings if binding.role.covers(_REPORT)]
    named = {service for binding in reporting for service in binding.services}
    return named.pop() if len(named) == 1 and all(binding.services for binding in reporting) else ""


def _describe(reported: Reported, *, service: str, by: Requester, nonce: str, time: datetime) -> Event:
    body: dict[str, Json] = {"service": service, "reported": reported.entry()}
    return Event(reported.action.kind, time, nonce, by, body=body)
