"""How commands print: tables for people; for machines what the API answers, one JSON document."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_T = TypeVar("_T")

_FOLDING = frozenset(
    {"permissions", "repositories", "services", "cidrs", "scopes", "display_name", "description", "comment"}
    | {"label", "client", "about", "value", "meaning"}
)
"""Columns that may take several lines; all others hold what people copy, and stay whole."""
_LEAST = 16
_GAP = 2
_WIDE = 4096
_FRACTION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+(Z|\+00:00)")


class Form(StrEnum):
    """The form of an answer."""

    TABLE = "table"
    JSON = "json"


FormOption = Annotated[Form, typer.Option("-o", "--output", help="table for people, json for machines.")]


def say(text: str) -> None:
    """Tell a person what was done."""
    typer.echo(f"authsvc: {text}")


def report(text: str, thing: Mapping[str, object], form: Form) -> None:
    """Tell what was done: a person in words, a machine as one JSON object."""
    if form is Form.JSON:
        show_one(thing, form)
    else:
        say(text)


def show(
    rows: Sequence[Mapping[str, object]], form: Form, columns: Sequence[str] = (), *, empty: str = "nothing"
) -> None:
    """Print things of one kind: a table of `columns` (all by default), or one JSON array; `empty` says what to do next."""
    if form is Form.JSON:
        show_json(rows)
    elif rows:
        _print(columns or list(dict.fromkeys(name for row in rows for name in row)), rows)
    else:
        typer.echo(empty)


def show_json(document: object) -> None:
    """Print a JSON document; what would move a terminal's cursor or hide there is escaped, which JSON reads as the same."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    typer.echo("\n".join(map(_escaped, text.split("\n"))))  # between its strings, nothing else is unprintable


def show_list(
    found: tuple[Sequence[_T], bool],
    view: Callable[[_T], Mapping[str, object]],
    columns: Sequence[str],
    form: Form,
    *,
    empty: str,
) -> None:
    """Print a list that was collected, and tell a person when it goes on."""
    items, goes_on = found
    show([view(item) for item in items], form, columns, empty=empty)
    if goes_on:
        typer.echo("authsvc: there are more: raise --limit, or leave it out", err=True)


def show_one(thing: Mapping[str, object], form: Form) -> None:
    """Print one thing: its members below one another, or the JSON object that the API answers."""
    if form is Form.JSON:
        show_json(thing)
        return
    width = max(map(len, thing))
    for name, value in thing.items():
        typer.echo(f"{name.ljust(width)}  {_cell(value)}")


def show_secret(thing: Mapping[str, object], form: Form) -> None:
    """Print a new credential, with its secret."""
    show_one(thing, form)
    if form is Form.TABLE:
        typer.echo("authsvc: this is the only time that its text is shown: keep it now", err=True)


def _print(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    least = 0
    for name, column in zip(columns, zip(*cells, strict=True), strict=True):
        widest = max(cell_len(text) for text in (name, *column))
        least += _GAP + (min(widest, max(_LEAST, len(name))) if name in _FOLDING else widest)
        table.add_column(name, overflow="fold", no_wrap=name not in _FOLDING)
    for row in cells:
        table.add_row(*(Text(text) for text in row))
    console = Console(markup=False, highlight=False, emoji=False)
    # Who reads it by program wants whole lines; at a terminal that is too narrow, its own wrapping loses no character.
    console.width = max(console.width, least) if console.is_terminal else max(_WIDE, least)
    console.print(table)


def _cell(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(_cell(item) for item in value)
        case Mapping():
            return " ".join(_cell(item) for item in value.values())
        case _:
            return _FRACTION.sub(r"\1\2", _printable(str(value)))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    """Return a character as JSON escapes it: two units of UTF-16 beyond U+FFFF."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _printable(text: str) -> str:
    """Return `text` on one line, with what would move a terminal's cursor or hide there written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
