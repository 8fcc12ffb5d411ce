"""The audit key and the keyed digests."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from authsvc.adapters.keys.audit_key import AuditKey, verify
from authsvc.adapters.keys.digest import SecretDigest

KEY = bytes(range(32))


def test_the_audit_key_signs_as_rfc_8032_says() -> None:
    """The public key and the signature of RFC 8032 §7.1 test 2 come out."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = AuditKey(Ed25519PrivateKey.from_private_bytes(seed))
    assert key.public_bytes.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_another_implementation_signs_the_same(seed: bytes, message: bytes) -> None:
    """OpenSSL's Ed25519 makes the same signatures, and accepts ours: auditors verify with what they have."""
    other = Ed25519PrivateKey.from_private_bytes(seed)
    key = AuditKey(other)
    assert key.sign(message) == other.sign(message)
    other.public_key().verify(key.sign(message), message)
    assert verify(key.public_bytes, message, other.sign(message))


@pytest.mark.parametrize("identity", [b"\x01" + bytes(31), b"\xee" + b"\xff" * 30 + b"\x7f"])
def test_a_key_that_anybody_can_sign_for_is_refused(identity: bytes) -> None:
    """Under a key of small order one signature is good for every message, which OpenSSL accepts: ours is never taken for good."""
    assert not verify(identity, b"any checkpoint", b"\x01" + bytes(63))


def test_only_the_right_key_message_and_signature_verify() -> None:
    """A changed message, signature or key, or one of a wrong length, is false and never an exception."""
    key, other = AuditKey(Ed25519PrivateKey.generate()), AuditKey(Ed25519PrivateKey.generate())
    signature = key.sign(b"checkpoint")
    assert verify(key.public_bytes, b"checkpoint", signature)
    assert not verify(key.public_bytes, b"checkpoinT", signature)
    assert not verify(other.public_bytes, b"checkpoint", signature)
    assert not verify(key.public_bytes, b"checkpoint", signature[:-1])
    assert not verify(b"short", b"checkpoint", signature)


def test_secret_keys_do_not_show_in_a_repr() -> None:
    """Neither the audit key nor the HMAC key has a text form that holds them."""
    assert repr(AuditKey(Ed25519PrivateKey.generate())) == "AuditKey()"
    assert repr(SecretDigest(KEY)) == "SecretDigest()"


@given(st.text(), st.text(), st.text(max_size=20), st.text(max_size=20))
def test_a_digest_matches_only_its_own_secret_and_purpose(
    secret: str, other: str, purpose: str, other_purpose: str
) -> None:
    """However secret and purpose are cut, two different pairs never share a digest."""
    digests = SecretDigest(KEY)
    digest = digests.digest(secret, purpose=purpose)
    assert len(digest) == 32
    assert digests.matches(secret, digest, purpose=purpose)
    assert digests.matches(other, digest, purpose=other_purpose) == (
        (other, other_purpose) == (secret, purpose)
    )


def test_moving_a_letter_from_purpose_to_secret_changes_the_digest() -> None:
    """The border between purpose and secret is part of what is digested."""
    digests = SecretDigest(KEY)
    assert digests.digest("bc", purpose="a") != digests.digest("c", purpose="ab")


def test_a_digest_depends_on_the_key() -> None:
    """Without the key a digest cannot be computed from the secret."""
    digest = SecretDigest(KEY).digest("secret", purpose="robot")
    assert not SecretDigest(bytes(32)).matches("secret", digest, purpose="robot")


def test_a_lone_surrogate_is_digested_like_any_other_text() -> None:
    """JSON can carry what UTF-8 cannot; that must not raise an error which holds the secret."""
    digests = SecretDigest(KEY)
    assert digests.matches("\ud800", digests.digest("\ud800", purpose="robot"), purpose="robot")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_the_wrong_length_is_refused(size: int) -> None:
    """A truncated key file is an error, and the error does not quote it."""
    with pytest.raises(ValueError, match=f"{size} bytes"):
        SecretDigest(b"k" * size)
