"""A service: what one registered registry needs of its tokens (DESIGN 8)."""

from dataclasses import dataclass
from enum import StrEnum

MIN_TOKEN_TTL = 60
DEFAULT_TOKEN_TTL = 300


class Algorithm(StrEnum):
    """How tokens are signed (RFC 7518 names)."""

    ES256 = "ES256"
    RS256 = "RS256"
    EDDSA = "EdDSA"


class HeaderProfile(StrEnum):
    """How a token's header names its key; no single form is accepted by every registry (token-protocol B2)."""

    X5C = "x5c"
    LIBTRUST_KID = "libtrust-kid"
    THUMBPRINT_KID = "thumbprint-kid"


@dataclass(frozen=True, slots=True)
class Service:
    """A registered registry. `name` is the token's audience; an alias is another audience with the same settings.

    `token_ttl_seconds` is at least 60 (registries' clients assume it); `backdate_seconds` is taken off `nbf` and `iat` for
    registries that allow no clock leeway. `name_prefix` is stripped from names when they are matched, never in the claim.
    """

    name: str
    issuer: str
    algorithm: Algorithm = Algorithm.ES256
    header: HeaderProfile = HeaderProfile.X5C
    token_ttl_seconds: int = DEFAULT_TOKEN_TTL
    backdate_seconds: int = 10
    refresh_tokens: bool = True
    anonymous: bool = True
    own_key: bool = False
    isolated: bool = False
    aliases: tuple[str, ...] = ()
    name_prefix: str = ""
