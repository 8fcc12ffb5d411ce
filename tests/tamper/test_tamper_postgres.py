"""The tamper matrix in Postgres, by its superuser, with every guard taken off: CAMPAIGN=full makes 2,000 changes."""

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from authsvc.config import Settings
from authsvc.core.verified import Known, TamperedError
from authsvc.operations.verify_audit import verify_database
from bench.generate_log import Shape
from tests.generated import Generated, fill

CASES = 2_000 if os.environ.get("CAMPAIGN") == "full" else 50
SHAPE = Shape(120, principals=4, projects=3, batch=8, policy_every=9)

_UNGUARD = """
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
        WHERE conrelid IN ('log'::regclass, 'batches'::regclass) AND conname NOT LIKE '%_parent_%' ORDER BY contype = 'p' LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', one.owner, one.conname);
        EXCEPTION WHEN others THEN NULL;
        END;
    END LOOP;
    FOR one IN SELECT attrelid::regclass AS owner, attname FROM pg_attribute
        WHERE attrelid IN ('log'::regclass, 'batches'::regclass) AND attnum > 0 AND attnotnull LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', one.owner, one.attname);
    END LOOP;
    FOR one IN SELECT relid FROM pg_partition_tree('log') UNION ALL SELECT 'batches'::regclass LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', one.relid::regclass);
    END LOOP;
END $$;
CREATE TABLE kept_log AS TABLE log;
CREATE TABLE kept_batches AS SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches;
"""
_RESTORE = """
DELETE FROM log; INSERT INTO log SELECT * FROM kept_log;
DELETE FROM batches; INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint) TABLE kept_batches;
"""
_FLIPS = {
    "log": {
        "seq": "seq + 1", "time": "time + interval '1 microsecond'", "kind": "kind || 'x'", "outcome": "upper(outcome)",
        "actor": "actor || ' '", "projects": "array_append(projects, 'x')", "repositories": "repositories || NULL::text",
        "actions": "array_prepend('', actions)", "address": "set_masklen(coalesce(address, '10.0.0.1'), 24)",
        "entry": "set_bit(entry, 8 * (length(entry) / 2), 1 - get_bit(entry, 8 * (length(entry) / 2)))",
    },
    "batches": {
        "prev": "prev + 1", "size": "size - 1", "entries": "entries + 1", "root": "set_bit(root, 5, 1 - get_bit(root, 5))",
        "frontier": "frontier || root", "revision": "revision - 1", "epoch": "epoch + 1",
        "checkpoint": "replace(checkpoint, '=', '')",
    },
}  # fmt: skip


def change(connection: psycopg.Connection[Any], pick: Random, log: Generated) -> tuple[str, int, int]:
    """Change something, committed; return what, and between which numbers it is to be found."""
    table, key, places = pick.choice(
        (("log", "seq", range(SHAPE.events)), ("batches", "prev", range(0, SHAPE.events, SHAPE.batch)))
    )
    one, two = sorted(pick.sample(places, 2))
    start = one // SHAPE.batch * SHAPE.batch
    last = one if table == "log" else start + SHAPE.batch
    column = pick.choice(list(_FLIPS[table]))
    how = pick.choice(("flip", "null", "swap", "delete", "double"))
    if (column, how) == ("time", "null"):  # no partition would take it
        how = "flip"
    names = {"t": sql.Identifier(table), "c": sql.Identifier(column), "k": sql.Identifier(key)}
    text = {
        "flip": f"UPDATE {{t}} SET {{c}} = {_FLIPS[table][column]} WHERE {{k}} = {{one}}",
        "null": "UPDATE {t} SET {c} = NULL WHERE {k} = {one}",
        "swap": "UPDATE {t} AS a SET {c} = b.{c} FROM {t} AS b WHERE a.{k} = {one} AND b.{k} = {two}",
        "delete": "DELETE FROM {t} WHERE {k} = {one}",
        "double": "INSERT INTO {t} SELECT * FROM {t} WHERE {k} = {one}"
        if table == "log"
        else "INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)"
        " SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches WHERE {k} = {one}",
    }[how]
    connection.execute(sql.SQL(text).format(**names, one=one, two=two))
    return f"{table}.{column} {how}", start, last


def is_changed(connection: psycopg.Connection[Any]) -> bool:
    """Whether the tables differ from what they were; a swap of equal values does not count."""
    (count,) = connection.execute(
        "SELECT (SELECT count(*) FROM (TABLE log EXCEPT ALL TABLE kept_log) a)"
        " + (SELECT count(*) FROM (TABLE kept_log EXCEPT ALL TABLE log) b)"
        " + (SELECT count(*) FROM (SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches"
        "    EXCEPT ALL TABLE kept_batches) c)"
        " + (SELECT count(*) FROM (TABLE kept_batches EXCEPT ALL"
        "    SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches) d)"
    ).fetchone() or (0,)
    return bool(count)


