"""Services with other keys and headers than the default: at a registry where one takes them, else by verification of our own."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from jwt.types import JWKDict

from tests.interop.clients import SKOPEO_DENIED, Image, Skopeo
from tests.interop.deployment import Account, Registry, Service
from tests.interop.programs import require

Members = dict[str, Account]
LEGACY = "legacy registry"
"""A name with a space, as registries in the wild have them."""


@pytest.fixture(scope="module")
def legacy(deployment_folder: Path, service: Service) -> Iterator[Registry]:
    """A registry of a service with RS256 and libtrust's key ids, set up with what `keys bundle` printed."""
    require("docker-registry")
    body = {"name": LEGACY, "issuer": "legacy-issuer", "algorithm": "RS256", "header": "libtrust-kid"}
    service.api("POST", "/services", body, expect=201)
    folder = deployment_folder / "legacy"
    folder.mkdir()
    bundle = folder / "bundle.pem"
    printed = service.command("keys", "bundle", "--service", LEGACY).succeeded().out
    bundle.write_text(printed, encoding="ascii")
    block = (
        f"auth:\n  token:\n    realm: {service.url}/token\n    service: {LEGACY}\n"
        f"    issuer: legacy-issuer\n    rootcertbundle: {bundle}\n"
    )
    made = Registry(folder, block)
    try:
        yield made.start()
    finally:
        made.close()


def test_a_registry_with_libtrust_key_ids(
    legacy: Registry, acme: Members, image: Image, tmp_path: Path
) -> None:
    """A registry that only knows RSA keys by libtrust's ids takes our tokens, and the rule is the same."""
    require("skopeo")
    skopeo = Skopeo(tmp_path, legacy)
    skopeo.push(image, "acme/app", acme["developer"]).succeeded()
    skopeo.pull("acme/app", acme["reader"]).succeeded()
    skopeo.push(image, "acme/app", acme["reader"]).failed(code=1, saying=SKOPEO_DENIED)


def test_the_header_is_what_the_registry_needs(service: Service, legacy: Registry, acme: Members) -> None:
    """The key id of a token is the libtrust id of the printed certificate, and no chain is sent."""
    token = service.token(by=acme["developer"], service=LEGACY)
    pem = (legacy.folder / "bundle.pem").read_bytes()
    public = load_pem_x509_certificate(pem).public_key()
    digest = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()[
        :30
    ]
    text = base64.b32encode(digest).decode()
    expected = ":".join(text[at : at + 4] for at in range(0, len(text), 4))
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], "x5c" in header) == ("RS256", expected, False)


def test_a_token_is_good_at_its_own_registry_only(
    service: Service, registry: Registry, legacy: Registry, acme: Members
) -> None:
    """Two registries of one realm do not take one another's tokens."""
    ours, theirs = (service.token(by=acme["developer"], service=name) for name in (registry.service, LEGACY))
    for at, token, status in (
        (registry, ours, 200),
        (legacy, theirs, 200),
        (registry, theirs, 401),
        (legacy, ours, 401),
    ):
        assert at.request("GET", "/", token=token).status_code == status


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_thumbprint_key_ids(service: Service, acme: Members, algorithm: str) -> None:
    """A token names its key by the RFC 7638 thumbprint, under which `keys jwks` prints the key that verifies it."""
    name = f"thumbprint-{algorithm.lower()}"
    body = {"name": name, "algorithm": algorithm, "header": "thumbprint-kid"}
    service.api("POST", "/services", body, expect=201)
    token = service.token("repository:acme/app:pull,push", by=acme["reader"], service=name)
    keys = json.loads(service.command("keys", "jwks", "--service", name).succeeded().out)["keys"]
    header = jwt.get_unverified_header(token)
    (key,) = [key for key in keys if key["kid"] == header["kid"]]
    assert header["kid"] == _thumbprint(key)
    claims = jwt.decode(
        token, jwt.PyJWK(key, algorithm), algorithms=[algorithm], audience=name, issuer="authsvc"
    )
    assert claims["sub"] == "reader"
    assert claims["access"] == [{"type": "repository", "name": "acme/app", "actions": ["pull"]}]


def _thumbprint(key: JWKDict) -> str:
    """Return a key's thumbprint (RFC 7638 section 3, RFC 8037 appendix A.3)."""
    required = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
    canonical = json.dumps(
        {name: key[name] for name in required[key["kty"]]}, separators=(",", ":"), sort_keys=True
    )
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
