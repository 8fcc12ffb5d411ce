"""The key that signs the log's checkpoints; it signs nothing else, and no token key signs them (DESIGN 6)."""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


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
        return self.private_key.sign(message)


@lru_cache(maxsize=64)
def _public_key(public_bytes: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_bytes)


def verify(public_bytes: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` was made with the key whose 32 raw public bytes are given; never raises."""
    try:
        _public_key(public_bytes).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
