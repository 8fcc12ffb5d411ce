"""Reading access tokens that come back to us: what they say, and whether a certified key has signed it."""

from typing import Any

import jwt
from cryptography import x509
from jwt.types import Options

from authsvc.adapters.keys.errors import UnsupportedKeyError
from authsvc.adapters.keys.identifiers import supported, thumbprint
from authsvc.core.canonical import Json
from authsvc.core.service import Algorithm

MAX_TOKEN = 64 * 1024

_UNCHECKED: Options = {
    "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False,
    "verify_sub": False, "verify_jti": False,
}  # fmt: skip


def read_payload(token: str) -> dict[str, Json] | None:
    """Return what a compact JWS says, believing nothing of it; None when it is none."""
    try:
        payload: dict[str, Any] = jwt.decode(
            token[:MAX_TOKEN], options={**_UNCHECKED, "verify_signature": False}
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return payload


def is_signed_by(token: str, *, certificate: str, key_id: str, algorithm: Algorithm) -> bool:
    """Say whether the key of a PEM certificate has signed `token`, whatever its times, and is the one that `key_id` names.

    The id is the key's own thumbprint, so that the certificate may come from anywhere.
    """
    try:
        public = supported(x509.load_pem_x509_certificate(certificate.encode()).public_key())
        if thumbprint(public) != key_id:
            return False
        jwt.decode(token, public, algorithms=[algorithm.value], options=_UNCHECKED)
    except (jwt.PyJWTError, UnsupportedKeyError, ValueError):
        return False
    return True