@pytest.mark.timeout(7200)
async def test_a_superuser_s_changes_are_found(settings: Settings, superuser_url: str) -> None:
    """Each column flipped, nulled or swapped, each row deleted or doubled, with all guards off, is told with its place."""
    log, pick = await fill(settings, SHAPE), Random(9)
    known = [Known(1, log.batches[-1].after.size, log.batches[-1].root)]
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_UNGUARD.encode())
        for done in range(CASES):
            what, low, high = change(connection, pick, log)
            if is_changed(connection):
                with pytest.raises(TamperedError) as told:
                    verify_database(superuser_url, log.trust, known=known)
                assert low <= told.value.seq <= high, (done, what, low, high, told.value)
                connection.execute(_RESTORE.encode())
        assert verify_database(superuser_url, log.trust, known=known).size == SHAPE.events


async def test_what_is_done_to_whole_tables_is_found(settings: Settings, superuser_url: str) -> None:
    """A tail cut off, a month taken out, and rows beyond the end are told; without a kept checkpoint a clean cut is not."""
    log = await fill(settings, SHAPE)
    end, half = SHAPE.events, log.batches[7].after.size
    known = [Known(1, end, log.batches[-1].root)]
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_UNGUARD.encode())
        connection.execute("DELETE FROM log WHERE seq >= %s", [half])
        connection.execute("DELETE FROM batches WHERE prev >= %s", [half])
        with pytest.raises(TamperedError, match="the tail is missing") as told:
            verify_database(superuser_url, log.trust, known=known)
        assert told.value.seq == half
        assert verify_database(superuser_url, log.trust).size == half
        connection.execute(_RESTORE.encode())
        (month, first) = connection.execute(
            "SELECT tableoid::regclass::text, min(seq) FROM log GROUP BY 1 ORDER BY 2 LIMIT 1"
        ).fetchone() or ("", 0)
        connection.execute(f"ALTER TABLE log DETACH PARTITION {month}".encode())
        with pytest.raises(TamperedError) as told:
            verify_database(superuser_url, log.trust)
        assert told.value.seq == first


_SWAPS = {
    "months": (  # every entry is at the place that one of the other month had
        "UPDATE log SET seq = CASE WHEN seq < {middle} THEN seq + {end} - {middle} ELSE seq - {middle} END",
        0,
    ),
    "times": (  # the rows of each month are in the other's partition
        "UPDATE log SET time = CASE WHEN seq < {middle} THEN time + interval '1 month' ELSE time - interval '1 month' END",
        0,
    ),
    "edge": (  # the last of one and the first of the other
        "UPDATE log SET seq = CASE seq WHEN {middle} THEN {middle} - 1 ELSE {middle} END WHERE seq IN ({middle} - 1, {middle})",
        None,
    ),
}


@pytest.mark.parametrize("swap", _SWAPS)
async def test_two_swapped_partitions_are_found(settings: Settings, superuser_url: str, swap: str) -> None:
    """What is exchanged between two months is told with the first entry that is not in its place."""
    this = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    log = await fill(settings, SHAPE, start=this - timedelta(days=14))
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_UNGUARD.encode())
        (middle,) = connection.execute("SELECT min(seq) FROM log WHERE time >= %s", [this]).fetchone() or (0,)
        assert 0 < middle < SHAPE.events
        statement, seq = _SWAPS[swap]
        connection.execute(statement.format(middle=middle, end=SHAPE.events).encode())
        with pytest.raises(TamperedError) as told:
            verify_database(superuser_url, log.trust)
        first = (middle - 1) // SHAPE.batch * SHAPE.batch  # where its batch begins
        assert told.value.seq == (first if seq is None else seq)


async def test_partitions_that_exchange_names_are_still_the_log(
    settings: Settings, superuser_url: str
) -> None:
    """Names of partitions say nothing: what they hold is what is proved."""
    this = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    log = await fill(settings, SHAPE, start=this - timedelta(days=14))
    one, two = (f"log_{month:%Y_%m}" for month in (this - timedelta(days=1), this))
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for old, new in ((one, "swapped"), (two, one), ("swapped", two)):
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}".encode())
    assert verify_database(superuser_url, log.trust).entries == SHAPE.events


async def test_rows_beyond_the_end_are_found(settings: Settings, superuser_url: str) -> None:
    """A row that no batch covers, before the first or after the last, is told by its number."""
    log = await fill(settings, SHAPE)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_UNGUARD.encode())
        for seq in (-1, SHAPE.events, SHAPE.events + 50):
            connection.execute(
                "INSERT INTO log SELECT %s, time, kind, outcome, actor, projects, repositories, actions, address, entry"
                " FROM kept_log WHERE seq = 60",
                [seq],
            )
            with pytest.raises(TamperedError) as told:
                verify_database(superuser_url, log.trust)
            assert told.value.seq == seq
            connection.execute(_RESTORE.encode())
