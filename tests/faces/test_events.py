"""What registries report: who may, what is taken, and that it is in the log once."""

import json
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from authsvc.faces.admin.events import MAX_BODY, MAX_EVENTS, MEDIA_TYPES, read_envelope
from authsvc.faces.admin.strict_route import UnreadableError
from authsvc.operations.deps import Deps
from authsvc.operations.run_background import flush_throttled
from authsvc.operations.throttle import REPORTED
from tests.clock import Clock
from tests.world import SERVICE, World

V1, V2, JSON = MEDIA_TYPES
Body = dict[str, Any]


def notification(id_: str = "1", action: str = "pull", **changes: Any) -> Body:
    """Return an event as Distribution 2.8.2 sends it; members of `changes` replace its own."""
    return {
        "id": id_,
        "timestamp": "2026-11-23T21:00:06.88573395Z",
        "action": action,
        "target": {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "size": 423,
            "digest": "sha256:4467cc31ff62665e9a77ac0ced0b85964fd41449fb48d4d2832b152b0dc04971",
            "length": 423,
            "repository": "acme/app",
            "url": "http://127.0.0.1:5000/v2/acme/app/manifests/sha256:4467",
            "tag": "1",
        },
        "request": {
            "id": "b61cfcec-17ab-4dc3-a3e9-56c683fa3aac",
            "addr": "10.1.2.3:44122",
            "host": "registry.test",
            "method": "GET",
            "useragent": "skopeo/1.9.3",
        },
        "actor": {"name": "alice"},
        "source": {"addr": "vm:5000", "instanceID": "ec750372-8db1-4428-8636-3f2718aade46"},
        **changes,
    }


async def send(
    client: httpx.AsyncClient, secret: str, *events: Body, media_type: str = V1, service: str = ""
) -> httpx.Response:
    """Post an envelope as a registry does."""
    return await client.post(
        "/api/v1/events",
        params={"service": service} if service else None,
        content=json.dumps({"events": events}),
        headers={"authorization": f"Bearer {secret}", "content-type": media_type},
    )


@pytest.fixture
async def secret(world: World) -> str:
    """The secret of the registry's robot."""
    made = await world.add_robot(None, "registry")
    await world.bind("reporter", "robot", "system+registry", services=[SERVICE])
    return made


@pytest.mark.parametrize("action", ["pull", "push", "mount", "delete"])
@pytest.mark.parametrize("media_type", [V1, V2, f"{JSON}; charset=utf-8"])
@pytest.mark.item(130)
async def test_an_operation_is_logged_as_reported(
    world: World, secret: str, action: str, media_type: str
) -> None:
    """Each operation is an event of its kind: the reporter acts, and what the registry says is kept as its word."""
    answer = await send(world.client, secret, notification(action=action), media_type=media_type)
    assert (answer.status_code, answer.json()) == (200, {"recorded": 1, "repeated": 0, "ignored": 0})
    ((_, event),) = await world.events(kind=f"registry.{action}")
    assert event["actor"]["name"] == "system+registry"
    assert event["address"] == "192.0.2.7"
    assert event["service"] == SERVICE
    assert event["reported"] == {
        "id": "1",
        "action": action,
        "repository": "acme/app",
        "actor": "alice",
        "time": 1795467606885733,
        "size": 423,
        "tag": "1",
        "digest": "sha256:4467cc31ff62665e9a77ac0ced0b85964fd41449fb48d4d2832b152b0dc04971",
        "media_type": "application/vnd.docker.distribution.manifest.v2+json",
        "method": "GET",
        "address": "10.1.2.3:44122",
        "agent": "skopeo/1.9.3",
        "host": "registry.test",
        "request": "b61cfcec-17ab-4dc3-a3e9-56c683fa3aac",
        "instance": "ec750372-8db1-4428-8636-3f2718aade46",
        "node": "vm:5000",
    }


async def test_operations_are_found_by_place_and_action(world: World, secret: str) -> None:
    """A mount is found under both repositories, both projects, and its action."""
    target = {"repository": "acme/app", "fromRepository": "base/os", "digest": "sha256:00"}
    await send(world.client, secret, notification(action="mount", target=target))
    for wanted in (
        {"repository": "acme/app"},
        {"repository": "base/os"},
        {"project": "acme"},
        {"project": "base"},
        {"action": "mount"},
    ):
        found = await world.events(kind="registry.mount", **wanted)
        assert len(found) == 1, wanted


