"""Exports over the API: whole, in each form, filtered, logged, and refused to who may not read the log."""

import csv
import io
import json

import httpx
import pytest

from authsvc.core.kind import Kind
from tests.world import ADMIN, ADMIN_PASSWORD, World, claims_of, password_of

EXPORT = "/api/v1/audit/export"


async def export(world: World, query: str = "", *, expect: int = 200) -> httpx.Response:
    """Export as the administrator."""
    response = await world.client.get(f"{EXPORT}?{query}", auth=(ADMIN, ADMIN_PASSWORD))
    assert response.status_code == expect, response.text
    return response


async def town(world: World) -> str:
    """A developer whose agent is a formula has pushed; return the token."""
    await world.add_user("dora")
    await world.add_project("acme")
    await world.bind("developer", "user", "dora", "acme")
    world.client.headers["user-agent"] = "=cmd|'/c calc'!A0"
    return str((await world.ask_as("dora", "repository:acme/app:push,delete")).json()["token"])


async def test_entries_are_exported_as_they_were_hashed(world: World) -> None:
    """NDJSON is every entry byte for byte, in order, up to the export's own event."""
    await town(world)
    lines = (await export(world, "format=ndjson")).content.split(b"\n")
    assert lines.pop() == b""
    entries = [entry for _, entry in await world.events()]
    assert [json.loads(line) for line in lines] == entries[:-1]
    assert entries[-1]["kind"] == Kind.AUDIT_EXPORTED
    assert (entries[-1]["format"], entries[-1]["actor"]["name"]) == ("ndjson", ADMIN)
    assert all(
        json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        == line
        for line in lines
    )


async def test_a_filter_narrows_an_export(world: World) -> None:
    """The filters are those of the query, and are logged."""
    token = await town(world)
    response = await export(world, "format=ndjson&actor=dora&kind=token.issued")
    (entry,) = map(json.loads, response.text.splitlines())
    assert entry["nonce"] == claims_of(token)["jti"].split(".")[2]
    ((_, event),) = await world.events(kind=Kind.AUDIT_EXPORTED)
    assert event["filter"] == {"actor": "dora", "kind": "token.issued"}


async def test_events_are_exported_as_ocsf(world: World) -> None:
    """One OCSF event a line, whose raw data is the entry and whose sequence its place in the log."""
    await town(world)
    events = [json.loads(line) for line in (await export(world, "format=ocsf")).text.splitlines()]
    assert [event["metadata"]["sequence"] for event in events] == list(range(len(events)))
    assert [json.loads(event["raw_data"]) for event in events] == [e for _, e in await world.events()][:-1]


async def test_a_spreadsheet_is_exported_safely(world: World) -> None:
    """CSV has a header, a row an event, what was granted and refused in words, and no cell that is a formula."""
    token = await town(world)
    response = await export(world, "format=csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    (row,) = [row for row in rows if row["kind"] == "token.issued"]
    assert row["about"] == "acme/app:push (refused: delete no_binding)" or row["about"].startswith(
        "acme/app:push (refused: delete "
    )
    assert (row["actor"], row["jti"]) == ("dora", claims_of(token)["jti"])
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("query", ["format=xml", "kind=none", "limit=5", "format=csv&format=csv"])
async def test_a_wrong_export_is_refused(world: World, query: str) -> None:
    """An unknown form, a filter that cannot be meant, a parameter that is none, or given twice, is 422 and logs nothing."""
    await export(world, query, expect=422)
    assert await world.events(kind=Kind.AUDIT_EXPORTED) == []


async def test_who_may_not_export(world: World) -> None:
    """Neither strangers nor developers get a line, and no export is logged."""
    await town(world)
    for auth, status in ((("dora", password_of("dora")), 403), (httpx.USE_CLIENT_DEFAULT, 401)):
        assert (await world.client.get(EXPORT, auth=auth)).status_code == status
    assert await world.events(kind=Kind.AUDIT_EXPORTED) == []
