"""The self-test passes good keys and names bad ones."""

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.adapters.keys import selftest
from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.errors import KeySelfTestError
from authsvc.adapters.keys.identifiers import has_leading_zero_coordinate
from authsvc.adapters.keys.signing import PrivateKey, SigningKey, generate, generate_p256
from authsvc.core.service import Algorithm

NOW = datetime(2026, 11, 23, 17, 49, tzinfo=UTC)


@cache
def authority() -> CertificateAuthority:
    """One authority for the whole file."""
    return CertificateAuthority.self_signed(generate_p256(), now=NOW)


def certified(private_key: PrivateKey, issuer: CertificateAuthority | None = None) -> SigningKey:
    """A signing key with a certificate from `issuer`."""
    certificate = (issuer or authority()).issue(private_key.public_key(), subject="leaf", now=NOW)
    return SigningKey(private_key, certificate, NOW)


@cache
def key(algorithm: Algorithm) -> SigningKey:
    """One good key for each algorithm."""
    return certified(generate(algorithm, rsa_bits=2048))


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_good_key_of_every_algorithm_passes(algorithm: Algorithm) -> None:
    """What `generate` and the authority make together is accepted by every kind of registry."""
    selftest.check(key(algorithm), authority(), now=NOW)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_certificate_of_another_key_is_caught(algorithm: Algorithm) -> None:
    """A certificate beside a key that is not its own is reported with the key's name."""
    other = certified(generate(algorithm, rsa_bits=2048))
    mismatched = dataclasses.replace(key(algorithm), certificate=other.certificate)
    with pytest.raises(KeySelfTestError, match=mismatched.kid_id):
        selftest.check(mismatched, authority(), now=NOW)


def test_a_certificate_of_another_kind_of_key_is_caught() -> None:
    """An RSA certificate beside an EC key is reported too, and not a type error."""
    mismatched = dataclasses.replace(key(Algorithm.ES256), certificate=key(Algorithm.RS256).certificate)
    with pytest.raises(KeySelfTestError, match="not the one that signed"):
        selftest.check(mismatched, authority(), now=NOW)


@pytest.mark.parametrize("issuer_is_namesake", [True, False])
def test_a_certificate_of_another_authority_is_caught(issuer_is_namesake: bool) -> None:
    """The registry's bundle decides, not the issuer's name."""
    stranger = CertificateAuthority.self_signed(generate_p256(), now=NOW)
    issued = certified(generate_p256(), stranger)
    bundle = (
        authority()
        if issuer_is_namesake
        else CertificateAuthority(authority().private_key, key(Algorithm.ES256).certificate)
    )
    with pytest.raises(KeySelfTestError, match=f"{issued.kid_id}: x5c: .*not issued"):
        selftest.check(issued, bundle, now=NOW)


@pytest.mark.parametrize("moment", [NOW - timedelta(days=2), NOW + timedelta(days=731)])
def test_a_certificate_outside_its_dates_is_caught(moment: datetime) -> None:
    """Registries check the dates of an x5c chain, so a key too new or too old is reported."""
    with pytest.raises(KeySelfTestError, match="not valid at"):
        selftest.check(key(Algorithm.ES256), authority(), now=moment)


def test_a_key_whose_thumbprint_registries_compute_otherwise_is_caught() -> None:
    """Distribution 3.1 would not find an EC key with a zero byte in front of a coordinate."""
    keys = (ec.derive_private_key(scalar, ec.SECP256R1()) for scalar in range(1, 10_000))
    stripped = certified(next(each for each in keys if has_leading_zero_coordinate(each.public_key())))
    with pytest.raises(KeySelfTestError, match=f"{stripped.kid_id}: thumbprint in a bundle"):
        selftest.check(stripped, authority(), now=NOW)
