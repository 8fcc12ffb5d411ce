"""Everything over https under a private authority, with two families of clients."""

import ipaddress
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.interop.clients import SKOPEO_DENIED, Dxf, Skopeo, make_image
from tests.interop.deployment import Account, Registry, Service
from tests.interop.programs import require

EACCES = 13
"""What dxf exits with when it is refused."""


@dataclass(frozen=True, slots=True)
class Secured:
    """A service and a registry on https, the project `acme`, and the authority's certificate alone in a folder."""

    service: Service
    registry: Registry
    certificates: Path
    developer: Account
    reader: Account


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """See Secured."""
    require("docker-registry")
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = _make_certificates(folder)
    trust = ssl.create_default_context(cafile=folder / "authority" / "ca.crt")
    for name in ("authsvc", "registry"):
        (folder / name).mkdir()
    settings = {"AUTHSVC_TLS_CERT_FILE": str(certificate), "AUTHSVC_TLS_KEY_FILE": str(key)}
    service = Service(folder / "authsvc", settings, trust=trust)
    registry = None
    try:
        service.start()
        registry = Registry(folder / "registry", service.auth_block(), tls=(certificate, key), trust=trust)
        registry.start()
        service.add_project("acme")
        developer = service.add_member("acme", "developer", "developer")
        reader = service.add_member("acme", "reader", "reader")
        yield Secured(service, registry, folder / "authority", developer, reader)
    finally:
        if registry is not None:
            registry.close()
        service.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_skopeo_over_https(secured: Secured, tmp_path: Path) -> None:
    """The printed realm is https, and skopeo with --cert-dir logs in, pushes, pulls and is refused over it."""
    require("skopeo")
    assert f"    realm: {secured.service.url}/token\n" in secured.service.auth_block()
    assert secured.service.url.startswith("https://")
    skopeo, image = Skopeo(tmp_path, secured.registry, secured.certificates), make_image(tmp_path, "image")
    skopeo.login(secured.developer).succeeded()
    skopeo.push(image, "acme/app", None).succeeded()
    skopeo.pull("acme/app", secured.reader).succeeded()
    skopeo.push(image, "acme/by-reader", secured.reader).failed(code=1, saying=SKOPEO_DENIED)


def test_skopeo_without_the_authority(secured: Secured, tmp_path: Path) -> None:
    """A client that was not given the authority's certificate does not talk to us."""
    require("skopeo")
    (tmp_path / "empty").mkdir()
    stranger = Skopeo(tmp_path, secured.registry, tmp_path / "empty")
    stranger.login(secured.developer).failed(code=1, saying="certificate signed by unknown authority")


def test_dxf(secured: Secured, tmp_path: Path) -> None:
    """A client of another family does the round: push, alias, list, pull, mount; and a reader is refused what writes."""
    require("dxf")
    dxf = Dxf(tmp_path, secured.registry, secured.certificates / "ca.crt")
    file = tmp_path / "blob"
    file.write_text("of dxf", encoding="utf-8")
    by, reader = secured.developer, secured.reader
    digest = dxf.run("push-blob", "acme/dxf", str(file), "@1", by=by).succeeded().out.strip()
    assert dxf.run("list-aliases", "acme/dxf", by=reader).succeeded().out == "1\n"
    assert dxf.run("pull-blob", "acme/dxf", digest, by=reader).succeeded().out == "of dxf"
    dxf.run("mount-blob", "acme/mounted", "acme/dxf", digest, by=by).succeeded()
    dxf.run("mount-blob", "acme/by-reader", "acme/dxf", digest, by=reader).failed(
        code=EACCES, saying="Unauthorized"
    )
    dxf.run("push-blob", "acme/dxf", str(file), "@2", by=reader).failed(code=EACCES, saying="Unauthorized")
    assert "acme/mounted\n" in dxf.run("list-repos", by=secured.service.administrator()).succeeded().out
    dxf.run("list-repos", by=by).failed(code=EACCES, saying="Unauthorized")


@pytest.mark.parametrize("account", [("developer", "a-wrong-password"), None])
def test_dxf_without_rights(secured: Secured, tmp_path: Path, account: Account | None) -> None:
    """A wrong password and no account at all end in dxf's own error for it."""
    require("dxf")
    dxf = Dxf(tmp_path, secured.registry, secured.certificates / "ca.crt")
    dxf.run("list-aliases", "acme/dxf", by=account).failed(code=EACCES, saying="Unauthorized")


def _make_certificates(folder: Path) -> tuple[Path, Path]:
    """Write an authority into `authority/ca.crt`, and return a certificate and key of it for 127.0.0.1."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("test authority", authority_key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("127.0.0.1", key, (authority, authority_key))
    (folder / "authority").mkdir()
    (folder / "authority" / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files = folder / "server.crt", folder / "server.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    """Return a certificate of an authority, or of its own as one."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(hours=1)
    issuer_key = key if authority is None else authority[1]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if authority is None:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    else:
        address = x509.IPAddress(ipaddress.ip_address(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
