"""Whether what reconciliation goes by can be: where it has come to, and when registries were heard."""

from datetime import datetime, timedelta

from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.reconciliation import list_registries, read_cursor
from authsvc.operations.advise import Finding, State

AHEAD = timedelta(minutes=5)
"""How far a node's clock may have been ahead of this one: then it did not take tokens either."""


async def check_reports(connection: Connection, *, size: int, now: datetime) -> list[Finding]:
    """Return what is impossible: a cursor beyond the log's `size`, which skips operations, and reports that are to come.

    Both hide what a registry does without a grant, or that it is silent; the triggers let only the owner set them back.
    """
    cursor = await read_cursor(connection)
    if cursor >= size:
        words = (
            f"its cursor is at {cursor}, and the log ends before {size}: operations are passed over; as the owner, set"
            " cursors.seq of reconciliation back to -1, and look for who moved it"
        )
        found = [Finding("reconciliation", State.FAIL, words)]
    else:
        found = [
            Finding(
                "reconciliation",
                State.OK,
                "what is reported is held against grants"
                if cursor < 0
                else f"operations up to entry {cursor} were held against grants",
            )
        ]
    for registry in await list_registries(connection):
        if registry.heard_at > now + AHEAD:
            words = (
                f"was last heard at {registry.heard_at:%Y-%m-%d %H:%M}, which is to come, so that its silence is not found;"
                " as the owner, delete its row of registries, and look for who wrote it"
            )
            found.append(Finding(f"registry {registry.service}", State.FAIL, words))
    return found
