"""Requests that come again: what was found out about them, up to the point where an event is written.

Nodes ask for the same images over and over. What follows from a request and from policy is kept by the whole request and used
until something changes that it rests on; what is new each time, the event and the signature, is made each time.
"""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from authsvc.adapters.keys.signing import SigningKey
from authsvc.adapters.postgres.known import Basis
from authsvc.adapters.postgres.memory import PolicyMemory
from authsvc.core.event import Requester
from authsvc.core.principal import Address
from authsvc.core.service import Service
from authsvc.operations.decide_scopes import Decision

MAX_PREPARED = 8_192
MAX_VERDICTS = 8
"""Actions in a request that is kept, as it takes some 300 bytes for each; nodes ask for a few of one to three repositories."""


class RequestKey(NamedTuple):
    """INVARIANT: a typed tuple of everything that the answer follows from but policy and time; the secret as a keyed digest."""

    name: str | None
    secret: bytes
    service: str
    scopes: tuple[str, ...]
    address: Address | None
    peer: str | None
    agent: str | None
    client: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was decided at `decided_at`, under the policy that `basis` says.

    `ends` is when the first thing it rests on lapses, None for never. `keep_until` is until when the same request need not
    be looked into again, None for not at all.
    """

    service: Service
    audience: str
    by: Requester
    decision: Decision
    odd: tuple[str, ...]
    key: SigningKey
    decided_at: datetime
    ends: datetime | None
    basis: Basis
    keep_until: datetime | None

    @property
    def revision(self) -> int:
        """Return the policy revision that the decision is valid at."""
        return self.basis.revision


class PreparedRequests:
    """The newest requests that were decided."""

    def __init__(self) -> None:
        self._kept: OrderedDict[RequestKey, Prepared] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def fingerprint(self, secret: str) -> bytes:
        """Return a digest of a secret under a key that only this process has, and that ends with it."""
        return hashlib.blake2b(
            secret.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32
        ).digest()

    def find(self, key: RequestKey, memory: PolicyMemory, *, now: datetime) -> Prepared | None:
        """Return the same request as it was decided when what it rests on was as it is at the memory's revision, or None.

        INVARIANT: the caller's event says that it rests on `revision`, so that the journal refuses it when policy has moved on.
        """
        prepared = self._kept.get(key)
        if prepared is None:
            return None
        if prepared.keep_until is None or now >= prepared.keep_until or not memory.is_current(prepared.basis):
            del self._kept[key]
            return None
        if prepared.revision < memory.revision:
            basis = Basis(memory.revision, prepared.basis.depends)
            prepared = self._kept[key] = replace(prepared, basis=basis)
        self._kept.move_to_end(key)
        return prepared

    def keep(self, key: RequestKey, prepared: Prepared) -> None:
        """Keep a request for when it comes again, unless it is large."""
        verdicts = sum(len(grant.verdicts) for grant in prepared.decision.grants)
        if prepared.keep_until is not None and verdicts <= MAX_VERDICTS:
            self._kept[key] = prepared
            if len(self._kept) > MAX_PREPARED:
                self._kept.popitem(last=False)
