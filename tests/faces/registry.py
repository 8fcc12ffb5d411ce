"""A registry as Distribution is: it finds the key that a token's header names, checks the signature, then every claim."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import httpx
import jwt
from cryptography import x509

Json: TypeAlias = dict[str, Any]

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class RefusedError(Exception):
    """A registry would not take the token, for the reason in the text."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What one registry is configured with: its name, the issuer it expects, `rootcertbundle` and `jwks`."""

    service: str
    issuer: str
    certificates: tuple[x509.Certificate, ...]
    keys: Mapping[str, Json]

    def verify(self, token: str, now: datetime) -> Json:
        """Return the claims; raises RefusedError when Distribution 2.8, 3, zot or Pulp would refuse the token at `now`."""
        parts = token.split(".")
        if len(parts) != 3 or not all(part and set(part) <= _ALPHABET for part in parts):
            raise RefusedError("not three parts of base64url without padding")
        header = decode_part(parts[0])
        if header.get("typ") != "JWT" or {"jwk", "crit"} & header.keys():
            raise RefusedError("the header")
        try:
            claims: Json = jwt.decode(
                token,
                self._key_of(header),
                algorithms=[header["alg"]],
                audience=self.service,
                issuer=self.issuer,
                # Times are checked below, as PyJWT reads the machine's clock.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise RefusedError(type(error).__name__) from error
        _check_claims(claims, int(now.timestamp()))
        return claims

    def _key_of(self, header: Json) -> Any:
        if "x5c" not in header:
            if header.get("kid") not in self.keys:
                raise RefusedError("no trusted key has the token's kid")
            return jwt.PyJWK.from_dict(self.keys[header["kid"]]).key
        leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0], validate=True))
        for root in self.certificates:
            if root.subject == leaf.issuer:
                leaf.verify_directly_issued_by(root)
                return leaf.public_key()
        raise RefusedError("the chain does not end in the bundle")


async def registry_for(client: httpx.AsyncClient, service: str, issuer: str = "authsvc") -> Registry:
    """Configure a registry with what the service publishes."""
    bundle = await client.get("/keys/bundle.pem", params={"service": service})
    key_set = await client.get("/.well-known/jwks.json", params={"service": service})
    assert (bundle.status_code, key_set.status_code) == (200, 200)
    certificates = tuple(x509.load_pem_x509_certificates(bundle.content))
    keys = key_set.json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    return Registry(service, issuer, certificates, {key["kid"]: key for key in keys})


def decode_part(part: str) -> Json:
    """Return the JSON object of a token's header or payload."""
    decoded: Json = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _check_claims(claims: Json, now: int) -> None:
    """Check what typed parsers of registries choke on, and times by the strictest of them (zot, Pulp: no leeway)."""
    if type(claims["aud"]) is not str or type(claims["sub"]) is not str or type(claims["jti"]) is not str:
        raise RefusedError("aud, sub and jti are strings")
    if any(type(claims[name]) is not int for name in ("exp", "nbf", "iat")):
        raise RefusedError("times are integers")
    if not (claims["nbf"] <= now and claims["iat"] <= now < claims["exp"]):
        raise RefusedError("times")
    if type(claims["access"]) is not list:
        raise RefusedError("access is a list")
    for entry in claims["access"]:
        if entry.keys() != {"type", "name", "actions"} or type(entry["actions"]) is not list:
            raise RefusedError("an entry has type, name and a list of actions")
        if not entry["actions"] or not all(type(action) is str for action in entry["actions"]):
            raise RefusedError("actions are strings, one at least")
