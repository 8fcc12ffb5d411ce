"""Explaining the past: a token of the log, decided again by the policy of its moment, which the log alone gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from authsvc.adapters.postgres.history import find_entry, read_policy_entries
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.decide import Grant
from authsvc.core.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from authsvc.core.event import MalformedEntryError
from authsvc.core.issued import describe_grant
from authsvc.core.kind import Kind
from authsvc.core.replay import Policy
from authsvc.core.replay_decision import decide_again
from authsvc.operations.deps import Deps


@dataclass(frozen=True, slots=True)
class Replayed:
    """A token's entry, and its decision made again."""

    entry: Mapping[str, Json]
    grants: tuple[Grant, ...]


async def explain_event(deps: Deps, seq: int) -> Replayed:
    """Return the grants of a `token.issued` event with their reasons, as decided again; for the server's own console.

    Raises NotFoundError and InvalidInputError for another event, and ConflictError when what is decided again is not what the log
    says, or the log no longer reaches back to the policy of that moment.
    """
    policy = Policy()
    async with deps.database.read() as read:
        driver = await read.driver()
        found = await find_entry(driver, seq)
        if found is None:
            raise NotFoundError(f"the log has no event {seq}")
        entry = canonical.decode(found)
        if entry.get("kind") != Kind.TOKEN_ISSUED:
            raise InvalidInputError(Fault("--event", f"event {seq} is no token.issued: it decided nothing"))
        try:
            async for at, before in read_policy_entries(driver, before=seq):
                policy.fold([(at, canonical.decode(before))])
            grants = decide_again(policy, entry)
        except MalformedEntryError as error:
            raise ConflictError(
                f"event {seq} cannot be decided again: {error}; run 'authsvc audit verify'"
            ) from error
    service = policy.service(str(entry["service"]))
    again: list[Json] = [describe_grant(grant, service) for grant in grants]
    if canonical.encode({"grants": again}) != canonical.encode({"grants": entry["grants"]}):
        raise ConflictError(f"event {seq} says something else than its policy: run 'authsvc audit verify'")
    return Replayed(entry, grants)