async def test_operations_are_found_by_who_did_them(world: World, secret: str) -> None:
    """An auditor asks for a person and gets what registries say that he did, with his tokens, in order, each once."""
    await world.add_user("alice")
    await world.ask_as("alice", "repository:acme/app:pull")
    for id_, actor in (("1", "alice"), ("2", "bob"), ("3", "alice"), ("4", "system+registry")):
        await send(world.client, secret, notification(id_, actor={"name": actor}))
    await world.ask_as("alice", "repository:acme/app:pull")

    async def found(actor: str, **narrowed: str) -> list[str]:
        events = await world.events(actor=actor, **narrowed)
        return [
            str(entry["reported"]["id"] if "reported" in entry else entry["kind"])
            for _, entry in events
            if entry["kind"].startswith(("token.", "registry."))
        ]

    assert await found("alice") == ["token.issued", "1", "3", "token.issued"]
    for narrowed in (
        {"kind": "registry.pull"},
        {"kind": "registry.*"},
        {"project": "acme", "kind": "registry.*"},
    ):
        assert await found("alice", **narrowed) == ["1", "3"]
    assert await found("alice", kind="token.*") == ["token.issued"] * 2
    assert await found("bob", repository="acme/app") == ["2"]
    assert await found("system+registry") == ["1", "2", "3", "4"]
    asked = "/audit?actor=alice&kind=registry.pull&limit=1"
    newest = await world.api("GET", asked, expect=200)
    older = await world.api("GET", f"{asked}&cursor={newest['next_cursor']}", expect=200)
    assert [page["items"][0]["reported"]["id"] for page in (newest, older)] == ["3", "1"]


@pytest.mark.item(131, 133)
async def test_a_report_that_comes_again_is_logged_once(world: World, secret: str) -> None:
    """An envelope that is sent again is answered as the first time, adds what is new in it, and doubles nothing."""
    first = await send(world.client, secret, notification("1"), notification("2"))
    again = await send(world.client, secret, notification("2"), notification("1"), notification("3"))
    assert first.json() == {"recorded": 2, "repeated": 0, "ignored": 0}
    assert again.json() == {"recorded": 1, "repeated": 2, "ignored": 0}
    logged = [event["reported"]["id"] for _, event in await world.events(kind="registry.pull")]
    assert logged == ["1", "2", "3"]


async def test_an_id_twice_in_one_envelope_is_one_operation(world: World, secret: str) -> None:
    """Of two events under one id the first is logged."""
    answer = await send(world.client, secret, notification("1"), notification("1", action="push"))
    assert answer.json() == {"recorded": 1, "repeated": 1, "ignored": 0}
    assert len(await world.events(kind="registry.pull")) == 1


@pytest.mark.item(133)
async def test_ids_and_events_go_in_together(world: World, secret: str, superuser_url: str) -> None:
    """An event whose id cannot be stored is not in the log either, and is when it is sent again."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE reported ADD CONSTRAINT none CHECK (id <> '1')")
        assert (await send(world.client, secret, notification("1"))).status_code == 503
        assert await world.events(kind="registry.pull") == []
        connection.execute("ALTER TABLE reported DROP CONSTRAINT none")
    assert (await send(world.client, secret, notification("1"))).json()["recorded"] == 1


async def test_every_id_leads_to_its_event(world: World, secret: str, superuser_url: str) -> None:
    """What is stored beside an id is the place of its event in the log."""
    await send(world.client, secret, *(notification(str(n)) for n in range(5)))
    events = {event["reported"]["id"]: seq for seq, event in await world.events(kind="registry.pull")}
    with psycopg.connect(superuser_url) as connection:
        assert dict(connection.execute("SELECT id, seq FROM reported").fetchall()) == events


@pytest.mark.parametrize(
    "event",
    [
        notification(request={"method": "HEAD"}),
        {"action": "scan"},
        {"action": "", "anything": None},
    ],
)
@pytest.mark.item(132)
async def test_what_is_no_operation_is_taken_and_not_logged(world: World, secret: str, event: Body) -> None:
    """Questions after existence and actions that we do not know are answered with success, or they would come for ever."""
    answer = await send(world.client, secret, event)
    assert (answer.status_code, answer.json()) == (200, {"recorded": 0, "repeated": 0, "ignored": 1})
    assert await world.events(kind="registry.*") == []


_SPOILED: list[tuple[Body, Body]] = [
    ({"timestamp": "0001-01-01T00:00:00Z"}, {"time": None}),
    ({"timestamp": "9999-12-31T23:59:59Z"}, {"time": None}),
    ({"timestamp": "yesterday"}, {"time": None}),
    ({"timestamp": 5}, {"time": None}),
    ({"timestamp": "2026-11-23T21:00:06"}, {"time": None}),
    ({"timestamp": "2026-11-24T05:00:06.885733951+08:00"}, {"time": 1795467606885733}),
    ({"actor": {}}, {"actor": ""}),
    ({"actor": {"name": None}}, {"actor": ""}),
    ({"source": {}}, {"instance": None}),
    ({"request": {"useragent": "x" * 1_000_000}}, {"agent": "x" * 256}),
    ({"request": {"useragent": "a\u0000b\n\u202ec"}}, {"agent": "abc"}),
    ({"target": {"repository": "acme/app"}}, {"digest": None, "tag": None, "size": None}),
    ({"target": {"repository": "acme/app", "size": 2**60}}, {"size": None}),
    ({"target": {"repository": "acme/app", "size": 1.5, "references": [{"x": 1}]}}, {"size": None}),
    ({"unknown": {"deep": [1]}}, {"actor": "alice"}),
]


@pytest.mark.item(132, 135)
async def test_what_clients_can_spoil_is_cut_or_left_out(world: World, secret: str) -> None:
    """Nothing that a registry's client has a say in makes a report fail, as a refused one blocks all behind it."""
    for number, (change, kept) in enumerate(_SPOILED):
        answer = await send(world.client, secret, notification(str(number), **change))
        assert answer.json() == {"recorded": 1, "repeated": 0, "ignored": 0}, change
        _, event = (await world.events(kind="registry.pull"))[-1]
        for name, value in kept.items():
            assert event["reported"].get(name) == value, change


