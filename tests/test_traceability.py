"""TRACEABILITY.md and the markers of the tests say the same, and every item of the token protocol is tested."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = TESTS / "TRACEABILITY.md"
ITEMS = range(1, 136)
OF_KEYS = range(121, 130)
"""Items of A9: for them the tests of keys and rotation may be named without a marker, as they test more than the protocol."""

_ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \|")
_TEST = re.compile(r"`([\w/]+\.py::test_\w+)`")
_OVERRIDDEN = re.compile(r"overridden by DESIGN \d+")
_NEVER_RUN = frozenset({"skip", "skipif", "xfail"})


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    requirement: str
    tests: frozenset[str]
    is_overridden: bool


@dataclass(frozen=True)
class Test:
    """One test function: the items that it is marked with, and whether it may be passed over."""

    __test__ = False

    items: frozenset[int]
    may_not_run: bool


def read_table(text: str) -> list[tuple[int, Row]]:
    """Return the rows of the table in order."""
    return [
        (int(number), Row(requirement, frozenset(_TEST.findall(where)), bool(_OVERRIDDEN.search(where))))
        for number, requirement, where in _ROW.findall(text)
    ]


def read_tests(sources: Mapping[str, str]) -> dict[str, Test]:
    """Return every function that pytest collects from `sources` (code by path), as `path::name`."""
    found = {}
    for path, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [mark for decorator in node.decorator_list for mark in _marks(decorator)]
                items = [_numbers(call) for name, call in marks if name == "item"]
                passed_over = any(name in _NEVER_RUN for name, _ in marks)
                found[f"{path}::{node.name}"] = Test(frozenset().union(*items), passed_over)
    return found


def _marks(decorator: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    """Yield each `pytest.mark.<name>` in a decorator, those of parametrised cases too, with what it is called with."""
    calls = {id(node.func): node for node in ast.walk(decorator) if isinstance(node, ast.Call)}
    for node in ast.walk(decorator):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pytest.mark":
            yield node.attr, calls.get(id(node), node)


def _numbers(mark: ast.AST) -> set[int]:
    arguments = mark.args if isinstance(mark, ast.Call) else []
    return {arg.value for arg in arguments if isinstance(arg, ast.Constant) and isinstance(arg.value, int)}


def faults(table: str, sources: Mapping[str, str]) -> list[str]:
    """Return everything in which table and tests fall short or disagree."""
    rows, tests = read_table(table), read_tests(sources)
    marked: dict[int, set[str]] = defaultdict(set)
    for name, test in tests.items():
        for item in test.items:
            marked[item].add(name)
    found = [f"{name} may not run" for name, test in tests.items() if test.items and test.may_not_run]
    found += [f"item {item} does not exist" for item in marked if item not in ITEMS]
    if [number for number, _ in rows] != list(ITEMS):
        found.append("the table does not have every item once and in order")
    for number, row in rows:
        found += [f"item {number}: there is no {name}" for name in sorted(row.tests - tests.keys())]
        if not row.tests and not row.is_overridden:
            found.append(f"item {number}: neither tested nor overridden")
        missing = marked[number] - row.tests
        unmarked = row.tests & tests.keys() - marked[number]
        if number in OF_KEYS:
            unmarked = frozenset(name for name in unmarked if name.startswith("faces/"))
        found += [f"item {number}: the table lacks {name}" for name in sorted(missing)]
        found += [f"item {number}: {name} has no marker for it" for name in sorted(unmarked)]
    return found


def test_every_item_is_tested_and_the_table_says_where() -> None:
    """The table lists every item once, names tests that exist and are marked with it, and no marked test is missing."""
    sources = {str(path.relative_to(TESTS)): path.read_text() for path in sorted(TESTS.rglob("test_*.py"))}
    assert faults(TABLE.read_text(), sources) == []


def test_a_marker_that_pytest_sees_is_one_that_is_read(request: pytest.FixtureRequest) -> None:
    """What this file reads from the source is what pytest collected, for the marked tests of this session."""
    sources = {str(path.relative_to(TESTS)): path.read_text() for path in sorted(TESTS.rglob("test_*.py"))}
    read = read_tests(sources)
    for item in request.session.items:
        numbers = {number for mark in item.iter_markers("item") for number in mark.args}
        name = f"{item.path.relative_to(TESTS)}::{getattr(item, 'originalname', item.name)}"
        assert numbers <= (read[name].items if name in read else set()), name


_GOOD_TABLE = "".join(f"| {item} | a thing | `faces/test_x.py::test_all` |\n" for item in ITEMS)
_GOOD_SOURCE = f"@pytest.mark.item({', '.join(str(item) for item in ITEMS)})\nasync def test_all(): ...\n"


@pytest.mark.parametrize(
    ("table", "source", "fault"),
    [
        ("", _GOOD_SOURCE, "every item once"),
        (_GOOD_TABLE, "", "there is no faces/test_x.py::test_all"),
        (_GOOD_TABLE, _GOOD_SOURCE.replace("test_all", "check_all"), "there is no"),
        (_GOOD_TABLE, _GOOD_SOURCE.replace("(1, ", "("), "item 1: faces/test_x.py::test_all has no marker"),
        (_GOOD_TABLE.replace("| 7 |", "| 8 |"), _GOOD_SOURCE, "every item once"),
        (_GOOD_TABLE.replace("| 7 | a thing | `faces/test_x.py::test_all` |\n", ""), _GOOD_SOURCE, "every item once"),
        (_GOOD_TABLE.replace("| 7 | a thing | `faces/test_x.py::test_all` |", "| 7 | a thing | later |"),
         _GOOD_SOURCE, "item 7: neither tested nor overridden"),
        (_GOOD_TABLE.replace("| 7 | a thing | `faces/test_x.py::test_all` |", "| 7 | a thing | overridden by DESIGN 8 |"),
         _GOOD_SOURCE, "item 7: the table lacks"),
        (_GOOD_TABLE, _GOOD_SOURCE + "@pytest.mark.item(3)\ndef test_more(): ...\n", "item 3: the table lacks"),
        (_GOOD_TABLE, _GOOD_SOURCE + "@pytest.mark.item(136)\ndef test_more(): ...\n", "item 136 does not exist"),
        (_GOOD_TABLE, "@pytest.mark.skip\n" + _GOOD_SOURCE, "may not run"),
        (_GOOD_TABLE, "@pytest.mark.xfail(strict=True)\n" + _GOOD_SOURCE, "may not run"),
    ],
)  # fmt: skip
def test_every_way_to_fall_short_is_noticed(table: str, source: str, fault: str) -> None:
    """The check itself finds what it is there to find."""
    assert any(fault in found for found in faults(table, {"faces/test_x.py": source}))


def test_a_complete_table_has_no_faults() -> None:
    """And it finds nothing where nothing is wrong, with a marker on a case or on the whole."""
    assert faults(_GOOD_TABLE, {"faces/test_x.py": _GOOD_SOURCE}) == []
    by_case = _GOOD_SOURCE.replace("(1, ", "(").replace(
        "async def", "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.item(1))])\nasync def"
    )
    assert faults(_GOOD_TABLE, {"faces/test_x.py": by_case}) == []
