"""Token protocol A3: authentication."""

import base64

import pytest

from tests.faces.hashing import counting
from tests.faces.realm import ALICE, Realm, assert_error, basic, body_of, new_name, password_form
from tests.world import SERVICE

PULL = "repository:acme/app:pull"


def raw_basic(data: bytes) -> dict[str, str]:
    """Return Basic credentials of bytes that may be no text."""
    return {"authorization": "Basic " + base64.b64encode(data).decode()}


@pytest.mark.item(53)
@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("sam", "s3cret:pw"),
        ("bøb", "pässwörd€"),
        ("tim", "::colons::"),
        ("uma", " spaced out "),
        ("дима", "пароль-🔑"),
    ],
)
async def test_basic_is_utf_8_split_at_the_first_colon(realm: Realm, user: str, password: str) -> None:
    """A password may hold colons and anything else; the right one gets in, and one character less does not."""
    await realm.world.api("POST", "/users", {"name": user, "password": password}, expect=201)
    assert (await realm.claims(await realm.get(headers=basic(user, password))))["sub"] == user
    assert_error(await realm.get(headers=basic(user, password[:-1])), 401)


@pytest.mark.item(54)
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc", "Basic  "])
async def test_the_scheme_has_no_case(realm: Realm, scheme: str) -> None:
    """However the scheme is written, with more than one space behind it too, the credentials are read."""
    value = basic(*ALICE)["authorization"].replace("Basic", scheme)
    assert (await realm.claims(await realm.get(headers={"authorization": value})))["sub"] == "alice"


@pytest.mark.item(55, 60)
@pytest.mark.parametrize(
    "headers",
    [
        raw_basic(b"\xff\xfe:secret"),
        raw_basic("bøb:pässwörd".encode("latin-1")),
        raw_basic(b"b?b:p?ssw?rd"),
        raw_basic(b"no colon"),
        raw_basic(b""),
        raw_basic(b"al\x00ice:password"),
        raw_basic(b"alice\n:password"),
        raw_basic(b"a" * 20_000 + b":password"),
        raw_basic(b"alice:" + b"a" * 20_000),
        {"authorization": "Basic"},
        {"authorization": "Basic "},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic YWxpY2U6c"},
        {"authorization": "Basic YWxp Y2U6cA=="},
        {"authorization": ""},
        {"authorization": " "},
    ],
)
async def test_what_cannot_be_read_is_401(realm: Realm, headers: dict[str, str]) -> None:
    """Bad UTF-8, bad base64, no colon, a control character or too much of it: never an error of ours, never anonymous."""
    assert_error(await realm.get(f"service={SERVICE}&scope=repository:open/app:pull", headers), 401)


@pytest.mark.item(55)
async def test_two_authorization_headers_are_refused(realm: Realm) -> None:
    """Which of two a proxy read cannot be known, so neither counts."""
    headers = [("authorization", basic(*ALICE)["authorization"])] * 2
    assert_error(await realm.client.get("/token", params={"service": SERVICE}, headers=headers), 401)


@pytest.mark.item(56)
async def test_an_empty_name_and_password_is_anonymous(realm: Realm) -> None:
    """`Basic Og==`, which .NET always sends, is nobody."""
    response = await realm.get(
        f"service={SERVICE}&scope=repository:open/app:pull", {"authorization": "Basic Og=="}
    )
    claims = await realm.claims(response)
    assert (claims["sub"], [entry["name"] for entry in claims["access"]]) == ("", ["open/app"])


@pytest.mark.item(57, 60)
async def test_an_empty_password_is_never_right_and_never_evaluated(realm: Realm) -> None:
    """What docker keeps after a login with identity token (`user:`) is refused without asking any store of passwords."""
    async with counting(realm) as (client, hasher):
        for user in ("alice", "nobody", "admin", "acme+ci"):
            got = await client.get("/token", params={"service": SERVICE}, headers=basic(user, ""))
            posted = await client.post("/token", data=password_form(user, ""))
            for response in (got, posted):
                assert_error(response, 401)
        assert_error(await client.post("/token", data=password_form("", "")), 401)
        assert hasher.asked == 0


@pytest.mark.item(58, 59)
@pytest.mark.parametrize("user", ["", "<token>"])
async def test_a_refresh_token_is_a_password_without_a_name(realm: Realm, user: str) -> None:
    """containerd falls back to `:token`, and credential helpers store `<token>`: both are the refresh token's owner."""
    refresh_token = await realm.identity_token()
    got = await realm.get(f"service={SERVICE}&scope={PULL}", basic(user, refresh_token))
    posted = await realm.client.post("/token", data=password_form(user, refresh_token) | {"scope": PULL})
    for response in (got, posted):
        claims = await realm.claims(response)
        assert (claims["sub"], claims["access"][0]["actions"]) == ("alice", ["pull"])


