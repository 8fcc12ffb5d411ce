"""What signing keys sign, and how their headers name them."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.errors import KeyFolderError, UnsupportedKeyError
from authsvc.adapters.keys.identifiers import has_leading_zero_coordinate, libtrust_id, thumbprint
from authsvc.adapters.keys.signing import SigningKey, generate, generate_p256, supported_private
from authsvc.core.service import Algorithm, HeaderProfile

NOW = datetime(2026, 11, 23, 17, 49, tzinfo=UTC)


@cache
def authority() -> CertificateAuthority:
    """One authority for the whole file."""
    return CertificateAuthority.self_signed(generate_p256(), now=NOW)


@cache
def key(algorithm: Algorithm) -> SigningKey:
    """One signing key for each algorithm."""
    private_key = generate(algorithm, rsa_bits=2048)
    return SigningKey(private_key, authority().issue(private_key.public_key(), subject="leaf", now=NOW), NOW)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_pyjwt_verifies_a_token_of_every_algorithm_and_profile(
    algorithm: Algorithm, profile: HeaderProfile
) -> None:
    """A token put together from `encoded_header` and `sign` is a JWS that an independent library accepts."""
    signer = key(algorithm)
    claims = base64.urlsafe_b64encode(b'{"access":[],"sub":"alice"}').rstrip(b"=")
    message = signer.encoded_header(profile) + b"." + claims
    token = message + b"." + base64.urlsafe_b64encode(signer.sign(message)).rstrip(b"=")
    assert jwt.decode(token, signer.public_key, algorithms=[algorithm]) == {"access": [], "sub": "alice"}
    assert jwt.get_unverified_header(token) == signer.header(profile)


def test_es256_signatures_are_always_64_bytes() -> None:
    """Short values of r and s are padded, which one signature in 128 needs."""
    signer = key(Algorithm.ES256)
    signatures = [signer.sign(b"message %d" % count) for count in range(600)]
    assert {len(signature) for signature in signatures} == {64}
    verifier = jwt.get_algorithm_by_name("ES256")
    short = [n for n, signature in enumerate(signatures) if 0 in (signature[0], signature[32])]
    assert all(verifier.verify(b"message %d" % n, signer.public_key, signatures[n]) for n in [0, *short])


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_headers_are_exactly_what_each_profile_says(algorithm: Algorithm) -> None:
    """No header carries anything beyond alg, typ, kid and, for x5c, the leaf in standard base64."""
    signer = key(algorithm)
    der = signer.certificate.public_bytes(Encoding.DER)
    common = {"alg": algorithm.value, "typ": "JWT"}
    assert signer.header(HeaderProfile.X5C) == common | {
        "kid": thumbprint(signer.public_key),
        "x5c": [base64.b64encode(der).decode()],
    }
    assert signer.header(HeaderProfile.LIBTRUST_KID) == common | {"kid": libtrust_id(signer.public_key)}
    assert signer.header(HeaderProfile.THUMBPRINT_KID) == common | {"kid": thumbprint(signer.public_key)}


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_encoded_headers_are_compact_and_computed_once(profile: HeaderProfile) -> None:
    """The encoded header has no whitespace and no padding, and the second call returns the same object."""
    signer = key(Algorithm.ES256)
    encoded = signer.encoded_header(profile)
    text = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    assert b"=" not in encoded
    assert text == json.dumps(signer.header(profile), separators=(",", ":")).encode()
    assert signer.encoded_header(profile) is encoded


def test_generated_p256_keys_have_full_length_coordinates() -> None:
    """Among 1500 keys, of which a dozen would have a zero byte in front, none has."""
    assert not any(has_leading_zero_coordinate(generate_p256().public_key()) for _ in range(1500))


def test_weak_and_foreign_private_keys_are_refused() -> None:
    """RSA below 2048 bits and curves other than P-256 neither come into being nor are loaded."""
    with pytest.raises(UnsupportedKeyError):
        generate(Algorithm.RS256, rsa_bits=1024)
    with pytest.raises(UnsupportedKeyError):
        supported_private(ec.derive_private_key(5, ec.SECP384R1()))


def test_nothing_private_shows_in_a_repr() -> None:
    """The text of a signing key and of the authority names no private key object."""
    assert "private" not in repr(key(Algorithm.ES256)).lower()
    assert "private" not in repr(authority()).lower()


def test_the_authority_certifies_only_leaves() -> None:
    """The authority's certificate is a CA of path length 0 that signs itself, for certificates and not for tokens."""
    certificate = authority().certificate
    certificate.verify_directly_issued_by(certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
    assert certificate.not_valid_after_utc - NOW > timedelta(days=19 * 365)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_leaf_is_backdated_a_day_and_lasts_two_years(algorithm: Algorithm) -> None:
    """The leaf carries its subject, is issued by the authority, and is no authority itself."""
    leaf = key(algorithm).certificate
    leaf.verify_directly_issued_by(authority().certificate)
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "leaf"
    assert leaf.not_valid_before_utc == NOW - timedelta(days=1)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=730)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_leaf_never_outlives_its_authority() -> None:
    """Late in the authority's life a leaf ends with it, and after that none is issued."""
    end = authority().certificate.not_valid_after_utc
    public_key = key(Algorithm.ES256).public_key
    late = authority().issue(public_key, subject="late", now=end - timedelta(days=3))
    assert late.not_valid_after_utc == end
    with pytest.raises(KeyFolderError, match="expired"):
        authority().issue(public_key, subject="too late", now=end)
