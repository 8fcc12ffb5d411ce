"""Token protocol A2: request parameters; scopes are in test_realm_scopes."""

from urllib.parse import quote

import pytest

from tests.faces.realm import ALICE, Realm, assert_error, basic, body_of, new_name
from tests.world import SERVICE, World, access_of

APP = ("repository", "acme/app", ["pull", "push"])


@pytest.mark.item(19, 52, 110)
@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("test service+x", "test+service%2Bx"),
        ("test service+y", "test%20service%2By"),
        ("Docker registry", "Docker+registry"),
        ("reg.example.test:5000/v2", "reg.example.test%3A5000%2Fv2"),
        ("reg.example.test:5000/v3", "reg.example.test:5000/v3"),
        ("a&b=c#d", "a%26b%3Dc%23d"),
    ],
)
async def test_the_service_is_the_audience_as_it_was_registered(realm: Realm, name: str, query: str) -> None:
    """Once decoded, the name is matched exactly, and is the token's audience, on GET and POST."""
    await realm.add_service(name)
    got = await realm.get(f"service={query}", basic(*ALICE))
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={query}"
    for response in (got, await realm.post(form)):
        assert (await realm.claims(response, name))["aud"] == name
    for other in (name.upper(), name + " ", name[:-1]):
        assert_error(await realm.get(f"service={quote(other, safe='')}"), 400)


@pytest.mark.item(19, 110)
async def test_an_alias_is_an_audience_of_its_own(realm: Realm) -> None:
    """A registry that is reached under two names gets tokens for the name that was asked."""
    alias = new_name("alias.test:")
    service = await realm.add_service(new_name("service.test:"), aliases=[alias])
    for name in (alias, service):
        assert (await realm.claims(await realm.get(f"service={quote(name)}"), name))["aud"] == name


@pytest.mark.item(20)
@pytest.mark.parametrize(
    "service", ["nowhere.test", "%00", "a%00b", "%ff", "a" * 4000, "r%C3%A9gistry", "*", "%25"]
)
async def test_an_unknown_service_gets_no_token(realm: Realm, service: str) -> None:
    """A name that nobody registered is 400, whatever it is made of, with right credentials too, and nothing is logged."""
    before = await realm.count_events()
    assert_error(await realm.get(f"service={service}"), 400)
    assert_error(await realm.get(f"service={service}", basic(*ALICE)), 400)
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={service}"
    assert_error(await realm.post(form), 400)
    assert await realm.count_events() == before


@pytest.mark.item(21)
async def test_no_service_means_the_only_one(world: World) -> None:
    """An absent or empty service is the one that is registered; once there are two, it is 400."""
    for query in ("", "?service=", "?service=&service="):
        response = await world.client.get(f"/token{query}")
        assert access_of(response) == {}
        assert response.json()["token"]
    await world.api("POST", "/services", {"name": "second.test"}, expect=201)
    for query in ("", "?service="):
        assert_error(await world.client.get(f"/token{query}"), 400)
    await world.api("DELETE", "/services/second.test", expect=204)
    again = await world.client.get("/token", headers={"user-agent": "again"})
    assert again.status_code == 200


@pytest.mark.item(22, 110)
async def test_several_services_are_never_one_token(realm: Realm) -> None:
    """The same name twice is one name; different names are 400, and no audience is ever a list."""
    twice = await realm.get(f"service={SERVICE}&service={SERVICE}")
    assert (await realm.claims(twice))["aud"] == SERVICE
    other = await realm.add_service(new_name("other.test:"))
    assert_error(await realm.get(f"service={SERVICE}&service={other}"), 400)
    assert_error(await realm.get(f"service={SERVICE}&service="), 400)
    form = f"grant_type=password&username=alice&password={ALICE[1]}"
    assert_error(await realm.post(f"{form}&service={SERVICE}&service={other}"), 400)


@pytest.mark.item(43)
async def test_the_account_is_informational(realm: Realm) -> None:
    """It may be there, in any case, or not; another one than the credentials' is refused; alone it is nobody."""
    for account in ("alice", "ALICE", ""):
        assert (await realm.claims(await realm.ask(by=ALICE, account=account)))["sub"] == "alice"
    assert_error(await realm.ask(by=ALICE, account="olga"), 401)
    assert (await realm.claims(await realm.ask(account="alice")))["sub"] == ""
    refresh_token = await realm.identity_token()
    as_password = await realm.ask(by=("", refresh_token), account="olga")
    assert (await realm.claims(as_password))["sub"] == "alice"


@pytest.mark.item(44)
@pytest.mark.parametrize(
    "client", ["containers/image", "jib.da03", "docker", "a b~!", "", "a\x00b\n", "x" * 5000]
)
async def test_any_client_id_is_taken_and_kept(realm: Realm, client: str) -> None:
    """What a client calls itself never matters, on GET or POST, also where it is stored; the log has it."""
    offline = "access_type=offline&offline_token=true"
    field = f"client_id={quote(client, safe='')}&{offline}"
    got = await realm.get(f"service={SERVICE}&{field}", basic(*ALICE))
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}"
    posted = await realm.post(f"{form}&{field}")
    for response in (got, posted):
        assert (await realm.claims(response))["sub"] == "alice"
        assert response.json()["refresh_token"]
    events = [event for _, event in await realm.world.events(kind="token.issued")]
    kept = "".join(character for character in client[:255] if character.isprintable())
    assert events[-1].get("client", "") == kept


@pytest.mark.item(44)
async def test_a_post_needs_no_client_id(realm: Realm) -> None:
    """The specification demands it; clients forget it; nothing hangs on it."""
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}"
    assert (await realm.claims(await realm.post(form)))["sub"] == "alice"


