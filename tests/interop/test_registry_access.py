"""People, a real registry and real clients: who may do what, and what the refused are told."""

import httpx
import pytest

from tests.interop.clients import MANIFEST, SKOPEO_DENIED, Image, Skopeo, make_image
from tests.interop.deployment import Account, Registry, Service, password_of

Members = dict[str, Account]


def test_the_printed_block_is_all_a_registry_needs(registry: Registry, service: Service) -> None:
    """A registry with the pasted block sends clients to the realm, under the service's name."""
    challenge = registry.request("GET", "/").headers["www-authenticate"]
    assert challenge == f'Bearer realm="{service.url}/token",service="registry.localhost"'


def test_login(skopeo: Skopeo, acme: Members) -> None:
    """A user logs in, and what is remembered is enough to pull and push no further than that."""
    assert skopeo.login(acme["stranger"]).succeeded().out == "Login Succeeded!\n"
    skopeo.pull("acme/nothing", None).failed(code=1, saying=SKOPEO_DENIED)


@pytest.mark.parametrize("name", ["developer", "nobody-of-that-name"])
def test_login_with_a_wrong_password(skopeo: Skopeo, acme: Members, name: str) -> None:
    """A wrong password and an unknown user get the same words."""
    refused = skopeo.login((name, "a-wrong-password"))
    refused.failed(code=1, saying=f'logging into "{skopeo.registry.host}": invalid username/password')


def test_a_developer_pushes_and_pulls(skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]) -> None:
    """What a developer pushed comes back as the same manifest."""
    repository, image = pushed
    skopeo.pull(repository, acme["developer"]).succeeded()
    manifest = (skopeo.home / "pulled-0" / "manifest.json").read_bytes()
    assert manifest == (image.layout / "blobs/sha256" / image.digest.removeprefix("sha256:")).read_bytes()


def test_a_reader_pulls_but_does_not_push(skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]) -> None:
    """A reader's push is denied, and the reader's pull is not."""
    repository, image = pushed
    skopeo.pull(repository, acme["reader"]).succeeded()
    skopeo.push(image, "acme/by-reader", acme["reader"]).failed(code=1, saying=SKOPEO_DENIED)


def test_a_stranger_is_denied(skopeo: Skopeo, acme: Members, pushed: tuple[str, Image]) -> None:
    """Who has no binding is told the same of a repository that exists and of one that does not."""
    repository, image = pushed
    there = skopeo.pull(repository, acme["stranger"]).failed(code=1, saying=SKOPEO_DENIED)
    elsewhere = skopeo.pull("acme/absent", acme["stranger"]).failed(code=1, saying=SKOPEO_DENIED)
    skopeo.push(image, "acme/by-stranger", acme["stranger"]).failed(code=1, saying=SKOPEO_DENIED)
    assert there.err.replace(repository, "acme/absent") == elsewhere.err


def test_anonymous_pulls_of_public_projects_only(
    service: Service, skopeo: Skopeo, pushed: tuple[str, Image], acme: Members
) -> None:
    """Anybody pulls from a public project without an account, nobody from a private one, and nobody pushes so."""
    _, image = pushed
    service.add_project("open", "public")
    skopeo.push(image, "open/app", service.administrator()).succeeded()
    skopeo.pull("open/app", None, anonymous=True).succeeded()
    skopeo.pull("acme/app", None, anonymous=True).failed(code=1, saying=SKOPEO_DENIED)
    skopeo.push(image, "open/by-nobody", None).failed(code=1, saying=SKOPEO_DENIED)


def test_mount_with_one_token_for_two_repositories(
    service: Service, registry: Registry, acme: Members, pushed: tuple[str, Image]
) -> None:
    """A token for two scopes mounts a blob across repositories; one without the source does not."""
    repository, image = pushed
    path = f"/acme/mounted/blobs/uploads/?mount={image.layer}&from={repository}"
    target = "repository:acme/mounted:push,pull"
    by, name = acme["developer"], registry.service
    without = service.token(target, by=by, service=name)
    assert registry.request("POST", path, token=without).status_code == 401
    both = service.token(f"repository:{repository}:pull", target, by=by, service=name)
    assert registry.request("POST", path, token=both).status_code == 201


