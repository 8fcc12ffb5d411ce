"""Whether tokens can be issued now."""

from authsvc.core.errors import UnavailableError
from authsvc.core.service import Algorithm
from authsvc.operations.deps import Deps


async def check_ready(deps: Deps) -> dict[str, int]:
    """Return the policy revision, what waits, and the days left to the certificate of the shared ES256 key, if that is in use.

    Raises UnavailableError saying what is missing. It reads the database and looks for the key in use; it writes nothing, so that
    a monitor does not fill the log.
    """
    deps.custody.demand()
    if deps.journal.trouble is not None:
        raise UnavailableError(deps.journal.trouble)
    revision = await deps.memory.refresh()
    known = await deps.memory.active_key(Algorithm.ES256, "")
    state = {"revision": revision, "journal_waiting": deps.journal.waiting}
    if known.value is not None:
        now = deps.now()
        key = deps.keys.find(known.value, now=now)
        if key is None:
            raise UnavailableError("KEYS_DIR does not hold the signing key in use")
        state["certificate_days"] = (deps.keys.ends_at(key) - now).days
    return state
