"""What the log is searched for, and how a search is written: the parameters of `GET /audit` and the options of `audit query`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address

from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.kind import Kind, Outcome

PARAMETERS = (
    "actor",
    "kind",
    "project",
    "repository",
    "action",
    "outcome",
    "address",
    "jti",
    "since",
    "until",
)
MAX_TEXT = 512

_JTI = re.compile(r"[1-9][0-9]{0,8}\.(0|[1-9][0-9]{0,17})\.[\w-]{1,64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; None does not narrow. `since` is included, `until` is not.

    `kind` is one kind, or the beginning of several: `policy.*`. `jti` is a token's id, which names one event.
    """

    actor: str | None = None
    kind: str | None = None
    project: str | None = None
    repository: str | None = None
    action: str | None = None
    outcome: str | None = None
    address: str | None = None
    jti: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def seq(self) -> int | None:
        """Return the sequence number that `jti` carries: `<epoch>.<seq>.<nonce>`."""
        return None if self.jti is None else int(self.jti.split(".")[1])

    @property
    def kinds(self) -> tuple[str, ...] | None:
        """Return the kinds that are looked for."""
        if self.kind is None:
            return None
        if not self.kind.endswith(".*"):
            return (self.kind,)
        return tuple(kind.value for kind in Kind if kind.startswith(self.kind.removesuffix("*")))


def parse_filter(given: Mapping[str, str], *, prefix: str = "") -> Filter:
    """Return what texts by the names of PARAMETERS ask for.

    Raises InvalidInputError with every fault, each named by its parameter behind `prefix`.
    """
    faults: list[Fault] = []

    def read(name: str, parse: Callable[[str], str]) -> str | None:
        try:
            return None if name not in given else parse(given[name])
        except ValueError as error:
            faults.append(Fault(prefix + name, str(error)))
            return None

    def read_time(name: str) -> datetime | None:
        text = read(name, _time)
        return None if text is None else datetime.fromisoformat(text)

    wanted = Filter(
        actor=read("actor", _text),
        kind=read("kind", _kind),
        project=read("project", _text),
        repository=read("repository", _text),
        action=read("action", _text),
        outcome=read("outcome", _outcome),
        address=read("address", _address),
        jti=read("jti", _jti),
        since=read_time("since"),
        until=read_time("until"),
    )
    if faults:
        raise InvalidInputError(*faults)
    return wanted


def _text(text: str) -> str:
    if len(text) > MAX_TEXT or not text.isprintable():
        raise ValueError(f"must be printable text of {MAX_TEXT} characters at most")
    return text


def _kind(text: str) -> str:
    if not Filter(kind=text).kinds or (not text.endswith(".*") and text not in Kind._value2member_map_):
        raise ValueError("must be a kind of event, as token.issued, or the beginning of some, as policy.*")
    return text


def _outcome(text: str) -> str:
    if text not in Outcome._value2member_map_:
        raise ValueError(f"must be one of {', '.join(Outcome)}")
    return text


def _address(text: str) -> str:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise ValueError("must be an IP address") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _jti(text: str) -> str:
    if _JTI.fullmatch(text) is None:
        raise ValueError("must be the jti of a token, as 1.42.rEcy9fsoW8I")
    return text


def _time(text: str) -> str:
    try:
        if _TIME.fullmatch(text) is None:
            raise ValueError  # noqa: TRY301 - told as every other wrong time
        return datetime.fromisoformat(text.upper()).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError("must be a time of RFC 3339 with its offset, as 2026-11-24T08:00:00Z") from None