@pytest.mark.item(58, 59, 60)
@pytest.mark.parametrize("user", ["", "<token>"])
async def test_nothing_but_a_refresh_token_comes_without_a_name(realm: Realm, user: str) -> None:
    """A password, a personal token and a robot's secret need their owner's name; a wrong token is 401."""
    personal = await realm.world.add_token("alice", label="x")
    robot = await realm.world.add_robot("acme", new_name("ci"))
    refresh_token = await realm.identity_token()
    for secret in (ALICE[1], personal, robot, refresh_token[:-1], refresh_token[:-1] + "x"):
        assert_error(await realm.get(headers=basic(user, secret)), 401)


@pytest.mark.item(60)
@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", "wrong"), ("nobody", "wrong"), ("olga", ALICE[1]), ("alice", "ats_x"), ("acme+nobody", "x"),
     ("alice", ALICE[1] + " "), ("alice", ALICE[1].upper())],
)  # fmt: skip
async def test_wrong_credentials_are_never_anonymous(realm: Realm, user: str, password: str) -> None:
    """On GET and on POST they are 401, also for what anybody may pull."""
    query = f"service={SERVICE}&scope=repository:open/app:pull"
    got = await realm.get(query, basic(user, password))
    posted = await realm.client.post(
        "/token", data=password_form(user, password) | {"scope": "repository:open/app:pull"}
    )
    assert_error(got, 401)
    assert_error(posted, 401)


@pytest.mark.item(60, 65)
@pytest.mark.parametrize("token", ["", "x", "ats_u", "a" * 5000, "ats_uaaaaaaaaaaaaaaaa_" + "0" * 46])
async def test_wrong_refresh_tokens_are_401(realm: Realm, token: str) -> None:
    """What is no refresh token of ours never gets an anonymous token."""
    assert_error(await realm.refresh(token, scope="repository:open/app:pull"), 401)


@pytest.mark.item(60, 65)
async def test_other_secrets_are_no_refresh_tokens(realm: Realm) -> None:
    """A password, a personal token and a robot's secret are refused by the refresh grant."""
    personal = await realm.world.add_token("alice", label="x")
    robot = await realm.world.add_robot("acme", new_name("ci"))
    for secret in (ALICE[1], personal, robot):
        assert_error(await realm.refresh(secret), 401)


@pytest.mark.item(61)
@pytest.mark.parametrize(
    "value", ["Bearer x", "Bearer", "Negotiate abc", "Digest username=alice", "alice:pw"]
)
async def test_other_schemes_are_401(realm: Realm, value: str) -> None:
    """A scheme that the realm does not take is refused on GET, and on POST beside a right grant too."""
    headers = {"authorization": value}
    assert_error(await realm.get(f"service={SERVICE}&scope=repository:open/app:pull", headers), 401)
    posted = await realm.client.post("/token", data=password_form(*ALICE), headers=headers)
    assert_error(posted, 401)


@pytest.mark.item(62, 111)
async def test_anonymous_gets_what_is_public(realm: Realm) -> None:
    """Without credentials the answer is 200, `sub` is empty, and access is what anybody may do."""
    response = await realm.ask("repository:open/app:pull,push", PULL, "repository:nowhere/app:pull")
    claims = await realm.claims(response)
    assert claims["sub"] == ""
    assert claims["access"] == [{"type": "repository", "name": "open/app", "actions": ["pull"]}]


@pytest.mark.item(63)
async def test_anonymous_without_scope_is_the_service_s_choice(realm: Realm) -> None:
    """Where a service allows anonymous use the answer is an empty token, otherwise 401, for whatever scope."""
    claims = await realm.claims(await realm.ask())
    assert (claims["sub"], claims["access"]) == ("", [])
    closed = await realm.add_service(new_name("closed.test:"), anonymous=False)
    for scopes in ((), ("repository:open/app:pull",)):
        assert_error(await realm.world.ask(*scopes, service=closed), 401)
    nobody = await realm.client.get(
        "/token", params={"service": closed}, headers={"authorization": "Basic Og=="}
    )
    assert_error(nobody, 401)
    assert (await realm.claims(await realm.world.ask(by=ALICE, service=closed), closed))["sub"] == "alice"


@pytest.mark.item(64, 65, 99)
async def test_bad_credentials_are_challenged_with_basic(realm: Realm) -> None:
    """GET and POST alike: 401 with a Basic challenge and no `error=` in it, so that containerd and BuildKit go on to GET."""
    got = await realm.get(headers=basic("alice", "wrong"))
    posted = await realm.client.post("/token", data=password_form("alice", "wrong"))
    refreshed = await realm.refresh("wrong")
    for response in (got, posted, refreshed):
        assert_error(response, 401)
        assert response.headers.get_list("www-authenticate") == ['Basic realm="authsvc", charset="UTF-8"']
    assert [body_of(r).get("error") for r in (got, posted, refreshed)] == [
        None,
        "invalid_grant",
        "invalid_grant",
    ]
