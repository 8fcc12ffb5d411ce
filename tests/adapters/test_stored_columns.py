"""Columns as Postgres sends them are those that an entry implies, and nothing else is."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from authsvc.adapters.postgres.stored_columns import STORED, STORED_COLUMNS
from authsvc.core.event import IndexRow, microseconds

INDEX = IndexRow(
    datetime(2026, 1, 1, tzinfo=UTC), "token.issued", "allowed", "acme+ci", ("acme",), ("acme/app",), ("pull",), None
)  # fmt: skip
ROWS = [
    INDEX,
    INDEX._replace(actor="", projects=(), repositories=(), actions=()),
    INDEX._replace(actor='ünï "quoted" \\ {x,y} NULL', repositories=("NULL", "", "a,b", '{"'), actions=("pull", "push")),
    INDEX._replace(time=datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    INDEX._replace(address="192.0.2.1"),
    INDEX._replace(address="10.0.0.7/8"),
    INDEX._replace(address="2001:db8::1"),
    INDEX._replace(address="::ffff:192.0.2.1"),
]  # fmt: skip
VALUES = (
    "(VALUES (%s::timestamptz, %s::text, %s::text, %s::text, %s::text[], %s::text[], %s::text[], %s::inet))"
    " AS made(time, kind, outcome, actor, projects, repositories, actions, address)"
)


def joined(index: IndexRow) -> bytes:
    """Return the columns as the form writes them."""
    record = STORED.join_one(microseconds(index.time), STORED.of(index), STORED.of_address(index.address))
    assert isinstance(record, bytes)
    return record


def stored(connection: psycopg.Connection[Any], index: IndexRow) -> bytes:
    """Return the columns as the log's reader gets them."""
    values = [list(value) if isinstance(value, tuple) else value for value in index]
    row = connection.execute(
        f"SELECT {STORED_COLUMNS} FROM {VALUES}".encode(), values, binary=True
    ).fetchone()
    assert row is not None
    return bytes(row[0])


@pytest.mark.parametrize("index", ROWS)
def test_postgres_sends_what_the_form_writes(superuser_url: str, index: IndexRow) -> None:
    """The form of an index row is byte for byte what Postgres sends of its values, and splits into as many."""
    with psycopg.connect(superuser_url, client_encoding="utf8") as connection:
        assert joined(index) == stored(connection, index)
    assert len(STORED.split(joined(index))) == len(IndexRow._fields)


@pytest.mark.parametrize("one", ROWS)
def test_what_differs_is_told_apart(superuser_url: str, one: IndexRow) -> None:
    """No two different index rows have one form, and splitting shows the column that differs."""
    with psycopg.connect(superuser_url, client_encoding="utf8") as connection:
        for other in ROWS:
            mine, theirs = joined(one), stored(connection, other)
            assert (mine == theirs) is (one == other)
            pairs = zip(one, other, STORED.split(mine), STORED.split(theirs), strict=True)
            assert all((a == b) is (x == y) for a, b, x, y in pairs)


def test_an_address_that_is_none_has_a_form_no_column_has() -> None:
    """An entry whose address no inet column can hold is no error, and equal to no other."""
    forms = {STORED.of_address(text) for text in (None, "no address", "192.0.2.1", "192.0.2.01", "::1")}
    assert len(forms) == 5
