"""From a token that was found somewhere to its event: what was granted to whom, by which binding, and the proof of it."""

from dataclasses import dataclass
from enum import StrEnum

from authsvc.adapters.keys.verifying import is_signed_by, read_payload
from authsvc.adapters.postgres.services import list_key_records
from authsvc.core.canonical import Json
from authsvc.core.claims import payload_of
from authsvc.core.errors import Fault, InvalidInputError, NotFoundError
from authsvc.core.search import parse_filter
from authsvc.core.tlog_proof import TlogProof
from authsvc.operations.act import Actor
from authsvc.operations.deps import Deps
from authsvc.operations.prove_audit import prove_event
from authsvc.operations.query_audit import Found, Search, get_event, query_audit


class Signature(StrEnum):
    """Whether the key that the event names has signed a token; unknown where that key is gone."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FoundProof:
    """An event and the proof that it is in the log."""

    event: Found
    proof: TlogProof

    def describe(self) -> dict[str, Json]:
        """Return both for programs; `entry` is the text whose bytes were hashed."""
        return {
            "event": self.event.describe(),
            "entry": self.event.row.entry.decode(),
            "proof": self.proof.to_text(),
        }


@dataclass(frozen=True, slots=True)
class FoundToken:
    """What became of a token; `is_as_logged` says that it claims exactly what its event implies."""

    found: FoundProof
    signature: Signature
    is_as_logged: bool

    @property
    def is_genuine(self) -> bool:
        """Say whether the token is one that this service issued, as far as can be known."""
        return self.is_as_logged and self.signature is not Signature.BAD


async def find_event(deps: Deps, actor: Actor, seq: int) -> FoundProof:
    """Return an event with its proof; raises NotFoundError."""
    return FoundProof(await get_event(deps, actor, seq), await prove_event(deps, actor, seq))


async def find_token(deps: Deps, actor: Actor, token: str) -> FoundToken:
    """Return the event that a token came of; the token itself is kept and logged nowhere, and may have ended long ago.

    Raises InvalidInputError for what is no token, and NotFoundError where the log has no event of its id.
    """
    payload = read_payload(token)
    if payload is None:
        raise InvalidInputError(Fault("token", "is no JSON web token"))
    jti = payload.get("jti")
    wanted = parse_filter({"jti": jti if isinstance(jti, str) else ""}, prefix="token: its ")
    page = await query_audit(deps, actor, Search(wanted, limit=1))
    if not page.items:
        raise NotFoundError("no event has issued this token: it is not of this log, or was pruned with it")
    event = page.items[0]
    return FoundToken(
        found=FoundProof(event, await prove_event(deps, actor, event.seq)),
        signature=await _check_signature(deps, token, event),
        is_as_logged=payload == payload_of(event.fields, str(jti)),
    )


async def _check_signature(deps: Deps, token: str, event: Found) -> Signature:
    key_id = str(event.fields.get("key"))
    async with deps.database.read() as read:
        records = [record for record in await list_key_records(read) if record.id == key_id]
    if not records:
        return Signature.UNKNOWN
    (record,) = records
    is_good = is_signed_by(token, certificate=record.certificate, key_id=key_id, algorithm=record.algorithm)
    return Signature.GOOD if is_good else Signature.BAD
