"""Proof, before a key signs for anybody, that registries will accept what it signs (token-protocol A9.129).

Each profile's token is verified from what is exported for that profile, by the registry's own rule for finding the key,
and with PyJWT, which shares nothing with the signing.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeAlias

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.errors import KeySelfTestError
from authsvc.adapters.keys.export import bundle_pem, jwks
from authsvc.adapters.keys.identifiers import PublicKey, distribution_thumbprint, libtrust_id, supported
from authsvc.adapters.keys.signing import SigningKey
from authsvc.core.service import Algorithm, HeaderProfile

_Header: TypeAlias = dict[str, Any]
_Lookup: TypeAlias = Callable[[_Header], PublicKey]

_CLAIMS = base64.urlsafe_b64encode(b'{"access":[]}').rstrip(b"=")


class _RefusedError(Exception):
    """A registry would not accept the token, for the reason in the text."""


def check(key: SigningKey, authority: CertificateAuthority, *, now: datetime) -> None:
    """Raises `KeySelfTestError` unless every registry that can load the key accepts its tokens at `now`.

    It costs a signature and a verification per rule: milliseconds, paid once for each key before its first use.
    """
    for rule, profile, lookup in _registries(key, authority, now):
        try:
            _verify(_token(key, profile), key.algorithm, lookup)
        except _RefusedError as refused:
            raise KeySelfTestError(f"key {key.kid_id}: {rule}: {refused}") from refused


def _registries(
    key: SigningKey, authority: CertificateAuthority, now: datetime
) -> Iterator[tuple[str, HeaderProfile, _Lookup]]:
    """Every rule by which a registry finds the key of a token, over what is exported for it."""
    x5c, libtrust, by_thumbprint = HeaderProfile.X5C, HeaderProfile.LIBTRUST_KID, HeaderProfile.THUMBPRINT_KID

    yield "x5c", x5c, lambda header: _chain_leaf(header, bundle_pem([key], authority, profile=x5c), now)
    if key.algorithm is not Algorithm.EDDSA:  # what knows libtrust ids of certificates knows no Ed25519
        bundle = bundle_pem([key], authority, profile=libtrust)
        yield "libtrust id in a bundle", libtrust, _by_kid(_certified_keys(bundle, libtrust_id))
    yield "libtrust id in a JWKS", libtrust, _by_kid(_listed_keys(jwks([key], profile=libtrust)))
    bundle = bundle_pem([key], authority, profile=by_thumbprint)
    yield "thumbprint in a bundle", by_thumbprint, _by_kid(_certified_keys(bundle, distribution_thumbprint))
    yield "thumbprint in a JWKS", by_thumbprint, _by_kid(_listed_keys(jwks([key], profile=by_thumbprint)))


def _token(key: SigningKey, profile: HeaderProfile) -> bytes:
    message = key.encoded_header(profile) + b"." + _CLAIMS
    return message + b"." + base64.urlsafe_b64encode(key.sign(message)).rstrip(b"=")


def _verify(token: bytes, algorithm: Algorithm, lookup: _Lookup) -> None:
    public_key = lookup(jwt.get_unverified_header(token))
    try:
        jwt.decode(token, key=public_key, algorithms=[algorithm.value])
    except (jwt.PyJWTError, TypeError) as error:  # TypeError: a key of another kind
        raise _RefusedError("the key found is not the one that signed") from error


def _by_kid(trusted: dict[str, PublicKey]) -> _Lookup:
    def lookup(header: _Header) -> PublicKey:
        if header["kid"] not in trusted:
            raise _RefusedError("no trusted key has the token's kid")
        return trusted[header["kid"]]

    return lookup


def _certified_keys(bundle: str, name_of: Callable[[PublicKey], str]) -> dict[str, PublicKey]:
    certificates = x509.load_pem_x509_certificates(bundle.encode())
    public_keys = [supported(certificate.public_key()) for certificate in certificates]
    return {name_of(public_key): public_key for public_key in public_keys}


def _listed_keys(key_set: dict[str, list[dict[str, str]]]) -> dict[str, PublicKey]:
    return {entry["kid"]: supported(jwt.PyJWK.from_dict(entry).key) for entry in key_set["keys"]}


def _chain_leaf(header: _Header, bundle: str, now: datetime) -> PublicKey:
    [leaf] = [x509.load_der_x509_certificate(base64.b64decode(text)) for text in header["x5c"]]
    [root] = x509.load_pem_x509_certificates(bundle.encode())
    try:
        leaf.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise _RefusedError("the certificate was not issued by the authority in the bundle") from error
    for certificate in (leaf, root):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _RefusedError(f"a certificate of the chain is not valid at {now:%Y-%m-%d %H:%M} UTC")
    return supported(leaf.public_key())
