"""How registries name a public key: libtrust's fingerprint and the RFC 7638 thumbprint (token-protocol A8, B3)."""

import base64
import hashlib
import json
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.adapters.keys.errors import UnsupportedKeyError

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def supported(key: object) -> PublicKey:
    """The same key, once it is known to be of a kind that registries load; otherwise `UnsupportedKeyError`.

    INVARIANT: nothing else is ever exported: one key of another kind makes Distribution panic at start (A9.122).
    """
    if isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    raise UnsupportedKeyError("the key must be RSA, EC on P-256, P-384 or P-521, or Ed25519")


def jwk_members(public_key: PublicKey) -> dict[str, str]:
    """The required members of the key's JWK, which are the ones a thumbprint covers (RFC 7638 §3.2, RFC 8037 §2)."""
    match public_key:
        case rsa.RSAPublicKey():
            numbers = public_key.public_numbers()
            return {"e": _base64url(_minimal(numbers.e)), "kty": "RSA", "n": _base64url(_minimal(numbers.n))}
        case ec.EllipticCurvePublicKey():
            x, y = _padded_coordinates(public_key)
            return {
                "crv": _CURVES[public_key.curve.name],
                "kty": "EC",
                "x": _base64url(x),
                "y": _base64url(y),
            }
        case ed25519.Ed25519PublicKey():
            return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key.public_bytes_raw())}


def thumbprint(public_key: PublicKey) -> str:
    """SHA-256 of the key's JWK as base64url without padding: 43 characters (RFC 7638 §3)."""
    return _hash(jwk_members(public_key))


def distribution_thumbprint(public_key: PublicKey) -> str:
    """The thumbprint as Distribution 3.1 computes it for a certificate of its bundle.

    It drops leading zero bytes of EC coordinates, so it differs from RFC 7638 for about one P-256 key in 128 (A8.106).
    """
    members = jwk_members(public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        numbers = public_key.public_numbers()
        members |= {"x": _base64url(_minimal(numbers.x)), "y": _base64url(_minimal(numbers.y))}
    return _hash(members)


def libtrust_id(public_key: PublicKey) -> str:
    """The first 240 bits of SHA-256 of the DER SubjectPublicKeyInfo, in base32: 12 groups of 4 joined by `:` (A8.104)."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def has_leading_zero_coordinate(public_key: PublicKey) -> bool:
    """Whether X or Y of an EC key begins with a zero byte; such a key has no thumbprint that all registries agree on."""
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        return False
    return any(coordinate[0] == 0 for coordinate in _padded_coordinates(public_key))


def _padded_coordinates(public_key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    numbers, size = public_key.public_numbers(), (public_key.key_size + 7) // 8
    return numbers.x.to_bytes(size, "big"), numbers.y.to_bytes(size, "big")


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _hash(members: dict[str, str]) -> str:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
