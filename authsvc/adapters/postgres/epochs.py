"""Opening an epoch after the log's newest copy was lost, as the owner of the database; the application opens the first only."""

from collections.abc import Callable, Sequence
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
        if head.size and (key != verifier_key(origin, public) or origin != name_origin(newest.log, number)):
            raise ConflictError(
                "the checkpoints are of another log than this database's: check KEYS_DIR and DATABASE_URL"
            )
        held = [mark for mark in marks if await holds(connection, mark.checkpoint)]
        missing = [mark for mark in marks if mark not in held and not await is_written_off(connection, mark)]
        if not missing:
            raise ConflictError("nothing is lost: the log holds every checkpoint that is known")
        sizes = [mark.checkpoint.size for mark in missing]
        loss = Loss(
            epoch=max(number, newest.epoch) + 1,
            # A log that went on differently is the same only as far as the last checkpoint that it still holds.
            lost_from=head.size
            if min(sizes) > head.size
            else max((mark.checkpoint.size for mark in held), default=0),
            lost_until=max(sizes),
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
