"""CSV that is safe to open in a spreadsheet: no cell is read as a formula (CWE-1236), whoever chose what is in it."""

import csv
import io
from collections.abc import Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The full-width signs are read as the others are."""


def encode_row(cells: Sequence[str | int]) -> bytes:
    """Return one row of RFC 4180: every cell quoted, and what could begin a formula behind an apostrophe."""
    line = io.StringIO(newline="")
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([_safe(cell) for cell in cells])
    return line.getvalue().encode()


def _safe(cell: str | int) -> str:
    text = str(cell)
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text