def test_a_client_mounts(skopeo: Skopeo, acme: Members) -> None:
    """Skopeo mounts what it knows to be in another repository instead of uploading it again."""
    image = make_image(skopeo.home, "mounted")
    skopeo.push(image, "acme/source", acme["developer"]).succeeded()
    skopeo.push(image, "acme/target", acme["developer"]).succeeded()
    path = f"/v2/acme/target/blobs/uploads/?from=acme%2Fsource&mount=sha256%3A{image.layer[7:]}"
    assert f'"POST {path} HTTP/1.1" 201' in skopeo.registry.log


def test_deleting(service: Service, registry: Registry, skopeo: Skopeo, acme: Members) -> None:
    """A developer's delete is refused, a maintainer's is done."""
    image = make_image(skopeo.home, "doomed")
    skopeo.push(image, "acme/doomed", acme["developer"]).succeeded()
    skopeo.delete("acme/doomed", acme["developer"]).failed(code=1, saying="Failed to delete")
    token = service.token("repository:acme/doomed:delete", by=acme["developer"], service=registry.service)
    assert _delete(registry, image, token).status_code == 401
    skopeo.delete("acme/doomed", acme["maintainer"]).succeeded()
    token = service.token(
        "repository:acme/doomed:pull,delete", by=acme["maintainer"], service=registry.service
    )
    assert _delete(registry, image, token).status_code == 404


def test_the_catalog(service: Service, registry: Registry, acme: Members, pushed: tuple[str, Image]) -> None:
    """Administrators and scanners list the registry's repositories, developers do not."""
    scanner = service.add_user("scanner")
    service.bind("scanner", "user", "scanner")
    for account in (service.administrator(), scanner):
        token = service.token("registry:catalog:*", by=account, service=registry.service)
        assert pushed[0] in registry.request("GET", "/_catalog", token=token).json()["repositories"]
    token = service.token("registry:catalog:*", by=acme["developer"], service=registry.service)
    assert registry.request("GET", "/_catalog", token=token).status_code == 401


def test_a_disabled_user_is_refused_at_once(service: Service, skopeo: Skopeo, acme: Members) -> None:
    """The first login after the answer to the change fails, although the password was remembered, and enabling undoes it."""
    account = service.add_user("leaver")
    skopeo.login(account).succeeded()
    service.api("PATCH", "/users/leaver", {"disabled": True}, expect=200)
    skopeo.login(account).failed(code=1, saying="invalid username/password")
    service.api("PATCH", "/users/leaver", {"disabled": False}, expect=200)
    skopeo.login(account).succeeded()


def test_a_revoked_binding_is_gone_at_once(
    service: Service, skopeo: Skopeo, pushed: tuple[str, Image]
) -> None:
    """The first push after a binding's deletion is denied."""
    account = service.add_user("temporary")
    body = {"role": "developer", "subject": {"kind": "user", "name": "temporary"}}
    binding = service.api("POST", "/projects/acme/bindings", body, expect=201)
    skopeo.push(pushed[1], "acme/app", account).succeeded()
    service.api("DELETE", f"/projects/acme/bindings/{binding['id']}", expect=204)
    skopeo.push(pushed[1], "acme/app", account).failed(code=1, saying=SKOPEO_DENIED)


def test_a_refusal_in_the_registrys_own_words(
    service: Service, registry: Registry, acme: Members, pushed: tuple[str, Image]
) -> None:
    """A token for less than was asked is accepted as a token, and found too small: what makes clients say `denied`."""
    token = service.token("repository:acme/app:pull", by=acme["stranger"], service=registry.service)
    answer = registry.request("GET", "/acme/app/manifests/1", token=token, headers={"accept": MANIFEST})
    assert answer.status_code == 401
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_users_own_password_change(service: Service, skopeo: Skopeo) -> None:
    """A user who changes the password logs in with the new one, and no longer with the old one."""
    account = service.add_user("changer")
    skopeo.login(account).succeeded()
    new = f"{password_of('changer')}-2"
    service.api("PUT", "/users/changer/password", {"password": new}, expect=204, by=account)
    skopeo.login(account).failed(code=1, saying="invalid username/password")
    skopeo.login(("changer", new)).succeeded()


def _delete(registry: Registry, image: Image, token: str) -> httpx.Response:
    return registry.request("DELETE", f"/acme/doomed/manifests/{image.digest}", token=token)
