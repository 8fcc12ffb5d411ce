"""The route that registries report to, and the envelopes of Distribution (notifications/event.go, media types v1 and v2).

Whoever sends anything but 2xx or 3xx is sent the same again for ever, and nothing behind it. So what a registry's clients have a
say in (a user agent of a megabyte, a tag, a time) is cut or left out; only what no registry sends is refused.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from authsvc.core.canonical import MAX_INTEGER
from authsvc.core.reported import Action, Reported
from authsvc.faces.admin.exchange import ActorDep, DepsDep, answer_one
from authsvc.faces.admin.strict_route import StrictRoute, UnreadableError
from authsvc.faces.answers import ReceiptView
from authsvc.faces.http import printable
from authsvc.operations.report_operations import demand_to_report, report_operations

PATH = "/events"
MAX_BODY = 8 * 1024 * 1024
"""A request's head may have a megabyte at a registry, and each of its bytes six in JSON: what is refused blocks its queue."""
MAX_STRUCTURE = 256 * 1024
"""Bytes of a body outside its texts: clients have a say in few and long texts, and millions of values hold up everybody."""
MAX_EVENTS = 256
"""Events of one envelope; Distribution sends one, and they are logged under one holding of the log's lock."""
MAX_FAULTS = 20
MIN_YEAR, MAX_YEAR = 1971, 2199
MEDIA_TYPES = (
    "application/vnd.docker.distribution.events.v1+json",
    "application/vnd.docker.distribution.events.v2+json",
    "application/json",
)

# Possessive, and the last text need not end: so it looks at each byte once, whatever is sent.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)

router = APIRouter(tags=["events"], route_class=StrictRoute)


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must hold no control characters")
    return value


def _loose(most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: printable(value, most) if isinstance(value, str) else "")


def _size(value: object) -> object:
    return value if isinstance(value, int) and 0 <= value <= MAX_INTEGER else None


def _time(value: object) -> datetime | None:
    """Return a time of RFC 3339, to the microsecond; None where it is none, or of a clock that was never set."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or time.tzinfo is None or not MIN_YEAR <= time.year <= MAX_YEAR:
            return None
        return time.astimezone(UTC)
    except ValueError:
        return None


Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain)]
Repository = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_plain)]
Loose = Annotated[str, _loose(256)]


class _Part(BaseModel):
    """A part of a report; members that are not known are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Target(_Part):
    """What it was done to."""

    repository: Repository
    source: Annotated[Repository | None, Field(alias="fromRepository")] = None
    tag: Loose = ""
    digest: Loose = ""
    media_type: Annotated[Loose, Field(alias="mediaType")] = ""
    size: Annotated[int | None, BeforeValidator(_size)] = None


class ClientRequest(_Part):
    """The request that did it."""

    id: Loose = ""
    addr: Loose = ""
    host: Loose = ""
    method: Loose = ""
    useragent: Loose = ""


class ReportedActor(_Part):
    """Who did it: the `sub` of the token, nothing where nobody was asked."""

    name: Annotated[str, _loose(512)] = ""


class Source(_Part):
    """The registry's process."""

    addr: Loose = ""
    instance: Annotated[Loose, Field(alias="instanceID")] = ""


class Notification(_Part):
    """One operation."""

    id: Id
    action: Action
    target: Target
    timestamp: Annotated[datetime | None, BeforeValidator(_time)] = None
    request: ClientRequest = ClientRequest()
    actor: ReportedActor = ReportedActor()
    source: Source = Source()

    def reported(self) -> Reported:
        """Return it without its form."""
        return Reported(
            id=self.id,
            action=self.action,
            repository=self.target.repository,
            source=self.target.source or "",
            time=self.timestamp,
            actor=self.actor.name,
            tag=self.target.tag,
            digest=self.target.digest,
            media_type=self.target.media_type,
            size=self.target.size,
            method=self.request.method,
            address=self.request.addr,
            agent=self.request.useragent,
            host=self.request.host,
            request=self.request.id,
            instance=self.source.instance,
            node=self.source.addr,
        )


class _Unknown(_Part):
    """Something that is none of the four operations."""

    action: str


class Envelope(BaseModel):
    """What a registry sends: one operation or more, of any of its repositories."""

    events: Annotated[list[dict[str, Any]], Field(max_length=MAX_EVENTS)]


class EnvelopeDocument(BaseModel):
    """The envelope as it is documented."""

    events: Annotated[list[Notification], Field(max_length=MAX_EVENTS)]


_EXAMPLE = {
    "events": [
        {
            "id": "7337ac15-6a73-48fc-8740-dd5b986bc95a",
            "timestamp": "2026-11-23T21:00:06.88573395Z",
            "action": "pull",
            "target": {"repository": "acme/app", "tag": "1", "digest": f"sha256:{'0' * 64}", "size": 423},
            "request": {"addr": "192.0.2.7:44122", "method": "GET", "useragent": "skopeo/1.9.3"},
            "actor": {"name": "alice"},
            "source": {"instanceID": "ec750372-8db1-4428-8636-3f2718aade46"},
        }
    ]
}
_BODY = {"schema": EnvelopeDocument.model_json_schema(), "example": _EXAMPLE}
_REQUEST_BODY = {"required": True, "content": dict.fromkeys(MEDIA_TYPES, _BODY)}


@router.post(PATH, response_model=ReceiptView, openapi_extra={"requestBody": _REQUEST_BODY})
async def report_events(
    request: Request,
    deps: DepsDep,
    actor: ActorDep,
    service: Annotated[
        str,
        Query(
            max_length=255,
            description="Whose registry reports; default: the service that you are bound to report for, or the only one.",
        ),
    ] = "",
) -> JSONResponse:
    """Take what a registry's notifications report: answered when it is in the log, each operation once."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise UnreadableError(415, f"send the body as {' or '.join(MEDIA_TYPES)}")
    demand_to_report(deps, actor)
    reported, ignored = read_envelope(await request.body())
    receipt = await report_operations(deps, actor, service, reported=reported, ignored=ignored)
    return answer_one(
        {"recorded": receipt.recorded, "repeated": receipt.repeated, "ignored": receipt.ignored}
    )


def read_envelope(body: bytes) -> tuple[list[Reported], int]:
    """Return the operations of an envelope, and how many of its events are none of the four.

    Raises RequestValidationError for what no registry sends, UnreadableError for what is no JSON or too much of it.
    """
    if len(body) > MAX_STRUCTURE and len(_TEXT.sub(b"", body)) > MAX_STRUCTURE:
        raise UnreadableError(413, "the body holds more values than an envelope of so many events has")
    try:
        envelope = Envelope.model_validate(from_json(body, allow_inf_nan=False))
    except ValidationError as error:
        raise _refuse(error) from error
    except ValueError as error:
        raise UnreadableError(400, "the body is no JSON in UTF-8") from error
    reported: list[Reported] = []
    for at, event in enumerate(envelope.events):
        try:
            if _Unknown.model_validate(event).action in Action._value2member_map_:
                reported.append(Notification.model_validate(event).reported())
        except ValidationError as error:
            raise _refuse(error, "events", at) from error
    return reported, len(envelope.events) - len(reported)


def _refuse(error: ValidationError, *place: str | int) -> RequestValidationError:
    faults = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    return RequestValidationError([{**fault, "loc": ("body", *place, *fault["loc"])} for fault in faults])