_REFUSED: list[tuple[bytes, int, str | None]] = [
    (b"", 400, None),
    (b"{", 400, None),
    (b'["\xff"]', 400, None),
    (b'{"events": [{"id": "\\ud800"}]}', 400, None),
    (b"[]", 422, ""),
    (b"{}", 422, "/events"),
    (b'{"events": {}}', 422, "/events"),
    (b'{"events": [1]}', 422, "/events/0"),
    (b'{"events": [{}]}', 422, "/events/0/action"),
    (b'{"events": [{"action": 1}]}', 422, "/events/0/action"),
    (b'{"events": [{"action": "pull", "target": {"repository": "a"}}]}', 422, "/events/0/id"),
    (b'{"events": [{"action": "pull", "id": "", "target": {"repository": "a"}}]}', 422, "/events/0/id"),
    (b'{"events": [{"action": "pull", "id": "1"}]}', 422, "/events/0/target"),
    (b'{"events": [{"action": "pull", "id": "1", "target": {}}]}', 422, "/events/0/target/repository"),
    (
        b'{"events": [{"action": "pull", "id": "1", "target": {"repository": "a\\u0000"}}]}',
        422,
        "/events/0/target/repository",
    ),
]


async def test_what_no_registry_sends_is_refused(world: World, secret: str) -> None:
    """An envelope without what makes an operation is a problem that points at the fault, and nothing of it is logged."""
    headers = {"authorization": f"Bearer {secret}", "content-type": V1}
    for body, status, pointer in _REFUSED:
        answer = await world.client.post("/api/v1/events", content=body, headers=headers)
        assert answer.status_code == status, body
        assert answer.headers["content-type"] == "application/problem+json"
        if pointer is not None:
            assert answer.json()["errors"][0]["pointer"] == pointer, body
    assert await world.events(kind="registry.*") == []


async def test_a_fault_spoils_the_whole_envelope(world: World, secret: str) -> None:
    """An envelope is taken whole or not at all."""
    answer = await send(world.client, secret, notification("1"), {"action": "pull"})
    assert answer.status_code == 422
    assert await world.events(kind="registry.*") == []


@pytest.mark.item(131)
async def test_envelopes_are_bounded(world: World, secret: str) -> None:
    """More events than an envelope may have are 422, and more bytes 413."""
    most = await send(world.client, secret, *(notification(str(n)) for n in range(MAX_EVENTS)))
    assert most.json()["recorded"] == MAX_EVENTS
    more = await send(world.client, secret, *(notification(f"x{n}") for n in range(MAX_EVENTS + 1)))
    assert more.status_code == 422
    long = await send(world.client, secret, notification("y", unknown="x" * MAX_BODY))
    assert long.status_code == 413


