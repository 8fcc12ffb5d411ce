"""Signing: the one way to an access token, and it begins with the proof that its event is in the log."""

import asyncio
import base64

import orjson

from authsvc.adapters.keys.signing import SigningKey
from authsvc.core.claims import Claims
from authsvc.core.event import TokenIssued
from authsvc.core.recorded import Recorded
from authsvc.core.service import Algorithm, HeaderProfile
from authsvc.operations.deps import Deps

SIGNATURE_CHARACTERS = 512
"""Of the longest signature, RSA with 3072 bits."""


def token_size(claims: Claims, *, key: SigningKey, header: HeaderProfile) -> int:
    """Return about how many characters the token of these claims will have."""
    payload = len(orjson.dumps(claims.payload("1.9007199254740991.12345678901"))) * 4 // 3
    return len(key.encoded_header(header)) + payload + SIGNATURE_CHARACTERS


async def sign_token(deps: Deps, recorded: Recorded, *, key: SigningKey, header: HeaderProfile) -> str:
    """Return the compact JWS (RFC 7515) of the claims that the recorded event implies, and of no others.

    The caller passes the key that the event names. RSA is signed beside the event loop: it takes longer than all the rest.
    """
    event = recorded.event
    if not isinstance(event, TokenIssued) or event.claims is None:
        raise TypeError("the event issues no token")
    payload = orjson.dumps(event.claims.payload(recorded.jti))
    message = key.encoded_header(header) + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    if key.algorithm is Algorithm.RS256:
        loop = asyncio.get_running_loop()
        signature = await loop.run_in_executor(deps.signing_threads, key.sign, message)
    else:
        signature = key.sign(message)
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
