"""Opening an epoch after the log's newest copy was lost, as the owner of the database; the application opens the first only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from authsvc.adapters.postgres.custody import Custody, holds, is_written_off
from authsvc.adapters.postgres.log import (
    Connection,
    Epoch,
    Seal,
    append_batch,
    compose_batch,
    compose_line,
    lock_log,
)
from authsvc.core.errors import ConflictError
from authsvc.core.event import Event
from authsvc.core.mark import Mark, name_origin
from authsvc.core.note import verifier_key

_NEWEST_EPOCH = "SELECT number, origin, verifier_key FROM epochs ORDER BY number DESC LIMIT 1"
_OPEN = "INSERT INTO epochs (number, origin, verifier_key, begins, lost_until) VALUES (%s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a new epoch writes off: the entries from `lost_from` up to before `lost_until`, and the old head that shows them."""

    epoch: int
    lost_from: int
    lost_until: int
    old_head: Mark


@dataclass(frozen=True, slots=True)
class Begun:
    """An epoch that was opened: what it writes off, and the note of its first checkpoint."""

    loss: Loss
    note: str


async def begin_epoch(
    connection: Connection,
    marks: Sequence[Mark],
    *,
    public: bytes,
    seal: Seal,
    describe: Callable[[Loss], Event],
    keep: bool,
) -> Begun:
    """Open the next epoch with the event that says what is lost; `keep` false undoes it all again.

    `marks` are all checkpoints that are known to have been signed. Raises ConflictError when the log holds them all, or when they
    are of another log.
    """
    async with connection.transaction(force_rollback=not keep):
        await connection.execute("SELECT ensure_log_partitions()")
        await lock_log(connection)
        row = await (await connection.execute(_NEWEST_EPOCH)).fetchone()
        number, origin, key = row or (0, "", "")
        head = await Custody(Epoch(number, origin)).read_head(connection)
        newest = max(marks, key=lambda mark: mark.place)
        of_one_log = all(mark.log == newest.log for mark in marks)
        is_ours = not head.size or (
            key == verifier_key(origin, public) and origin == name_origin(newest.log, number)
        )
        if not (of_one_log and is_ours):
            raise ConflictError(
                "the checkpoints are of another log than this database's: check KEYS_DIR and DATABASE_URL"
            )
        held = [mark for mark in marks if await holds(connection, mark.checkpoint)]
        missing = [mark for mark in marks if mark not in held and not await is_written_off(connection, mark)]
        if not missing:
            raise ConflictError("nothing is lost: the log holds every checkpoint that is known")
        begins = await _read_begins(connection)
        loss = Loss(
            epoch=max(number, newest.epoch) + 1,
            lost_from=min(_kept_of(mark, held, begins, head.size) for mark in missing),
            lost_until=max(mark.checkpoint.size for mark in missing),
            old_head=max(missing, key=lambda mark: mark.place),
        )
        epoch = Epoch(loss.epoch, name_origin(newest.log, loss.epoch))
        await connection.execute(
            _OPEN,
            [epoch.number, epoch.origin, verifier_key(epoch.origin, public), head.size, loss.lost_until],
        )
        batch = compose_batch(head, [compose_line(describe(loss))], epoch=epoch, seal=seal)
        await append_batch(connection, batch, epoch)
    return Begun(loss, batch.checkpoint)


async def _read_begins(connection: Connection) -> dict[int, int]:
    """Return where each epoch begins."""
    return dict(await (await connection.execute("SELECT number, begins FROM epochs")).fetchall())


def _kept_of(missing: Mark, held: Sequence[Mark], begins: Mapping[int, int], size: int) -> int:
    """Return how much of what a missing checkpoint is of the log, of `size` entries, still has.

    It has all up to its end, or to where a later epoch began. One that went on differently before that is the same only as far as
    the last checkpoint that it still holds.
    """
    end = min([size, *(first for epoch, first in begins.items() if epoch > missing.epoch)])
    if missing.checkpoint.size > end:
        return end
    before = [mark.checkpoint.size for mark in held if mark.place < missing.place]
    return max((one for one in before if one < missing.checkpoint.size), default=0)
