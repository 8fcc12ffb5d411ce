"""Events as OCSF (Open Cybersecurity Schema Framework) 1.8 has them, for security data lakes and SIEMs.

Nothing is lost: `raw_data` is the entry as it was hashed, and `metadata.sequence` its place, by which a consumer finds gaps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from authsvc.core.canonical import Json
from authsvc.core.kind import Kind, Outcome

VERSION = "1.8.0"
OTHER = 99
SUCCESS, FAILURE = 1, 2
INFORMATIONAL, LOW = 1, 2
_USER_TYPES = {"user": 1, "robot": 4, "system": 3}  # User, Service (since 1.3), System

Object = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class _Class:
    """An event class with what it must have of this event beside what every event has."""

    uid: int
    activity: int
    own: Object = field(default_factory=dict)


def to_ocsf(fields: Object, *, seq: int, entry: str) -> dict[str, Json]:
    """Return an entry of the log as an OCSF event."""
    kind, outcome, time = str(fields["kind"]), str(fields["outcome"]), fields["time"]
    assert isinstance(time, int)  # every entry of this schema has it
    found = _classify(kind, fields)
    refused = outcome == Outcome.REFUSED
    event: dict[str, Json] = {
        "metadata": {
            "version": VERSION,
            "product": {"name": "authsvc", "vendor_name": "authsvc"},
            "log_name": "audit",
            "event_code": kind,
            "uid": str(fields["nonce"]),
            "sequence": seq,
        },
        "category_uid": found.uid // 1000,
        "class_uid": found.uid,
        "activity_id": found.activity,
        "type_uid": found.uid * 100 + found.activity,
        "time": time // 1000,
        "severity_id": LOW if refused else INFORMATIONAL,
        "status_id": FAILURE if refused else SUCCESS,
        "status_code": outcome,
        "actor": {"user": _user(fields["actor"])},
        "src_endpoint": _endpoint(fields),
        "raw_data": entry,
        **found.own,
    }
    if found.activity == OTHER:
        event["activity_name"] = kind
    if "reason" in fields:
        event["status_detail"] = str(fields["reason"])
    return event


def _classify(kind: str, fields: Object) -> _Class:
    """Return the class of a kind, by what it is about; what has none is a base event."""
    about, _, verb = kind.rpartition(".")
    family, _, noun = about.partition(".")
    if kind == Kind.TOKEN_ISSUED:
        return _Class(3003, 1, {"user": _user(fields["actor"]), "privileges": _privileges(fields)})
    if family in ("token", "auth"):
        service = {"name": str(fields.get("service") or "authsvc")}
        return _Class(3002, 1, {"user": _user(fields["actor"]), "service": service})
    if family in ("policy", "credential", "key"):
        return _classify_change(noun or family, verb, _object(fields.get("state")))
    if family == "service":
        return _Class(6002, _by(verb, started=3, stopped=4), {"app": {"name": "authsvc"}})
    if family in ("registry", "audit"):
        activity = _by(verb, pull=2, push=1, mount=1, delete=4, queried=2, exported=2, pruned=4)
        return _Class(6003, activity, {"api": {"operation": kind}})
    return _Class(0, OTHER)


def _classify_change(noun: str, verb: str, state: Object) -> _Class:
    """Return the class of a change of policy, whose complete new state is known."""
    match noun:
        case "user":
            return _Class(3001, _by(verb, created=1, deleted=6), {"user": _named(state)})
        case "credential":
            return _Class(3001, OTHER, {"user": _user(state.get("owner", state))})
        case "group":
            return _Class(3006, _by(verb, created=6, deleted=5), {"group": _named(state)})
        case "membership":
            own = {name: _named(_object(state.get(name))) for name in ("group", "user")}
            return _Class(3006, _by(verb, created=3, deleted=4), own)
        case "binding":
            return _classify_binding(verb, state)
        case _:
            entity = {**_named(state), "type": noun}
            return _Class(3004, _by(verb, created=1, changed=3, retired=3, deleted=4), {"entity": entity})


def _classify_binding(verb: str, state: Object) -> _Class:
    """Return who is given what: the privilege is the role, on a project or on the system."""
    subject = _object(state.get("subject"))
    privileges: list[Json] = [f"{state.get('role')} on {state.get('project') or 'the system'}"]
    if subject.get("kind") == "group":
        own: Object = {"group": _named(subject), "privileges": privileges}
        return _Class(3006, _by(verb, created=1, deleted=2), own)
    return _Class(3005, _by(verb, created=3, deleted=4), {"user": _user(subject), "privileges": privileges})


def _by(verb: str, **activities: int) -> int:
    return activities.get(verb, OTHER)


def _privileges(fields: Object) -> list[Json]:
    grants = fields.get("grants", [])
    return [
        f"{grant['type']}:{grant['name']}:{action}"
        for grant in (grants if isinstance(grants, list) else [])
        for action in grant.get("granted", {})
    ]


def _user(actor: Json) -> dict[str, Json]:
    who = _object(actor)
    return {**_named(who), "type_id": _USER_TYPES.get(str(who.get("kind")), 0)}


def _named(thing: Object) -> dict[str, Json]:
    """Return an entity, which has a name or an id at least; the anonymous principal has neither."""
    named: dict[str, Json] = {
        theirs: thing[ours]
        for ours, theirs in (("name", "name"), ("project", "name"), ("id", "uid"))
        if thing.get(ours)
    }
    return named or {"name": str(thing.get("kind", "unknown"))}


def _endpoint(fields: Object) -> dict[str, Json]:
    address = fields.get("address")
    return {"svc_name": "authsvc"} if address is None else {"ip": address}


def _object(value: Json) -> Object:
    return value if isinstance(value, Mapping) else {}
