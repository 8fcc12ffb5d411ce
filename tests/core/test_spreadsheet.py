"""CSV that no spreadsheet reads as a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.spreadsheet import encode_row

_BEGINS = "=+-@\t\r\n＝＋－＠"  # the full-width signs are the last four


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1+1", '=HYPERLINK("http://x")', "＝1"]
)
def test_what_could_be_a_formula_is_text(text: str) -> None:
    """Each of the known beginnings of a formula stands behind an apostrophe."""
    assert encode_row([text]).decode().startswith("\"'")


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=5
    )
)
def test_a_row_reads_back_as_it_was(cells: list[str]) -> None:
    """A reader of CSV gets every cell, but for apostrophes, whatever quotes, commas and line ends it holds."""
    (row,) = csv.reader(io.StringIO(encode_row(cells).decode(), newline=""))
    assert len(row) == len(cells)
    for read, cell in zip(row, cells, strict=True):
        assert read in (cell, "'" + cell)
        assert not read.lstrip(" ").startswith(tuple(_BEGINS))