async def test_what_one_credential_reports_is_bounded(
    world: World, deps: Deps, secret: str, clock: Clock
) -> None:
    """Beyond so many operations a minute nothing is read or logged but for others, and the log says so; then it goes on."""
    headers = {"authorization": f"Bearer {secret}", "content-type": V1}
    for _ in range(2):
        assert (await send(world.client, secret, notification("a"))).status_code == 200
    deps.throttle.count_reported(secret[5:21], clock(), weight=REPORTED - 3)
    assert (await send(world.client, secret, notification("b"), notification("c"))).status_code == 200
    for content in (json.dumps({"events": [notification("d")]}), "no JSON"):
        refused = await world.client.post("/api/v1/events", content=content, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["type"].endswith("throttled")
        assert 0 < int(refused.headers["retry-after"]) <= 60
    other = await world.api("POST", "/robots/registry/secrets", {"label": "second"}, expect=201)
    assert (await send(world.client, other["secret"], notification("e"))).status_code == 200
    await flush_throttled(deps)
    (told,) = await world.events(kind="auth.throttled")
    assert (told[1]["what"], told[1]["count"], told[1]["address"]) == ("reported", 2, "192.0.2.7")
    clock.advance(timedelta(seconds=61))
    assert (await send(world.client, secret, notification("d"))).json()["recorded"] == 1


_LONG: Body = {
    "target": {"repository": "a" * 512, "fromRepository": "b" * 512, "tag": "t" * 256},
    "request": {"useragent": "x" * 256, "host": "y" * 256, "addr": "z" * 256},
}


@pytest.mark.parametrize(
    ("envelopes", "passing"),
    [
        ([[notification(str(n))] for n in range(5)], 3),
        ([[notification("a", **_LONG), notification("b")], [notification("c")]], 1),
        ([[], [notification("x", "other")], [notification("y"), notification("z")], []], 3),
    ],
)
async def test_reports_count_by_what_they_take(
    world: World, deps: Deps, secret: str, clock: Clock, envelopes: list[list[Body]], passing: int
) -> None:
    """Of three that are left an ordinary operation takes one, a long one more; what is not logged, and nothing, takes one too."""
    deps.throttle.count_reported(secret[5:21], clock(), weight=REPORTED - 3)
    answers = [(await send(world.client, secret, *envelope)).status_code for envelope in envelopes]
    assert answers == [200] * passing + [429] * (len(envelopes) - passing)


@pytest.mark.parametrize("value", ["[]", '""', "0", '{"a":1}', '"\\""'])
async def test_a_million_values_are_refused(world: World, secret: str, value: str) -> None:
    """A body of more values than its events can have is 413 before anything is made of them, and so is one without an end."""
    headers = {"authorization": f"Bearer {secret}", "content-type": V1}
    for end in ("]}]}", ""):
        body = '{"events": [{"action": "other", "x": [' + ",".join([value] * 300_000) + end
        answer = await world.client.post("/api/v1/events", content=body, headers=headers)
        assert answer.status_code == 413, answer.text


def test_what_is_outside_texts_is_counted_once() -> None:
    """A text of escaped quotes that never ends is looked through once: read again from each quote, it would take hours."""
    with pytest.raises(UnreadableError, match="no JSON"):
        read_envelope(b'{"events": ["' + b'\\"' * 2_000_000)


async def test_a_million_bytes_of_user_agent_pass(world: World, secret: str) -> None:
    """The longest head that Go's server takes, each byte of it six in JSON, is reported like any other."""
    answer = await send(world.client, secret, notification(request={"useragent": "\u0001" * 1_100_000}))
    assert answer.json() == {"recorded": 1, "repeated": 0, "ignored": 0}


async def test_other_media_types_are_refused(world: World, secret: str) -> None:
    """What is no envelope by its type is 415."""
    assert (await send(world.client, secret, notification(), media_type="text/plain")).status_code == 415


@pytest.mark.item(134)
async def test_basic_works_too(world: World, secret: str) -> None:
    """A registry may send its robot's name and secret as Basic."""
    answer = await world.client.post(
        "/api/v1/events",
        content=json.dumps({"events": [notification()]}),
        headers={"content-type": V2},
        auth=("system+registry", secret),
    )
    assert answer.json()["recorded"] == 1


@pytest.mark.item(134)
async def test_only_reporters_report(world: World, secret: str) -> None:
    """Without credentials it is 401, and without the permission 403, before any of the body is looked at."""
    del secret
    headers = {"content-type": V1}
    nobody = await world.client.post("/api/v1/events", content=b"{", headers=headers)
    assert nobody.status_code == 401
    await world.add_project("acme")
    robot = await world.add_robot("acme", "ci")
    await world.bind("owner", "robot", "acme+ci", "acme")
    refused = await world.client.post(
        "/api/v1/events", content=b"{", headers={**headers, "authorization": f"Bearer {robot}"}
    )
    assert refused.status_code == 403


async def test_a_project_s_role_reports_nothing(world: World) -> None:
    """`registry:report` is about the system: bound on a project, it opens nothing."""
    await world.add_project("acme")
    robot = await world.add_robot("acme", "ci")
    await world.bind("reporter", "robot", "acme+ci", "acme")
    assert (await send(world.client, robot, notification())).status_code == 403


async def test_a_registry_reports_for_itself_alone(world: World, secret: str) -> None:
    """A reporter that is bound for one service is refused for another, and not told which others there are."""
    await world.api("POST", "/services", {"name": "other.test"}, expect=201)
    assert (await send(world.client, secret, notification("1"), service=SERVICE)).status_code == 200
    assert (await send(world.client, secret, notification("2"), service="other.test")).status_code == 403
    assert (await send(world.client, secret, notification("2"), service="nowhere.test")).status_code == 403
    assert (await send(world.client, secret, notification("2"))).status_code == 200
    services = [event["service"] for _, event in await world.events(kind="registry.*")]
    assert services == [SERVICE, SERVICE]


async def test_a_reporter_for_all_may_name_none(world: World) -> None:
    """Of several services, one who may report for all need not say which: the report is logged without."""
    await world.api("POST", "/services", {"name": "other.test"}, expect=201)
    robot = await world.add_robot(None, "all")
    await world.bind("reporter", "robot", "system+all")
    assert (await send(world.client, robot, notification())).json()["recorded"] == 1
    ((_, event),) = await world.events(kind="registry.pull")
    assert event["service"] == ""


async def test_ids_of_two_registries_do_not_meet(world: World, secret: str) -> None:
    """Two registries may use the same id: neither hides an operation of the other."""
    await world.api("POST", "/services", {"name": "other.test"}, expect=201)
    other = await world.add_robot(None, "other")
    await world.bind("reporter", "robot", "system+other", services=["other.test"])
    await send(world.client, secret, notification("1"), service=SERVICE)
    assert (await send(world.client, other, notification("1"), service="other.test")).json()["recorded"] == 1
    services = [event["service"] for _, event in await world.events(kind="registry.pull")]
    assert services == [SERVICE, "other.test"]


async def test_an_alias_is_its_service(world: World, secret: str) -> None:
    """Reports under an alias are those of the service."""
    await world.api("PATCH", f"/services/{SERVICE}", {"aliases": ["alias.test"]}, expect=200)
    assert (await send(world.client, secret, notification(), service="alias.test")).status_code == 200
    ((_, event),) = await world.events(kind="registry.pull")
    assert event["service"] == SERVICE


async def test_an_unknown_service_is_told_to_who_reports_for_all(world: World) -> None:
    """Who may report for every service is told when there is none of a name."""
    robot = await world.add_robot(None, "all")
    await world.bind("reporter", "robot", "system+all")
    answer = await send(world.client, robot, notification(), service="nowhere.test")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:authsvc:problem:unknown-service")


async def test_a_revoked_reporter_is_refused_at_once(world: World, secret: str, clock: Clock) -> None:
    """The first report after the answer to a revocation is refused, and so is one after the secret's end."""
    assert (await send(world.client, secret, notification("1"))).status_code == 200
    page = await world.api("GET", "/bindings", expect=200)
    (binding,) = [each for each in page["items"] if each["role"] == "reporter"]
    await world.api("DELETE", f"/bindings/{binding['id']}", expect=204)
    assert (await send(world.client, secret, notification("2"))).status_code == 403
    await world.bind("reporter", "robot", "system+registry")
    expires_at = (clock() + timedelta(hours=1)).isoformat()
    made = await world.api("POST", "/robots/registry/secrets", {"expires_at": expires_at}, expect=201)
    assert (await send(world.client, made["secret"], notification("3"))).status_code == 200
    clock.advance(timedelta(hours=2))
    assert (await send(world.client, made["secret"], notification("4"))).status_code == 401


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@hypothesis_settings(max_examples=200)
@given(
    timestamp=_junk,
    tag=_junk,
    actor=st.dictionaries(st.sampled_from(["name", "x"]), _junk),
    request=st.dictionaries(st.sampled_from(["id", "addr", "host", "method", "useragent", "x"]), _junk),
    size=_junk,
)
def test_loose_members_never_fail(
    timestamp: object, tag: object, actor: object, request: object, size: object
) -> None:
    """Whatever stands where a client has a say, the operation is read."""
    target = {"repository": "acme/app", "tag": tag, "size": size, "mediaType": tag, "digest": timestamp}
    event = notification(timestamp=timestamp, target=target, actor=actor, request=request)
    (reported,), ignored = read_envelope(json.dumps({"events": [event]}).encode())
    assert (reported.id, reported.repository, ignored) == ("1", "acme/app", 0)
    json.dumps(reported.entry())
