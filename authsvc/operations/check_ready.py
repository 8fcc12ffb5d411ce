"""Whether tokens can be issued now."""

from authsvc.core.errors import UnavailableError
from authsvc.core.service import Algorithm
from authsvc.operations.deps import Deps


async def check_ready(deps: Deps) -> dict[str, int]:
    """Return the policy revision and what waits; raises UnavailableError saying what is missing.

    It reads the database and looks for the key in use; it writes nothing, so that a monitor does not fill the log.
    """
    revision = await deps.memory.refresh()
    known = await deps.memory.active_key(Algorithm.ES256, "")
    if known.value is not None and deps.keys.find(known.value, now=deps.now()) is None:
        raise UnavailableError("KEYS_DIR does not hold the signing key in use")
    return {"revision": revision, "journal_waiting": deps.journal.waiting}
