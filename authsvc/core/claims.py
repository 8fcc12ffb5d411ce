"""The claim set of an access token (docs/content/spec/auth/jwt.md), without its `jti`, which only the log can give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from authsvc.core.canonical import Json
from authsvc.core.decide import Grant
from authsvc.core.service import Service


@dataclass(frozen=True, slots=True)
class Access:
    """One entry of the `access` claim; registries compare type and name as strings."""

    type: str
    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are whole seconds since 1970; `not_before` is `iat` too (token-protocol A8.113)."""

    issuer: str
    audience: str
    subject: str
    not_before: int
    expires_at: int
    access: tuple[Access, ...]

    def payload(self, jti: str) -> dict[str, Json]:
        """Return the JSON object to sign: `aud` a string, `access` always an array, times integers (A8.110-117)."""
        return {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.audience,
            "exp": self.expires_at,
            "nbf": self.not_before,
            "iat": self.not_before,
            "jti": jti,
            "access": [
                {"type": access.type, "name": access.name, "actions": access.actions}
                for access in self.access
            ],
        }

    def entry(self) -> dict[str, Json]:
        """Return what the log keeps of the claims beside the grants."""
        return {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": self.subject,
            "nbf": self.not_before,
            "exp": self.expires_at,
        }


def access_of(grants: Iterable[Grant]) -> tuple[Access, ...]:
    """Return the access claim of grants, in the order asked; a scope of which nothing was granted is left out (A4.73)."""
    return tuple(
        Access(grant.scope.type, grant.scope.name, granted) for grant in grants if (granted := grant.granted)
    )


def make_claims(
    *,
    service: Service,
    audience: str,
    subject: str,
    now: datetime,
    expires_at: datetime,
    access: tuple[Access, ...],
) -> Claims:
    """Return the claims of a token issued `now` that ends at `expires_at`."""
    return Claims(
        issuer=service.issuer,
        audience=audience,
        subject=subject,
        not_before=int(now.timestamp()) - service.backdate_seconds,
        expires_at=int(expires_at.timestamp()),
        access=access,
    )


def payload_of(entry: Mapping[str, Json], jti: str) -> dict[str, Json]:
    """Return the payload that an issued token's entry implies: what an auditor holds a token against."""
    token, grants = entry["token"], entry["grants"]
    if not isinstance(token, Mapping) or not isinstance(grants, list):
        raise TypeError("no entry of an issued token")
    access: list[Json] = [
        {"type": grant["type"], "name": grant["name"], "actions": sorted(grant["granted"])}
        for grant in grants
        if grant.get("granted")
    ]
    return {**token, "iat": token["nbf"], "jti": jti, "access": access}
