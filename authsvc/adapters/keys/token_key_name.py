"""File names of token keys: `token-ES256-shared-20261123T174900Z-8qjioA3Z`, or `…-for-registry.example.com_3a5000-…`.

Only letters, digits and `-._` occur, because a Kubernetes Secret allows no others.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from authsvc.adapters.keys.errors import KeyNameError
from authsvc.core.errors import Fault
from authsvc.core.service import Algorithm

MAX_SERVICE_BYTES = 160
_STAMP = "%Y%m%dT%H%M%SZ"
_PATTERN = re.compile(
    r"token-(?P<algorithm>ES256|RS256|EdDSA)"
    r"-(?:shared|for-(?P<service>(?:[A-Za-z0-9.-]|_[0-9a-f]{2})+))"
    r"-(?P<stamp>[0-9]{8}T[0-9]{6}Z)"
    r"-(?P<kid>[A-Za-z0-9_-]{8})"
)


@dataclass(frozen=True, slots=True)
class TokenKeyName:
    """What the name of a pair of files says; `service` is None for a key that all services share."""

    algorithm: Algorithm
    service: str | None
    created_at: datetime
    kid_prefix: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The inverse of `str`; None for a name that is none of ours."""
        if (match := _PATTERN.fullmatch(text)) is None:
            return None
        try:
            created_at = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
            service = None if match["service"] is None else _decode(match["service"])
        except ValueError:
            return None
        return cls(Algorithm(match["algorithm"]), service, created_at, match["kid"])

    def __str__(self) -> str:
        """The name without extension; the time is in UTC and whole seconds. Raises `KeyNameError` when it is too long."""
        label = "shared" if self.service is None else f"for-{_encode(self.service)}"
        return f"token-{self.algorithm}-{label}-{self.created_at.astimezone(UTC):{_STAMP}}-{self.kid_prefix}"


def _encode(service: str) -> str:
    """Bytes other than ASCII letters, digits, `-` and `.` become `_` and two hexadecimal digits."""
    encoded = re.sub(rb"[^A-Za-z0-9.-]", lambda match: b"_%02x" % match[0][0], service.encode()).decode()
    if not 0 < len(encoded) <= MAX_SERVICE_BYTES:
        raise KeyNameError(
            Fault("/own_key", "a service whose name is empty or very long cannot have one: shorten its name")
        )
    return encoded


def _decode(encoded: str) -> str:
    return re.sub(
        rb"_([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), encoded.encode()
    ).decode()
