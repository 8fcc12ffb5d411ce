"""Keyed digests of high-entropy secrets and hidden names, so that a stolen database confirms no guess."""

import hmac
from dataclasses import dataclass, field

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """HMAC-SHA-256 under one key for several purposes; a digest made for one purpose never matches under another."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"the key has {len(self.key)} bytes, not {KEY_BYTES}")

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that tell this key from others and nothing else about it."""
        return self.digest("", purpose="fingerprint")

    def digest(self, secret: str, *, purpose: str) -> bytes:
        """32 bytes that depend on the key, on `purpose` and on `secret`."""
        label = purpose.encode()
        # INVARIANT: the length keeps ("a", "bc") apart from ("ab", "c"). `surrogatepass` because JSON can carry lone
        # surrogates, and an encoding error would hold the secret.
        message = len(label).to_bytes(2, "big") + label + secret.encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, message, "sha256")

    def matches(self, secret: str, digest: bytes, *, purpose: str) -> bool:
        """Whether `digest` was made from `secret` for `purpose`, in a time that tells nothing about either."""
        return hmac.compare_digest(self.digest(secret, purpose=purpose), digest)
