"""Refused credentials: logged one by one as long as they are few, turned away and counted when they are many."""

from collections.abc import Sequence

from authsvc.core.recorded import Recorded
from authsvc.core.scope import Scope
from authsvc.operations.authenticate import Refused
from authsvc.operations.deps import Deps
from authsvc.operations.throttle import address_key
from authsvc.operations.token_events import describe_refused
from authsvc.operations.token_request import TokenRequest, requester_of


async def record_refused(
    deps: Deps, request: TokenRequest, scopes: Sequence[Scope], refused: Refused
) -> Refused | None:
    """Log refused credentials and return them, or None when the refusal rests on old policy.

    Raises ThrottledError when the address has had enough refusals lately.
    """
    key = ("credentials", address_key(request.address))
    deps.throttle.check_failures(key, deps.now())
    event = describe_refused(
        deps,
        requester_of(request, refused),
        service=request.service,
        reason=refused.reason,
        scopes=[str(scope) for scope in scopes],
        client=request.client,
    )
    recorded = await deps.journal.record(event, revision=refused.revision)
    if not isinstance(recorded, Recorded):
        await deps.memory.catch_up(recorded.revision)
        return None
    deps.throttle.failures.count(key, deps.now())
    return refused