@pytest.mark.item(45, 82)
@pytest.mark.parametrize(
    ("query", "given"),
    [("&offline_token=true", True), ("", False), ("&offline_token=false", False), ("&offline_token=1", False),
     ("&offline_token=", False), ("&offline_token=TRUE", False), ("&access_type=offline", False)],
)  # fmt: skip
async def test_get_gives_a_refresh_token_to_who_asks_by_name(realm: Realm, query: str, given: bool) -> None:
    """`offline_token=true` and nothing else asks for one; otherwise the member is absent."""
    body = body_of(await realm.get(f"service={SERVICE}{query}", basic(*ALICE)))
    assert ("refresh_token" in body) is given


@pytest.mark.item(46, 91)
async def test_refresh_tokens_switched_off_are_no_error(realm: Realm) -> None:
    """Where a service gives none, who asks for one gets a token without, by every way."""
    service = await realm.add_service(new_name("plain.test:"), refresh_tokens=False)
    got = await realm.world.ask(by=ALICE, service=service, offline_token="true")
    form = f"grant_type=password&username=alice&password={ALICE[1]}&access_type=offline"
    for response in (got, await realm.post(f"{form}&service={quote(service)}")):
        assert (await realm.claims(response, service))["sub"] == "alice"
        assert "refresh_token" not in body_of(response)


@pytest.mark.item(47, 82)
@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("&access_type=offline", True),
        ("", False),
        ("&access_type=online", False),
        ("&offline_token=true", False),
    ],
)
async def test_post_gives_a_refresh_token_to_who_asks_by_name(realm: Realm, form: str, given: bool) -> None:
    """`access_type=offline` and nothing else asks for one."""
    fields = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}{form}"
    assert ("refresh_token" in body_of(await realm.post(fields))) is given


@pytest.mark.item(48)
async def test_the_password_grant_works(realm: Realm) -> None:
    """A name and a password in a form are as good as Basic."""
    form = {"grant_type": "password", "username": "alice", "password": ALICE[1], "client_id": "x"}
    response = await realm.world.post(None, **form, scope="repository:acme/app:push,pull")
    assert await realm.access(response) == [APP]


@pytest.mark.item(49)
@pytest.mark.parametrize(
    "client",
    ["docker", "registry-client", "containerd-client", "buildkit-client", "containers/image",
     "go-containerregistry", "oras-go"],
)  # fmt: skip
async def test_the_refresh_grant_works_for_every_client(realm: Realm, client: str) -> None:
    """A token that `docker login` obtained serves whichever program reads it from its configuration."""
    response = await realm.refresh(
        await realm.identity_token(), client_id=client, scope="repository:acme/app:pull,push"
    )
    assert await realm.access(response) == [APP]


@pytest.mark.item(50, 95)
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=password&username=alice", "invalid_request"),
        ("grant_type=password&password=x", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=authorization_code&code=x", "unsupported_grant_type"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=PASSWORD&username=alice&password=x", "unsupported_grant_type"),
    ],
)
async def test_other_grants_are_refused_by_their_oauth_name(realm: Realm, form: str, error: str) -> None:
    """A missing, incomplete or unknown grant is 400 with `error` beside `errors`."""
    response = await realm.post(f"service={SERVICE}&{form}")
    message = assert_error(response, 400)["message"]
    body = body_of(response)
    assert (body["error"], body["error_description"]) == (error, message)


@pytest.mark.item(51, 88)
async def test_a_refresh_token_serves_every_service_that_is_not_isolated(realm: Realm) -> None:
    """DESIGN 8: the registry's token serves Notary too; an isolated service neither takes others' nor gives its own away."""
    notary = await realm.add_service(new_name("notary.test:"))
    alone = await realm.add_service(new_name("alone.test:"), isolated=True)
    of_registry = await realm.identity_token()
    of_alone = await realm.identity_token(service=alone)
    assert (await realm.claims(await realm.refresh(of_registry, notary), notary))["aud"] == notary
    assert (await realm.claims(await realm.refresh(of_alone, alone), alone))["aud"] == alone
    assert_error(await realm.refresh(of_registry, alone), 401)
    assert_error(await realm.refresh(of_alone, SERVICE), 401)
    assert_error(await realm.refresh(of_registry, "nowhere.test"), 400)


@pytest.mark.item(52, 53)
@pytest.mark.parametrize("password", ["a+b %2B c&d=e", "100% sure+++", "pässwörd€ +%20", "a:b:c+d:e"])
async def test_plus_and_percent_in_names_and_passwords(realm: Realm, password: str) -> None:
    """A plus is a plus where it is encoded so, in robots' names and passwords, by form and by Basic."""
    user = new_name("percy")
    await realm.world.api("POST", "/users", {"name": user, "password": password}, expect=201)
    quoted = quote(password, safe="")
    form = f"grant_type=password&username={user}&password={quoted}&service={SERVICE}"
    by_form = await realm.post(form)
    by_plus = await realm.post(form.replace("%20", "+"))
    by_basic = await realm.get(headers=basic(user, password))
    for response in (by_form, by_plus, by_basic):
        assert (await realm.claims(response))["sub"] == user


@pytest.mark.item(52)
async def test_a_robot_s_plus_survives_query_and_form(realm: Realm) -> None:
    """`acme+ci` is found under `acme%2Bci`, and not under `acme ci`."""
    robot = new_name("ci")
    secret = await realm.world.add_robot("acme", robot)
    form = f"grant_type=password&password={secret}&service={SERVICE}&username="
    assert (await realm.claims(await realm.post(f"{form}acme%2B{robot}")))["sub"] == f"acme+{robot}"
    assert_error(await realm.post(f"{form}acme+{robot}"), 401)
    account = await realm.get(f"service={SERVICE}&account=acme%2B{robot}", basic(f"acme+{robot}", secret))
    assert account.status_code == 200
