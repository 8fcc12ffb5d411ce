"""Machine credentials: personal access tokens, robot secrets and refresh tokens.

One text form, `ats_<kind><id>_<secret><checksum>`: looked up by id, and refused by its checksum without asking any store. Only
letters, digits and `_` occur, as Jib posts refresh tokens without encoding them (token-protocol A6.86). Secret scanners find it
by `ats_[pru][a-z2-7]{16}_[0-9A-Za-z]{46}`.
"""

import re
import string
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from authsvc.core.principal import Limit, Network, Principal

SECRET_LENGTH = 40
SECRET_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PREFIX = "ats_"
MAX_LIFE = timedelta(days=366)
"""How long a personal access token or a refresh token lives at most, and where nothing else is said."""

_FORM = re.compile(r"ats_([pru])([a-z2-7]{16})_[0-9A-Za-z]{46}")


class CredentialKind(StrEnum):
    """What kind of credential authenticated a request."""

    PASSWORD = "password"  # noqa: S105 - the name of a kind, not a password
    PERSONAL = "personal"
    ROBOT = "robot"
    REFRESH = "refresh"


_PAIRS = tuple(first + second for first in SECRET_ALPHABET for second in SECRET_ALPHABET)
_LETTERS = {"p": CredentialKind.PERSONAL, "r": CredentialKind.ROBOT, "u": CredentialKind.REFRESH}
_LETTER_OF = {kind: letter for letter, kind in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class MachineSecret:
    """A well-formed machine credential as it was presented; whether it is anybody's is not known yet."""

    kind: CredentialKind
    id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored machine credential, never the secret itself.

    `owner_version` is the owner's credential version it was made under where a change of password ends it. `service` is
    where a refresh token was obtained. `limits` None narrows nothing; empty `cidrs` hold for all addresses.
    """

    id: str
    kind: CredentialKind
    owner: Principal
    digest: bytes = field(repr=False)
    limits: tuple[Limit, ...] | None = None
    cidrs: tuple[Network, ...] = ()
    expires_at: datetime | None = None
    owner_version: int | None = None
    service: str | None = None


def looks_like_machine_secret(text: str) -> bool:
    """Say whether `text` claims to be a machine credential, so that no password is ever tried with it."""
    return text.startswith(PREFIX)


def compose_secret(kind: CredentialKind, id_: str, random_text: str) -> MachineSecret:
    """Return the credential text for 40 random base-62 characters (238 bits); it is shown once and never stored."""
    body = f"{PREFIX}{_LETTER_OF[kind]}{id_}_{random_text}"
    text = body + _checksum(body)
    if _FORM.fullmatch(text) is None:
        raise ValueError("id or secret outside their alphabets")
    return MachineSecret(kind, id_, text)


def parse_secret(text: str) -> MachineSecret | None:
    """Return the credential that `text` writes, or None when its form or checksum is wrong."""
    matched = _FORM.fullmatch(text)
    if matched is None or _checksum(text[:-6]) != text[-6:]:
        return None
    return MachineSecret(_LETTERS[matched[1]], matched[2], text)


def _checksum(body: str) -> str:
    """Return the CRC-32 of `body` as six base-62 digits: it catches typing errors, and is no secret."""
    high, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    return _PAIRS[high // len(_PAIRS)] + _PAIRS[high % len(_PAIRS)] + _PAIRS[low]
