"""Narrowing lists: the fields that a list may be asked about, and what each asks of the database."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_

Where = Mapping[str, str | bool]
"""The values that fields must have; empty is everything."""

Conditions = Mapping[str, Callable[[Any], ColumnElement[bool]]]
"""What a value of each field asks."""

EVERYTHING: Where = {}
_LAST = "\U0010ffff"


def narrow(statement: Select[Any], conditions: Conditions, where: Where) -> Select[Any]:
    """Return a statement that asks for what `where` says, too; every field of it is one of `conditions`."""
    return statement.where(*(conditions[field](value) for field, value in where.items()))


def equals(column: ColumnElement[Any]) -> Callable[[Any], ColumnElement[bool]]:
    """Return the condition that a column has a value."""
    return lambda value: column == value


def begins(column: ColumnElement[Any]) -> Callable[[str], ColumnElement[bool]]:
    """Return the condition that a column begins with a text: a range of its index, as names are in the collation `C`."""
    return lambda text: and_(column >= text, column < text + _LAST)
