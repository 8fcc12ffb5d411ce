"""Robots, personal access tokens and refresh tokens at a real registry."""

import httpx
import pytest

from tests.interop.clients import MANIFEST, SKOPEO_DENIED, Image, Skopeo
from tests.interop.deployment import Account, Json, Registry, Service

Members = dict[str, Account]


def test_a_robot_with_two_secrets(
    service: Service, skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]
) -> None:
    """Both secrets of a robot push; the one that is deleted is refused at once, the other one goes on."""
    service.api("POST", "/projects/acme/robots", {"name": "ci"}, expect=201)
    service.bind("developer", "robot", "acme+ci", "acme")
    old, new = (
        service.api("POST", "/projects/acme/robots/ci/secrets", {"label": label}, expect=201)
        for label in ("old", "new")
    )
    for made in (old, new):
        skopeo.push(pushed[1], "acme/by-robot", ("acme+ci", made["secret"])).succeeded()
    service.api("DELETE", f"/projects/acme/robots/ci/secrets/{old['id']}", expect=204)
    skopeo.login(("acme+ci", old["secret"])).failed(code=1, saying="invalid username/password")
    skopeo.login(("acme+ci", new["secret"])).succeeded()
    skopeo.push(pushed[1], "acme/by-robot", None).succeeded()


def test_a_disabled_robot(service: Service, skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]) -> None:
    """A robot that is disabled is refused at once."""
    service.api("POST", "/projects/acme/robots", {"name": "off"}, expect=201)
    service.bind("reader", "robot", "acme+off", "acme")
    secret = service.api("POST", "/projects/acme/robots/off/secrets", {}, expect=201)["secret"]
    skopeo.pull("acme/app", ("acme+off", secret)).succeeded()
    service.api("PATCH", "/projects/acme/robots/off", {"disabled": True}, expect=200)
    skopeo.login(("acme+off", secret)).failed(code=1, saying="invalid username/password")


def test_a_token_that_only_pulls(
    service: Service, skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]
) -> None:
    """A developer's token limited to pull does not push."""
    token = _personal_token(service, acme["developer"], scopes=["repository:acme/**:pull"])
    skopeo.pull("acme/app", ("developer", token)).succeeded()
    skopeo.push(pushed[1], "acme/by-token", ("developer", token)).failed(code=1, saying=SKOPEO_DENIED)


def test_a_token_of_one_project(
    service: Service, skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]
) -> None:
    """An administrator's token limited to a project is nothing elsewhere, and a limit gives nothing that was not there."""
    service.add_project("other")
    account = service.administrator()
    skopeo.push(pushed[1], "other/app", account).succeeded()
    token = _personal_token(service, account, scopes=["repository:acme/**:pull,push"])
    skopeo.push(pushed[1], "acme/by-admin", ("admin", token)).succeeded()
    skopeo.pull("other/app", ("admin", token)).failed(code=1, saying=SKOPEO_DENIED)
    widened = _personal_token(service, acme["stranger"], scopes=["repository:acme/**:pull"])
    skopeo.pull("acme/app", ("stranger", widened)).failed(code=1, saying=SKOPEO_DENIED)


@pytest.mark.parametrize("name", ["", "<token>"])
def test_the_refresh_token_of_docker_login(
    service: Service, registry: Registry, acme: Members, pushed: tuple[str, Image], name: str
) -> None:
    """What `docker login` gets pulls by POST as docker does and by Basic as its tools do, until the session is ended."""
    session = _log_in(service, registry, acme["developer"])
    for _ in range(2):  # docker keeps one for months: it is not used up
        assert _pull(registry, _refresh(service, registry, session).json()["access_token"]).status_code == 200
    asked = {"service": registry.service, "scope": "repository:acme/app:pull"}
    by_basic = service.ask(params=asked, by=(name, session))
    assert _pull(registry, by_basic.json()["token"]).status_code == 200

    sessions = service.api("GET", "/users/developer/sessions", expect=200, by=acme["developer"])["items"]
    for known in sessions:
        service.api("DELETE", f"/users/developer/sessions/{known['id']}", expect=204, by=acme["developer"])
    refused = _refresh(service, registry, session)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_grant"


def test_containerd_posts_a_password(
    service: Service, registry: Registry, acme: Members, pushed: tuple[str, Image]
) -> None:
    """The form that containerd sends first, with its scopes doubled, is answered with a token that pulls."""
    name, password = acme["developer"]
    scope = "repository:acme/app:pull repository:acme/app:pull,push"
    form = {
        "grant_type": "password",
        "client_id": "containerd-client",
        "username": name,
        "password": password,
    }
    answer = service.ask("POST", data={**form, "service": registry.service, "scope": scope})
    assert _pull(registry, answer.json()["access_token"]).status_code == 200
    assert "refresh_token" not in answer.json()


def _personal_token(service: Service, account: Account, **fields: object) -> str:
    body: Json = {"label": "test", **fields}
    return str(service.api("POST", f"/users/{account[0]}/tokens", body, expect=201, by=account)["token"])


def _log_in(service: Service, registry: Registry, account: Account) -> str:
    asked = {
        "account": account[0],
        "client_id": "docker",
        "offline_token": "true",
        "service": registry.service,
    }
    answer = service.ask(params=asked, by=account)
    assert answer.status_code == 200, answer.text
    assert registry.request("GET", "/", token=answer.json()["token"]).status_code == 200
    return str(answer.json()["refresh_token"])


def _refresh(service: Service, registry: Registry, session: str) -> httpx.Response:
    form = {"client_id": "docker", "grant_type": "refresh_token", "refresh_token": session}
    asked = {"service": registry.service, "scope": "repository:acme/app:pull"}
    return service.ask("POST", data={**form, **asked})


def _pull(registry: Registry, token: str) -> httpx.Response:
    return registry.request("GET", "/acme/app/manifests/1", token=token, headers={"accept": MANIFEST})
