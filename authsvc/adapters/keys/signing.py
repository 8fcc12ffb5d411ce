"""The keys that sign tokens, and the header that tells a registry which one did (token-protocol A8, B2)."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.adapters.keys.errors import UnsupportedKeyError
from authsvc.adapters.keys.identifiers import PublicKey, has_leading_zero_coordinate, libtrust_id, thumbprint
from authsvc.core.service import Algorithm, HeaderProfile

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

MIN_RSA_BITS = 2048
_ES256 = ec.ECDSA(hashes.SHA256())
_PKCS1V15, _SHA256 = padding.PKCS1v15(), hashes.SHA256()


def generate(algorithm: Algorithm, *, rsa_bits: int = 3072) -> PrivateKey:
    """A new private key for `algorithm`; `rsa_bits` is 2048 or more and concerns RS256 only."""
    match algorithm:
        case Algorithm.ES256:
            return generate_p256()
        case Algorithm.RS256:
            if rsa_bits < MIN_RSA_BITS:
                raise UnsupportedKeyError(f"an RSA key needs at least {MIN_RSA_BITS} bits")
            return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
        case Algorithm.EDDSA:
            return ed25519.Ed25519PrivateKey.generate()


def generate_p256() -> ec.EllipticCurvePrivateKey:
    """A P-256 key whose coordinates have no leading zero byte, so that every registry computes one thumbprint (A8.106)."""
    while has_leading_zero_coordinate((key := ec.generate_private_key(ec.SECP256R1())).public_key()):
        continue
    return key


def supported_private(key: object) -> PrivateKey:
    """The same key, once it is known to be of a kind that `generate` makes; otherwise `UnsupportedKeyError`."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise UnsupportedKeyError(
        f"a private key must be EC P-256, RSA of at least {MIN_RSA_BITS} bits, or Ed25519"
    )


def algorithm_of(private_key: PrivateKey) -> Algorithm:
    """The algorithm a private key signs with."""
    match private_key:
        case ec.EllipticCurvePrivateKey():
            return Algorithm.ES256
        case rsa.RSAPrivateKey():
            return Algorithm.RS256
        case ed25519.Ed25519PrivateKey():
            return Algorithm.EDDSA


@dataclass(frozen=True, eq=False)
class SigningKey:
    """A token key with its leaf certificate; `service` is the one it signs for, None when all services share it.

    Whether it is active, published or retired is not known here: that is kept in Postgres.
    """

    private_key: PrivateKey = field(repr=False)
    certificate: x509.Certificate
    created_at: datetime
    service: str | None = None

    @cached_property
    def algorithm(self) -> Algorithm:
        """The `alg` of every token this key signs."""
        return algorithm_of(self.private_key)

    @cached_property
    def public_key(self) -> PublicKey:
        """The half that registries hold."""
        return self.private_key.public_key()

    @property
    def certificate_pem(self) -> str:
        """The leaf certificate as PEM text."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @cached_property
    def kid_id(self) -> str:
        """The name of this key everywhere in authsvc: its RFC 7638 thumbprint, 43 characters."""
        return thumbprint(self.public_key)

    @cached_property
    def libtrust_id(self) -> str:
        """The name by which Distribution 2.8 and Notary know this key."""
        return libtrust_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The raw JOSE signature: `r || s` in 64 bytes for ES256 (RFC 7518 §3.4)."""
        return self._raw_signer(message)

    def header(self, profile: HeaderProfile) -> dict[str, object]:
        """The JOSE header. INVARIANT: no `jwk` and no `crit`, which registries distrust or reject (A8.103, A8.108)."""
        common: dict[str, object] = {"alg": self.algorithm.value, "typ": "JWT"}
        match profile:
            case HeaderProfile.X5C:
                der = self.certificate.public_bytes(Encoding.DER)
                # Standard base64, not base64url (RFC 7515 §4.1.6). The authority is in the registry's bundle already.
                return common | {"kid": self.kid_id, "x5c": [base64.b64encode(der).decode()]}
            case HeaderProfile.LIBTRUST_KID:
                return common | {"kid": self.libtrust_id}
            case HeaderProfile.THUMBPRINT_KID:
                return common | {"kid": self.kid_id}

    def encoded_header(self, profile: HeaderProfile) -> bytes:
        """The header as the first part of a token: compact JSON in base64url without padding, computed once."""
        return self._encoded_headers[profile]

    @cached_property
    def _encoded_headers(self) -> dict[HeaderProfile, bytes]:
        return {profile: _encode(self.header(profile)) for profile in HeaderProfile}

    @cached_property
    def _raw_signer(self) -> Callable[[bytes], bytes]:
        # Straight to `cryptography`: PyJWT's algorithm objects cost ES256 about a tenth more, for checks made at load.
        match self.private_key:
            case ec.EllipticCurvePrivateKey() as p256:
                return lambda message: _raw_es256(p256.sign(message, _ES256))
            case rsa.RSAPrivateKey() as rs256:
                return lambda message: rs256.sign(message, _PKCS1V15, _SHA256)
            case ed25519.Ed25519PrivateKey() as eddsa:
                return eddsa.sign


def _raw_es256(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return (r << 256 | s).to_bytes(64, "big")


def _encode(header: dict[str, object]) -> bytes:
    text = json.dumps(header, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")
