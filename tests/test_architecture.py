"""What the linters cannot hold: the shape of files, and that the two capabilities are built in one place each."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from authsvc.core import errors
from authsvc.core.errors import AuthsvcError, StartupError
from authsvc.core.kind import Kind
from authsvc.faces.problems import PROBLEMS

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "authsvc").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("test_*.py"))
LONGEST = 330
COMPANIONS = {"starlette", "pydantic-core", "psycopg-pool"}
"""Come with fastapi, pydantic and psycopg's extra, in the versions that these want."""


def _calls(name: str) -> Iterator[str]:
    """Yield the files of the package that call `name`, as themselves or as an attribute."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = (
                node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            )
            if called == name:
                yield str(path.relative_to(ROOT / "authsvc"))


@pytest.mark.parametrize(
    ("capability", "place"),
    [("Recorded", "adapters/postgres/journal.py"), ("Change", "adapters/postgres/database.py")],
)
def test_a_capability_is_built_in_one_place(capability: str, place: str) -> None:
    """Proof of an event, and the right to write policy, are values that one file alone makes."""
    assert set(_calls(capability)) == {place}


def test_only_a_recorded_event_is_signed() -> None:
    """A token key's `sign` is called where a Recorded is demanded, by the key's own self-test, and for the log, nowhere else."""
    assert set(_calls("sign")) <= {
        "adapters/keys/audit_key.py",
        "adapters/keys/selftest.py",
        "adapters/keys/signing.py",
        "adapters/keys/authority.py",
        "core/note.py",
        "operations/sign_token.py",
    }


def test_statements_that_change_are_given_to_change_write() -> None:
    """No operation or adapter executes an insert, update or delete of policy but through `Change.write`."""
    for path in (ROOT / "authsvc/adapters/postgres").glob("*.py"):
        if path.name in ("database.py", "log.py", "journal.py"):
            continue
        text = path.read_text()
        assert not re.search(r"\.execute\(\s*(insert|update|delete)\(", text), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    """A file is no longer than a reader takes in at once, and imports nothing inside a function."""
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert not any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node)), (
                node.name
            )


def test_every_test_states_its_property() -> None:
    """Each test function has a docstring that is one sentence or more."""
    silent = [
        f"{path.name}::{node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").strip().endswith((".", ")"))
    ]
    assert silent == []


def test_every_cause_has_a_problem() -> None:
    """Each error of core but the one that stops a start is mapped for the admin API."""
    causes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, AuthsvcError) and value is not AuthsvcError
    }
    assert causes - {StartupError} == set(PROBLEMS)


def test_event_kinds_have_their_forms() -> None:
    """Every kind is a noun and a verb, and those of policy move the policy revision."""
    for kind in Kind:
        assert re.fullmatch(r"(policy\.)?[a-z]+\.[a-z]+", kind), kind
        assert kind.moves_policy == (
            kind.startswith(("policy.", "key.")) or kind in ("credential.changed", "credential.revoked")
        )


def test_pinned_files_hold_no_addresses() -> None:
    """Requirements are pinned with hashes and name no place to download from."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_what_is_imported_is_declared() -> None:
    """The service names every package that it imports: what another happens to bring may leave with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=]", wanted)[0] for wanted in project["dependencies"]} | COMPANIONS
    distributions = packages_distributions()
    imported: set[str] = set()
    for path in (*SOURCES, *(ROOT / "migrations").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"authsvc"}
    assert "fastapi" in foreign
    assert [
        name
        for name in sorted(foreign)
        if declared.isdisjoint(each.lower().replace("_", "-") for each in distributions[name])
    ] == []


def test_measuring_does_not_rest_on_the_tests() -> None:
    """Tests may import what measures; the other way round would make a circle of the two."""
    measuring = sorted((ROOT / "bench").rglob("*.py"))
    assert measuring
    assert [
        path.name
        for path in measuring
        if re.search(r"^(from|import) tests\b", path.read_text(), re.MULTILINE)
    ] == []


def test_one_password_library_is_installed() -> None:
    """passlib comes from libpass alone: the two share a package folder, and the older one is broken."""
    pins = (ROOT / "requirements.txt").read_text()
    assert re.search(r"^libpass==", pins, re.MULTILINE)
    assert not re.search(r"^passlib==", pins, re.MULTILINE)
