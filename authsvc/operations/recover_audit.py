"""The way out when the log's newest copy is lost for good: a new epoch, whose first entry says what is missing."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.kept_checkpoints import KeptCheckpoints
from authsvc.adapters.postgres.database import connect_alone
from authsvc.adapters.postgres.epochs import Begun, Loss, begin_epoch
from authsvc.adapters.postgres.log import Seal
from authsvc.adapters.postgres.migrate import upgrade
from authsvc.core.canonical import Json
from authsvc.core.errors import ConflictError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind
from authsvc.core.principal import SYSTEM


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovering works with; `embedded` is DATA_DIR when the server is ours to start."""

    kept: KeptCheckpoints
    owner_url: Callable[[], str]
    embedded: Path | None
    public: bytes
    seal: Seal
    now: Callable[[], datetime]
    new_nonce: Callable[[], str]


def start_database(recovery: Recovery, stack: ExitStack) -> None:
    """Start the embedded server, as `serve` refuses to; from the main thread. Raises StartupError when it runs already."""
    if recovery.embedded is not None:
        stack.enter_context(EmbeddedServer(recovery.embedded))
        upgrade(recovery.owner_url())


async def recover_audit(recovery: Recovery, notes: Sequence[str], *, keep: bool) -> Loss:
    """Open the next epoch over what is left, and return what that writes off; `keep` false changes nothing.

    `notes` are checkpoints that were kept elsewhere. Raises ConflictError when nothing is lost, NoteError for a note that the
    audit key has not signed.
    """
    kept = recovery.kept
    marks = [*kept.marks(), *(kept.read(note) for note in notes)]
    marks += [kept.read_published(one) for one in kept.published()]
    if not marks:
        raise ConflictError(
            f"no checkpoint is known, neither in {kept.folder} nor by --checkpoint: there is nothing to recover from"
        )
    now = recovery.now()

    def describe(loss: Loss) -> Event:
        return Event(Kind.AUDIT_RECOVERED, now, recovery.new_nonce(), Requester(SYSTEM), body=_body(loss))

    async with connect_alone(recovery.owner_url()) as connection:
        begun: Begun = await begin_epoch(
            connection, marks, public=recovery.public, seal=recovery.seal, describe=describe, keep=keep
        )
    if keep:
        kept.keep(kept.read(begun.note), now=now)
    return begun.loss


def _body(loss: Loss) -> dict[str, Json]:
    return {
        "epoch": loss.epoch,
        "checkpoint": loss.old_head.note,
        "lost_from": loss.lost_from,
        "lost_until": loss.lost_until,
    }
