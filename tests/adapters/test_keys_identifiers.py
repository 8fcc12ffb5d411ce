"""The names of keys, against published vectors."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from authsvc.adapters.keys.errors import UnsupportedKeyError
from authsvc.adapters.keys.identifiers import (
    PublicKey,
    distribution_thumbprint,
    has_leading_zero_coordinate,
    jwk_members,
    libtrust_id,
    supported,
    thumbprint,
)

RFC_7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw"
)


def number(text: str) -> int:
    """A base64url integer."""
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def specification_key() -> ec.EllipticCurvePublicKey:
    """The sample key of Distribution's token specification."""
    x, y = "m7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q", "dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc"
    return ec.EllipticCurvePublicNumbers(number(x), number(y), ec.SECP256R1()).public_key()


def zero_coordinate_key() -> ec.EllipticCurvePublicKey:
    """The first multiple of P-256's generator with a zero byte at the front of a coordinate."""
    keys = (ec.derive_private_key(scalar, ec.SECP256R1()).public_key() for scalar in range(1, 10_000))
    return next(key for key in keys if min(key.public_numbers().x, key.public_numbers().y) < 1 << 248)


def test_the_specification_sample_key_has_its_libtrust_id() -> None:
    """The libtrust id of the specification's key is the `kid` the specification prints."""
    assert libtrust_id(specification_key()) == "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6"


def test_the_specification_sample_key_has_its_thumbprint() -> None:
    """The RFC 7638 thumbprint of an EC key covers crv, kty, x and y."""
    assert thumbprint(specification_key()) == "8qjioA3ZA7ti2JIE7c-U8smBFuZolQZvhSHDPU3hhB8"


def test_the_rfc_7638_sample_key_has_its_thumbprint() -> None:
    """The thumbprint of the RSA key in RFC 7638 §3.1 is the one printed there."""
    key = rsa.RSAPublicNumbers(65537, number(RFC_7638_N)).public_key()
    assert jwk_members(key) == {"e": "AQAB", "kty": "RSA", "n": RFC_7638_N}
    assert thumbprint(key) == distribution_thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_rfc_8037_sample_key_has_its_thumbprint() -> None:
    """The thumbprint of the Ed25519 key in RFC 8037 A.3 is the one printed there."""
    raw = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert (
        thumbprint(ed25519.Ed25519PublicKey.from_public_bytes(raw))
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (ec.SECP256R1(), "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M"),
        (ec.SECP384R1(), "-W6Wzot_wuerYbKBVKfGEks3iY2EALna-hBqObnPuJE"),
        (ec.SECP521R1(), "67t2ktf21o_Z2-ygUyR0zriEF9PMHtlT1l4q9rGSYOM"),
    ],
)
def test_generators_have_the_names_distribution_gives_every_ec_certificate(
    curve: ec.EllipticCurve, expected: str
) -> None:
    """Distribution's thumbprint of each curve's generator is the constant that its version 3.0.0 is known to compute."""
    assert distribution_thumbprint(ec.derive_private_key(1, curve).public_key()) == expected


def test_a_zero_byte_in_front_is_seen_and_splits_the_thumbprints() -> None:
    """A key is reported exactly when the registry's thumbprint differs from the RFC's."""
    key = zero_coordinate_key()
    assert has_leading_zero_coordinate(key)
    assert thumbprint(key) != distribution_thumbprint(key)
    sample = specification_key()
    assert not has_leading_zero_coordinate(sample)
    assert thumbprint(sample) == distribution_thumbprint(sample)


def test_keys_without_coordinates_have_none_that_begins_with_zero() -> None:
    """Only EC keys are ever regenerated."""
    assert not has_leading_zero_coordinate(ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    "key",
    [
        ec.derive_private_key(1, ec.SECP256K1()).public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_kinds_that_registries_cannot_load_are_refused(key: object) -> None:
    """A key on another curve, for key agreement, or private, is never taken for one to publish."""
    with pytest.raises(UnsupportedKeyError):
        supported(key)


@pytest.mark.parametrize("key", [specification_key(), ec.derive_private_key(7, ec.SECP521R1()).public_key()])
def test_kinds_that_registries_load_pass_unchanged(key: PublicKey) -> None:
    """A loadable key comes back as it is."""
    assert supported(key) is key
