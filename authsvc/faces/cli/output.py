"""How commands print: tables for people, JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from authsvc.core.canonical import Json


class Form(StrEnum):
    """The form of an answer."""

    TABLE = "table"
    JSON = "json"


_WIDE = 4096

FormOption = Annotated[Form, typer.Option("-o", "--output", help="table for people, json for machines.")]


def show(rows: Sequence[Mapping[str, Json]], form: Form) -> None:
    """Print things of one kind: as a table with their members as columns, or as one JSON array."""
    if form is Form.JSON:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # nothing to fit into, and whoever reads it by program wants whole lines
    console.print(table if rows else "nothing")


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
