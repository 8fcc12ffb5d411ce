"""Token protocol A4: the authorization result."""

import json

import pytest

from authsvc.core.service import Algorithm
from tests.faces.realm import ALICE, CAROL, OLGA, Realm, assert_error, body_of, new_name
from tests.world import SERVICE, password_of

MOUNT_TARGET = ("repository", "acme/app", ["pull", "push"])


@pytest.mark.item(69, 70)
@pytest.mark.parametrize(
    ("user", "scope", "granted"),
    [
        (ALICE, "repository:acme/app:pull,push,delete", [("repository", "acme/app", ["pull", "push"])]),
        (ALICE, "repository:acme/app:pull", [("repository", "acme/app", ["pull"])]),
        (ALICE, "repository:beta/app:pull,push", [("repository", "beta/app", ["pull"])]),
        (ALICE, "repository:acme/app:delete", []),
        (CAROL, "repository:acme/app:pull,push", []),
        (CAROL, "repository:nowhere/app:pull", []),
        (OLGA, "repository:acme/app:pull", [("repository", "acme/app", ["pull"])]),
        (None, "repository:acme/app:pull", []),
    ],
)
async def test_what_is_not_permitted_is_left_out_with_200(
    realm: Realm, user: tuple[str, str] | None, scope: str, granted: list[tuple[str, str, list[str]]]
) -> None:
    """The answer is the intersection of asked and held, nothing more for an owner, and 200 when it is empty."""
    response = await realm.ask(scope, by=user)
    assert response.status_code == 200
    assert await realm.access(response) == granted


@pytest.mark.item(71)
async def test_a_mount_between_repositories_gets_both_entries(realm: Realm) -> None:
    """Target and source come back together; a source that is not permitted takes nothing from the target."""
    target = "repository:acme/app:pull,push"
    both = await realm.ask(target, "repository:beta/base:pull", by=ALICE)
    assert await realm.access(both) == [MOUNT_TARGET, ("repository", "beta/base", ["pull"])]
    for source in ("repository:beta/base:push", "repository:nowhere/base:pull"):
        assert await realm.access(await realm.ask(target, source, by=ALICE)) == [MOUNT_TARGET]
        assert await realm.access(await realm.ask(source, target, by=ALICE)) == [MOUNT_TARGET]


@pytest.mark.item(72)
async def test_what_does_not_exist_looks_like_what_is_forbidden(realm: Realm) -> None:
    """A project that carol may not see and one that nobody made differ in nothing but the token's own id and signature."""
    shapes = []
    for name in ("acme/app", "zzzz/app"):
        response = await realm.ask(f"repository:{name}:pull,push", by=CAROL)
        claims = await realm.claims(response)
        body = body_of(response)
        del claims["jti"], body["token"], body["access_token"]
        shapes.append((response.status_code, sorted(response.headers.keys()), body, claims))
    assert shapes[0] == shapes[1]


@pytest.mark.item(73)
async def test_entries_are_one_a_resource_in_the_order_asked(realm: Realm) -> None:
    """No resource twice, no entry without actions, actions sorted and once; the same request gets the same access."""
    scopes = ("repository:beta/z:push,pull", "repository:acme/b:push,pull", "repository:acme/a:delete",
              "repository:acme/a:pull", "repository:acme/c:delete", "repository:acme/b:pull")  # fmt: skip
    expected = [
        ("repository", "beta/z", ["pull"]),
        ("repository", "acme/b", ["pull", "push"]),
        ("repository", "acme/a", ["pull"]),
    ]
    for _ in range(2):
        assert await realm.access(await realm.ask(*scopes, by=ALICE)) == expected


@pytest.mark.item(74, 9)
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_token_always_fits_a_header(realm: Realm, algorithm: Algorithm) -> None:
    """However much is granted, a token is below 7 KiB or refused with 400, for every algorithm with its certificate."""
    service = await realm.add_service(new_name("size.test:"), algorithm=algorithm)
    sizes = {}
    for count in (1, 6, 20, 40, 60):
        scopes = [f"repository:acme/{'long-name/' * 12}app-{number}:pull,push" for number in range(count)]
        response = await realm.world.ask(*scopes, by=ALICE, service=service)
        if response.status_code == 200:
            sizes[count] = len(response.json()["token"])
            assert len(await realm.access(response, service)) == count
            assert len(response.content) <= 64 * 1024
        else:
            assert_error(response, 400)
    assert {1, 6} <= sizes.keys()
    assert max(sizes.values()) <= 7 * 1024
    assert 60 not in sizes


@pytest.mark.item(75)
async def test_a_decision_is_logged_with_everything_but_secrets(realm: Realm) -> None:
    """Who, for which service, asked and granted what, from where and with which client; and the token's `jti` leads there."""
    form = {
        "grant_type": "password",
        "username": "alice",
        "password": ALICE[1],
        "client_id": "containerd-client",
    }
    response = await realm.world.post(
        {"user-agent": "containerd/2.1"},
        **form,
        scope="repository:acme/app:pull,delete",
        access_type="offline",
    )
    claims, body = await realm.claims(response), body_of(response)
    _, sequence, nonce = claims["jti"].split(".")
    [(seq, event)] = await realm.world.events(jti=claims["jti"])
    assert seq == int(sequence)
    assert (event["kind"], event["outcome"], event["nonce"]) == ("token.issued", "partial", nonce)
    assert (event["actor"]["name"], event["service"], event["token"]["sub"]) == ("alice", SERVICE, "alice")
    assert (event["address"], event["agent"], event["client"]) == (
        "192.0.2.7", "containerd/2.1", "containerd-client",
    )  # fmt: skip
    [grant] = event["grants"]
    assert (grant["name"], grant["asked"]) == ("acme/app", ["delete", "pull"])
    assert (list(grant["granted"]), list(grant["refused"])) == (["pull"], ["delete"])
    log = json.dumps([entry for _, entry in await realm.world.events()])
    signature = body["token"].rpartition(".")[2]
    for secret in (ALICE[1], password_of("olga"), body["token"], signature, body["refresh_token"]):
        assert secret not in log


@pytest.mark.item(75)
async def test_a_refusal_is_logged_without_what_was_typed(realm: Realm) -> None:
    """The log knows which account was tried and why it failed; neither password nor an unknown name is in it."""
    typed = ("my-password-typed-as-name", "wrong-password-1")
    for user in ("alice", typed[0]):
        assert_error(await realm.ask("repository:acme/app:pull", by=(user, typed[1])), 401)
    events = [event for _, event in await realm.world.events(kind="token.refused")][-2:]
    assert [event["reason"] for event in events] == ["wrong_password", "unknown_account"]
    assert events[0]["actor"]["name"] == "alice"
    assert events[0]["asked"] == ["repository:acme/app:pull"]
    assert not any(text in json.dumps(events) for text in typed)
