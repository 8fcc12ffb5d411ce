"""The key that signs the log's checkpoints; it signs nothing else, and no token key signs them (DESIGN 6).

Ed25519 (RFC 8032) is libsodium's here, which verifies in half of OpenSSL's time and signs in two thirds: a signature is made
under the log's lock, and an auditor verifies one of every commit there ever was. The two make the same signatures; libsodium
refuses keys of small order besides.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey


@dataclass(frozen=True, eq=False)
class AuditKey:
    """An Ed25519 key; the signed-note format around its signatures belongs to core."""

    private_key: Ed25519PrivateKey = field(repr=False)

    @cached_property
    def public_bytes(self) -> bytes:
        """The raw public key, 32 bytes, from which an auditor's verifier key is made."""
        return self.private_key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The raw signature, 64 bytes (RFC 8032)."""
        return self._signing_key.sign(message).signature

    @cached_property
    def _signing_key(self) -> SigningKey:
        return SigningKey(self.private_key.private_bytes_raw())


@lru_cache(maxsize=64)
def _verify_key(public_bytes: bytes) -> VerifyKey:
    return VerifyKey(public_bytes)


def verify(public_bytes: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` was made with the key whose 32 raw public bytes are given; never raises."""
    try:
        _verify_key(public_bytes).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True
