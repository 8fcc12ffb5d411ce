"""What registries are given: complete, loadable, and public."""

import json
from datetime import UTC, datetime
from functools import cache

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.errors import KeyExportError
from authsvc.adapters.keys.export import bundle_pem, jwks, public_key_pem
from authsvc.adapters.keys.signing import SigningKey, generate, generate_p256
from authsvc.core.service import Algorithm, HeaderProfile

NOW = datetime(2026, 11, 23, 17, 49, tzinfo=UTC)
KID_PROFILES = [HeaderProfile.LIBTRUST_KID, HeaderProfile.THUMBPRINT_KID]
PUBLIC_MEMBERS = {
    Algorithm.ES256: {"kty", "crv", "x", "y", "use", "alg", "kid"},
    Algorithm.RS256: {"kty", "n", "e", "use", "alg", "kid"},
    Algorithm.EDDSA: {"kty", "crv", "x", "use", "alg", "kid"},
}


@cache
def authority() -> CertificateAuthority:
    """One authority for the whole file."""
    return CertificateAuthority.self_signed(generate_p256(), now=NOW)


@cache
def key(algorithm: Algorithm, number: int = 0) -> SigningKey:
    """One signing key for each algorithm and number."""
    private_key = generate(algorithm, rsa_bits=2048)
    return SigningKey(private_key, authority().issue(private_key.public_key(), subject="leaf", now=NOW), NOW)


def certificates(pem: str) -> list[x509.Certificate]:
    """The certificates of a bundle."""
    return x509.load_pem_x509_certificates(pem.encode())


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_x5c_bundle_is_the_authority_alone(algorithm: Algorithm) -> None:
    """New keys do not change the bundle, so no registry is restarted for them."""
    pem = bundle_pem([key(algorithm)], authority(), profile=HeaderProfile.X5C)
    assert certificates(pem) == [authority().certificate]
    assert bundle_pem([], authority(), profile=HeaderProfile.X5C) == pem


@pytest.mark.parametrize("profile", KID_PROFILES)
def test_a_kid_bundle_holds_the_leaf_of_every_loadable_key_once(profile: HeaderProfile) -> None:
    """Keys keep their order, a repeated key appears once, and the authority stays out."""
    keys = [key(Algorithm.ES256), key(Algorithm.RS256), key(Algorithm.ES256, 1), key(Algorithm.ES256)]
    assert certificates(bundle_pem(keys, authority(), profile=profile)) == [
        each.certificate for each in keys[:3]
    ]


def test_ed25519_stays_out_of_a_libtrust_bundle() -> None:
    """One Ed25519 certificate stops Distribution 2.8, so it is left out there and kept for Distribution 3."""
    keys = [key(Algorithm.EDDSA), key(Algorithm.ES256)]
    libtrust = bundle_pem(keys, authority(), profile=HeaderProfile.LIBTRUST_KID)
    assert certificates(libtrust) == [key(Algorithm.ES256).certificate]
    thumbprint = bundle_pem(keys, authority(), profile=HeaderProfile.THUMBPRINT_KID)
    assert certificates(thumbprint) == [each.certificate for each in keys]


@pytest.mark.parametrize("leaf", [False, True])
def test_a_bundle_with_nothing_loadable_is_an_error(leaf: bool) -> None:
    """An empty bundle would stop the registry, so there is none."""
    with pytest.raises(KeyExportError, match="Ed25519"):
        bundle_pem([key(Algorithm.EDDSA)], authority(), profile=HeaderProfile.LIBTRUST_KID, leaf=leaf)


def test_no_keys_are_an_error_everywhere_but_in_an_x5c_bundle() -> None:
    """Distribution panics on an empty bundle and on an empty JWKS."""
    with pytest.raises(KeyExportError, match="no key"):
        bundle_pem([], authority(), profile=HeaderProfile.THUMBPRINT_KID)
    with pytest.raises(KeyExportError, match="no key"):
        jwks([], profile=HeaderProfile.X5C)


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_leaf_exports_hold_exactly_one_key(profile: HeaderProfile) -> None:
    """Registries with room for one key get one, in either format, and two are refused instead of one being chosen."""
    one, two = key(Algorithm.ES256), key(Algorithm.ES256, 1)
    assert certificates(bundle_pem([one], authority(), profile=profile, leaf=True)) == [one.certificate]
    assert len(jwks([one], profile=profile, leaf=True)["keys"]) == 1
    for keys in ([one, two], []):
        with pytest.raises(KeyExportError, match="holds one key"):
            bundle_pem(keys, authority(), profile=profile, leaf=True)
        with pytest.raises(KeyExportError, match="holds one key"):
            jwks(keys, profile=profile, leaf=True)


@pytest.mark.parametrize("profile", list(HeaderProfile))
@pytest.mark.parametrize("leaf", [False, True])
def test_a_jwks_lists_the_kid_that_tokens_carry(profile: HeaderProfile, leaf: bool) -> None:
    """The entry under the token's own `kid` is the key that signed, for every algorithm."""
    for algorithm in Algorithm:
        listed = {entry["kid"]: entry for entry in jwks([key(algorithm)], profile=profile, leaf=leaf)["keys"]}
        entry = listed[str(key(algorithm).header(profile)["kid"])]
        assert jwt.PyJWK.from_dict(entry).key == key(algorithm).public_key


@pytest.mark.parametrize("profile", KID_PROFILES)
def test_kid_services_find_each_key_under_both_names(profile: HeaderProfile) -> None:
    """A mixed fleet needs one file: libtrust ids and thumbprints side by side, each once."""
    keys = [key(Algorithm.ES256), key(Algorithm.RS256), key(Algorithm.EDDSA), key(Algorithm.ES256)]
    kids = [entry["kid"] for entry in jwks(keys, profile=profile)["keys"]]
    assert len(kids) == len(set(kids)) == 6
    assert set(kids) == {each.kid_id for each in keys} | {each.libtrust_id for each in keys}


def test_an_x5c_jwks_lists_each_key_once() -> None:
    """What verifies x5c tokens by a JWKS, as zot, holds the key under its thumbprint."""
    keys = [key(Algorithm.ES256), key(Algorithm.RS256)]
    listed = jwks(keys, profile=HeaderProfile.X5C)["keys"]
    assert [entry["kid"] for entry in listed] == [each.kid_id for each in keys]


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_jwks_entries_have_public_members_only(algorithm: Algorithm, profile: HeaderProfile) -> None:
    """The members are exactly those of a public key, with `use` and `alg`."""
    for entry in jwks([key(algorithm)], profile=profile)["keys"]:
        assert set(entry) == PUBLIC_MEMBERS[algorithm]
        assert (entry["use"], entry["alg"]) == ("sig", algorithm.value)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_bare_public_key_is_the_signing_key(algorithm: Algorithm) -> None:
    """Pulp's PEM is the public half and no certificate."""
    pem = public_key_pem(key(algorithm))
    assert pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert load_pem_public_key(pem.encode()) == key(algorithm).public_key


def test_no_export_holds_anything_private() -> None:
    """Every kind of export is searched for private PEM headers and private JWK members."""
    exports = [public_key_pem(key(algorithm)) for algorithm in Algorithm]
    private_members = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
    for profile in HeaderProfile:
        keys = [key(algorithm) for algorithm in Algorithm]
        exports.append(bundle_pem(keys, authority(), profile=profile))
        exports.append(json.dumps(jwks(keys, profile=profile)))
        assert not any(private_members & set(entry) for entry in jwks(keys, profile=profile)["keys"])
    assert not any("PRIVATE" in text for text in exports)
