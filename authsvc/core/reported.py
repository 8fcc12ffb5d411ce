"""What a registry says happened there, and whether a token of ours covers it.

A report is the registry's word: it is logged as that, under the registry's robot, and held against the grants in the log.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from authsvc.core.canonical import Json
from authsvc.core.event import MalformedEntryError, from_microseconds, microseconds
from authsvc.core.kind import Kind

LEEWAY = timedelta(seconds=60)
"""How much longer than `exp` Distribution accepts a token (token-protocol B1)."""
SKEW = timedelta(seconds=60)
"""How far a registry's clock may be from ours."""
SLOWEST = 1024 * 1024
"""Bytes a second: a registry reports when a transfer is over, and looked at the token when it began."""
LONGEST = timedelta(days=1)
"""How long a transfer takes at most, whatever size is reported: else one that is made up would let any old token cover it."""


class Action(StrEnum):
    """What is done to a repository."""

    PULL = "pull"
    PUSH = "push"
    MOUNT = "mount"
    DELETE = "delete"

    @property
    def kind(self) -> Kind:
        """Return the kind of the event that it is logged as."""
        return Kind(f"registry.{self}")


@dataclass(frozen=True, slots=True)
class Reported:
    """One operation as a registry reports it (Distribution, notifications/event.go); empty texts were not given.

    `id` is the registry's own, and the same when it reports again. `actor` is the `sub` of the token, empty for anonymous.
    `source` is the repository a blob was mounted from. `time` is None where the registry's cannot be believed.
    """

    id: str
    action: Action
    repository: str
    source: str = ""
    time: datetime | None = None
    actor: str = ""
    tag: str = ""
    digest: str = ""
    media_type: str = ""
    size: int | None = None
    method: str = ""
    address: str = ""
    agent: str = ""
    host: str = ""
    request: str = ""
    instance: str = ""
    node: str = ""

    @property
    def moves_nothing(self) -> bool:
        """Say whether it only asked for a thing's existence: clients do before every transfer, and it is no operation."""
        return self.method == "HEAD"

    def entry(self) -> dict[str, Json]:
        """Return the member `reported` of its event; what was not given is left out."""
        entry: dict[str, Json] = {"id": self.id, "action": self.action, "repository": self.repository}
        # The actor is always there: empty, it says that the registry saw nobody.
        entry["actor"] = self.actor
        if self.time is not None:
            entry["time"] = microseconds(self.time)
        if self.size is not None:
            entry["size"] = self.size
        texts = {
            "from": self.source,
            "tag": self.tag,
            "digest": self.digest,
            "media_type": self.media_type,
            "method": self.method,
            "address": self.address,
            "agent": self.agent,
            "host": self.host,
            "request": self.request,
            "instance": self.instance,
            "node": self.node,
        }
        entry.update({name: text for name, text in texts.items() if text})
        return entry


@dataclass(frozen=True, slots=True)
class Operation:
    """What matters of a logged report when it is held against grants; `service` is empty where the reporter named none."""

    service: str
    subject: str
    needs: tuple[tuple[str, str], ...]
    """Pairs of repository and action, which one token must grant together."""
    time: datetime
    transfer: timedelta

    @property
    def repository(self) -> str:
        """Return the repository that it was done to."""
        return self.needs[0][0]

    @property
    def latest_start(self) -> datetime:
        """Return when the token must have been issued by, at the latest."""
        return self.time + SKEW

    @property
    def earliest_end(self) -> datetime:
        """Return how long the token must have lasted, at the least."""
        return self.time - self.transfer - LEEWAY - SKEW


def operation_of(entry: Mapping[str, Json]) -> Operation:
    """Return the operation of an entry; raises MalformedEntryError when it is none."""
    try:
        return _operation(entry)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedEntryError("no report of an operation") from error


def _operation(entry: Mapping[str, Json]) -> Operation:
    reported = entry["reported"]
    if not isinstance(reported, Mapping):
        raise TypeError
    time, size = reported.get("time", entry["time"]), reported.get("size", 0)
    if not isinstance(time, int) or not isinstance(size, int):
        raise TypeError
    return Operation(
        service=str(entry["service"]),
        subject=str(reported["actor"]),
        needs=tuple(_needs(reported)),
        time=from_microseconds(time),
        transfer=min(timedelta(seconds=size // SLOWEST), LONGEST),
    )


def _needs(reported: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield what a registry wants of a token: a mount is a push that reads another repository (token-protocol B1)."""
    action, repository = Action(str(reported["action"])), str(reported["repository"])
    if action is not Action.MOUNT:
        yield repository, action
        return
    yield repository, Action.PUSH
    if "from" in reported:
        yield str(reported["from"]), Action.PULL


def is_covered(operation: Operation, issued: Mapping[str, Json]) -> bool:
    """Say whether the token of a `token.issued` entry allowed the operation when it happened; an odd entry allows nothing."""
    token, grants = issued.get("token"), issued.get("grants")
    if operation.service not in ("", issued.get("service")) or not isinstance(token, Mapping):
        return False
    begins, ends = token.get("nbf"), token.get("exp")
    if token.get("sub") != operation.subject or not isinstance(begins, int) or not isinstance(ends, int):
        return False
    if begins > operation.latest_start.timestamp() or ends < operation.earliest_end.timestamp():
        return False
    granted = _granted(grants)
    return all(
        not {action, "*"}.isdisjoint(granted.get(repository, ())) for repository, action in operation.needs
    )


def _granted(grants: Json) -> dict[str, set[str]]:
    """Return the actions that grants allow, by repository; the same one may have been asked for twice."""
    granted: dict[str, set[str]] = {}
    for grant in grants if isinstance(grants, list) else ():
        if isinstance(grant, Mapping) and grant.get("type") == "repository":
            actions = grant.get("granted", {})
            if isinstance(actions, Mapping):
                granted.setdefault(str(grant.get("as", grant.get("name"))), set()).update(actions)
    return granted
