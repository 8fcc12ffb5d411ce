"""A token request and its answer, as the realm's face and the operations exchange them."""

from dataclasses import dataclass
from datetime import datetime

from authsvc.core.event import Requester
from authsvc.core.presented import Presented
from authsvc.core.principal import Address
from authsvc.operations.authenticate import Authenticated, Refused


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a client asks of the realm; `offline` asks for a refresh token too. `peer` is the socket's address."""

    service: str
    scopes: tuple[str, ...]
    presented: Presented
    address: Address | None
    peer: str | None
    agent: str | None
    client: str | None
    offline: bool


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The answer: an access token, and what a response says of it; `granted` are scope strings."""

    token: str
    granted: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    refresh_token: str | None = None


def requester_of(request: TokenRequest, who: Authenticated | Refused) -> Requester:
    """Return who made the request, as the log keeps it."""
    return Requester(
        who.principal,
        address=None if request.address is None else str(request.address),
        peer=request.peer,
        agent=request.agent,
        credential_kind=who.kind,
        credential_id=who.credential_id,
    )
