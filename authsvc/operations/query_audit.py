"""Asking the log; asking is an event itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from authsvc.adapters.postgres.audit_log import LogEntry, list_events
from authsvc.adapters.postgres.database import Read
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.event import Event, from_microseconds, index_entry
from authsvc.core.issued import outcome_of_described
from authsvc.core.kind import Kind
from authsvc.core.repository import parse_repository
from authsvc.core.search import PARAMETERS, Filter
from authsvc.operations.act import SYSTEM_WIDE, Actor, read_authority
from authsvc.operations.deps import Deps
from authsvc.operations.page import MAX_LIMIT, found

ANYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Found:
    """One event as the log has it; `fields` are the entry's members, as far as they may be shown to who asks."""

    row: LogEntry
    fields: Mapping[str, Json]

    @property
    def seq(self) -> int:
        """Return its place in the log."""
        return self.row.seq

    @property
    def jti(self) -> str | None:
        """Return the id of the token that came of it, None where none did."""
        if self.fields["kind"] != Kind.TOKEN_ISSUED:
            return None
        return f"{self.row.epoch}.{self.row.seq}.{self.fields['nonce']}"

    def describe(self) -> dict[str, Json]:
        """Return the event for people and programs: its place, the entry's members, the time as RFC 3339, a token's `jti`."""
        described: dict[str, Json] = {"seq": self.seq, **self.fields, "time": self.time}
        if self.jti is not None:
            described["jti"] = self.jti
        return described

    @property
    def time(self) -> str:
        """Return the event's time as RFC 3339 has it, to the microsecond."""
        time = self.fields["time"]
        assert isinstance(time, int)  # every entry of this schema has it; the database's column is made of it
        return from_microseconds(time).isoformat().replace("+00:00", "Z")

    @property
    def about(self) -> str:
        """Return its grants in a line: what was granted, and what was refused and why."""
        grants = self.fields.get("grants")
        return " ".join(_about(grant) for grant in grants) if isinstance(grants, list) else ""


def _about(grant: dict[str, Any]) -> str:
    granted = ",".join(grant.get("granted", {})) or "-"
    refused = ", ".join(f"{action} {reason}" for action, reason in grant.get("refused", {}).items())
    return f"{grant['name']}:{granted}" + (f" (refused: {refused})" if refused else "")


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Events in order, and the sequence number that the next page goes on from, None on the last."""

    items: tuple[Found, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and which page of it: `limit` events at most from beyond the sequence number `after` on."""

    wanted: Filter = ANYTHING
    after: int | None = None
    limit: int = 50
    newest_first: bool = True

    def describe(self) -> dict[str, Json]:
        """Return what the log keeps of the question."""
        asked: dict[str, Json] = {}
        for name in PARAMETERS:
            value = getattr(self.wanted, name)
            if value is not None:
                asked[name] = value.isoformat() if isinstance(value, datetime) else value
        return asked


async def query_audit(deps: Deps, actor: Actor, search: Search) -> FoundPage:
    """Return matching events, once the question itself is logged.

    Who may read the log of a project only has to name it, and neither what is shown nor what is found tells of other projects.
    The question is not in its own answer, as both see the log from before it.
    """
    if not 1 <= search.limit <= MAX_LIMIT:
        raise InvalidInputError(Fault("limit", f"must be 1 to {MAX_LIMIT}"))
    async with deps.database.read() as read:
        project = await _demand_to_read(deps, read, actor, search.wanted.project)
        wanted = search.wanted if project is None else _confine_search(search.wanted, project)
        await record_question(deps, actor, search.describe())
        rows = await list_events(
            read,
            wanted,
            after=search.after,
            limit=search.limit + 1,
            newest_first=search.newest_first,
        )
    items = [show_event(row, project) for row in rows[: search.limit]]
    if search.wanted.jti is not None:
        items = [item for item in items if item.jti == search.wanted.jti]
    if project is not None:
        items = [item for item in items if _is_wanted(item.fields, search.wanted)]
    return FoundPage(tuple(items), rows[search.limit - 1].seq if len(rows) > search.limit else None)


async def get_event(deps: Deps, actor: Actor, seq: int) -> Found:
    """Return one event; raises NotFoundError when the log does not have it, or no longer."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        await record_question(deps, actor, {"seq": seq})
        rows = await list_events(read, ANYTHING, after=seq - 1, limit=1, newest_first=False)
    return show_event(found(rows[0] if rows and rows[0].seq == seq else None, "event"))


async def demand_to_read_all(deps: Deps, read: Read, actor: Actor) -> None:
    """Raise ForbiddenError unless the whole log may be read."""
    (await read_authority(deps, read, actor)).demand("audit:read", SYSTEM_WIDE)


async def record_question(deps: Deps, actor: Actor, asked: Mapping[str, Json]) -> None:
    """Log that somebody reads the log, before anything is shown."""
    body: dict[str, Json] = {"filter": asked}
    event = Event(Kind.AUDIT_QUERIED, deps.now(), deps.new_nonce(), actor.by, body=body)
    await deps.journal.record(event, revision=None)


async def _demand_to_read(deps: Deps, read: Read, actor: Actor, project: str | None) -> str | None:
    """Return the project that the actor is confined to, None for nobody's; raises ForbiddenError, or NotFoundError."""
    authority = await read_authority(deps, read, actor)
    if authority.may("audit:read", SYSTEM_WIDE):
        return None
    authority.demand("audit:read", project)
    return project


def show_event(row: LogEntry, project: str | None = None) -> Found:
    """Return a row of the log as an event, as far as who is confined to `project` may see it."""
    fields = canonical.decode(row.entry)
    return Found(row, fields if project is None else _confine(fields, project))


def _confine_search(wanted: Filter, project: str) -> Filter:
    """Return what the log is searched for by who is confined to a project.

    INVARIANT: actions and outcomes are columns about all that one request asked, of other projects too. The log is not searched
    by them, as even the cursor of an empty page would tell that something was found: `_is_wanted` picks from what may be shown.
    """
    if wanted.repository is not None and not _lies_in(project, wanted.repository):
        raise InvalidInputError(Fault("repository", f"is not in the project {project!r}"))
    return replace(wanted, action=None, outcome=None)


def _is_wanted(shown: Mapping[str, Json], wanted: Filter) -> bool:
    """Say whether an event, as it is shown to who is confined, has the action and the outcome that are looked for."""
    return (wanted.action is None or wanted.action in index_entry(shown).actions) and (
        wanted.outcome is None or wanted.outcome == shown["outcome"]
    )


def _confine(fields: dict[str, Json], project: str) -> dict[str, Json]:
    """Return an event without what one request asked of other projects beside, or one report says of another project."""
    match fields:
        case {"grants": list(grants)}:
            own = [grant for grant in grants if isinstance(grant, dict) and _is_about(project, grant)]
            kept = {name: value for name, value in fields.items() if name != "odd"}
            return {**kept, "grants": [*own], "outcome": outcome_of_described(own)}
        case {"reported": dict(reported)}:
            places = ("repository", "from")
            shown = {n: v for n, v in reported.items() if n not in places or _lies_in(project, str(v))}
            return {**fields, "reported": shown}
        case _:
            return fields


def _is_about(project: str, grant: Mapping[str, Json]) -> bool:
    return grant["type"] == "repository" and _lies_in(project, str(grant.get("as", grant["name"])))


def _lies_in(project: str, name: str) -> bool:
    repository = parse_repository(name)
    return repository is not None and repository.project == project
