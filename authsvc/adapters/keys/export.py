"""What a registry is given to verify tokens with: public halves only, and only those it can load (A9.121-128)."""

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.adapters.keys.authority import CertificateAuthority
from authsvc.adapters.keys.errors import KeyExportError
from authsvc.adapters.keys.identifiers import jwk_members, supported
from authsvc.adapters.keys.signing import SigningKey
from authsvc.core.service import Algorithm, HeaderProfile


def bundle_pem(
    keys: Sequence[SigningKey], authority: CertificateAuthority, *, profile: HeaderProfile, leaf: bool = False
) -> str:
    """The PEM certificates for a registry's `rootcertbundle` or, with `leaf`, the one certificate that zot or Pulp hold.

    Under `x5c` that is the authority alone, so that a new key needs no restart; otherwise the keys' own certificates,
    from which the registry derives their names. Raises `KeyExportError` when nothing that it could load remains.
    """
    if profile is HeaderProfile.X5C and not leaf:
        return authority.certificate.public_bytes(Encoding.PEM).decode()
    chosen = [_only(keys)] if leaf else list(_unique(keys))
    loadable = [key for key in chosen if not _panics_libtrust(key, profile)]
    if not loadable:
        raise KeyExportError(
            "no key that a registry with the header libtrust-kid can load: it knows no Ed25519; use ES256 or RS256"
            if chosen
            else "no key to export"
        )
    return "".join(key.certificate.public_bytes(Encoding.PEM).decode() for key in loadable)


def public_key_pem(key: SigningKey) -> str:
    """The public key alone (SubjectPublicKeyInfo), for programs that want no certificate, as Pulp."""
    return supported(key.public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwks(
    keys: Sequence[SigningKey], *, profile: HeaderProfile, leaf: bool = False
) -> dict[str, list[dict[str, str]]]:
    """The JWK set for Distribution 3 or, with `leaf`, the set of one entry that zot demands (RFC 7517 §5).

    Under the `kid` profiles each key is listed by both its names, so that one file serves a registry whichever of the
    two a token carries. Raises `KeyExportError` for no keys: Distribution panics on an empty set.
    """
    chosen = [_only(keys)] if leaf else list(_unique(keys))
    if not chosen:
        raise KeyExportError("no key to export")
    return {"keys": [_jwk(key, kid) for key in chosen for kid in _names(key, profile, leaf=leaf)]}


def _names(key: SigningKey, profile: HeaderProfile, *, leaf: bool) -> tuple[str, ...]:
    match profile:
        case HeaderProfile.X5C:
            return (key.kid_id,)
        case HeaderProfile.THUMBPRINT_KID:
            return (key.kid_id,) if leaf else (key.kid_id, key.libtrust_id)
        case HeaderProfile.LIBTRUST_KID:
            return (key.libtrust_id,) if leaf else (key.libtrust_id, key.kid_id)


def _jwk(key: SigningKey, kid: str) -> dict[str, str]:
    return jwk_members(supported(key.public_key)) | {"use": "sig", "alg": key.algorithm.value, "kid": kid}


def _panics_libtrust(key: SigningKey, profile: HeaderProfile) -> bool:
    # One Ed25519 certificate in its bundle stops Distribution 2.8 at start (A9.124).
    return profile is HeaderProfile.LIBTRUST_KID and key.algorithm is Algorithm.EDDSA


def _only(keys: Sequence[SigningKey]) -> SigningKey:
    unique = list(_unique(keys))
    if len(unique) != 1:
        raise KeyExportError(f"a registry that holds one key cannot be given {len(unique)}")
    return unique[0]


def _unique(keys: Iterable[SigningKey]) -> Iterable[SigningKey]:
    return {key.kid_id: key for key in keys}.values()
