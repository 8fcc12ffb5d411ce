"""Events as OCSF 1.8: what its schema requires of each class is there, and nothing of the entry is lost."""

from datetime import UTC, datetime

import pytest

from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind, Outcome
from authsvc.core.ocsf import to_ocsf
from authsvc.core.principal import ANONYMOUS, SYSTEM, Principal, PrincipalKind

NOW = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
ALICE = Principal(PrincipalKind.USER, "a" * 16, "alice")
STATE: dict[str, Json] = {
    "id": "b" * 16, "name": "bob", "role": "reader", "project": "acme",
    "subject": {"kind": "robot", "id": "c" * 16, "name": "acme+ci"}, "owner": {"kind": "user", "id": "d" * 16, "name": "dora"},
    "user": {"id": "b" * 16, "name": "bob"}, "group": {"id": "e" * 16, "name": "team"},
}  # fmt: skip
GRANTS: list[Json] = [
    {"type": "repository", "name": "acme/app", "granted": {"pull": None}, "refused": {"push": "no_binding"}}
]

_ALWAYS = {"metadata", "category_uid", "class_uid", "activity_id", "type_uid", "time", "severity_id"}
_REQUIRED = {
    0: set(), 3001: {"user"}, 3002: {"user", "service"}, 3003: {"user", "privileges"}, 3004: {"entity"}, 3005: {"user"},
    3006: {"group"}, 6002: {"app"}, 6003: {"actor", "api", "src_endpoint"},
}  # fmt: skip
"""By class: what the schema (github.com/ocsf/ocsf-schema, events/iam and events/application) requires of it."""
_ACTIVITIES = {3001: 12, 3002: 7, 3003: 3, 3004: 13, 3005: 4, 3006: 9, 6002: 8, 6003: 4}
"""By class: its highest activity but 99, other."""


@pytest.mark.parametrize("by", [Requester(ALICE, "192.0.2.1"), Requester(ANONYMOUS), Requester(SYSTEM)])
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_what_its_class_requires(kind: Kind, by: Requester) -> None:
    """Each kind is of a class of the schema, with its required attributes, its own activities and coherent numbers."""
    body: dict[str, Json] = {"state": STATE, "grants": GRANTS, "service": "registry.test", "reason": "why"}
    fields = Event(kind, NOW, "nonce", by, Outcome.REFUSED, body).fields()
    entry = canonical.encode(fields).decode()
    event = to_ocsf(canonical.decode(entry.encode()), seq=42, entry=entry)
    uid, activity = event["class_uid"], event["activity_id"]
    assert isinstance(uid, int)
    assert isinstance(activity, int)
    assert _ALWAYS | _REQUIRED[uid] <= set(event)
    assert uid != 0, "a kind of ours has a class"
    assert activity == 99 or 1 <= activity <= _ACTIVITIES[uid]
    assert ("activity_name" in event) is (activity == 99)
    assert event["category_uid"] == uid // 1000
    assert event["type_uid"] == uid * 100 + activity
    assert event["time"] == 1_795_507_200_123
    assert (event["status_id"], event["severity_id"], event["status_detail"]) == (2, 2, "why")
    assert event["raw_data"] == entry
    assert canonical.decode(canonical.encode(event)) == event
    for name in ("user", "group", "entity", "app"):
        named = event.get(name, {"name": "-"})
        assert isinstance(named, dict)
        assert named.get("name") or named.get("uid"), name


def test_a_grant_names_its_privileges() -> None:
    """What was granted is there action by action, and what was refused is not."""
    fields = Event(
        Kind.TOKEN_ISSUED, NOW, "nonce", Requester(ALICE, "192.0.2.1"), Outcome.PARTIAL, {"grants": GRANTS}
    ).fields()
    event = to_ocsf(fields, seq=1, entry="{}")
    assert event["privileges"] == ["repository:acme/app:pull"]
    assert event["src_endpoint"] == {"ip": "192.0.2.1"}
    assert event["user"] == {"name": "alice", "uid": "a" * 16, "type_id": 1}
    assert (event["status_id"], event["status_code"]) == (1, "partial")
