from collections.abc import Iterator
from typing import SupportsIndex, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.repository import (
    EVERYTHING,
    MAX_NAME,
    MAX_PATTERN_COMPONENTS,
    Pattern,
    Repository,
    parse_pattern,
    parse_repository,
)
from tests.core import oracle

components = st.sampled_from(["a", "b", "ab", "a.b"])
paths = st.lists(components, min_size=1, max_size=6)
patterns = st.lists(st.one_of(components, st.sampled_from(["*", "**"])), min_size=1, max_size=6)
near_names = st.lists(st.sampled_from([*"ab0ab0A._-//*: \n\x00", "__", "é", "٣"]), max_size=12).map("".join)


class CountingPath(tuple[str, ...]):  # noqa: SLOT001 - a tuple's subclass cannot have slots with values
    """A path that counts how often a component of it is looked at."""

    looked_at = 0

    @overload
    def __getitem__(self, at: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: SupportsIndex | slice) -> str | tuple[str, ...]:
        self.looked_at += 1
        return super().__getitem__(at)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the path is looked at by place only")


def matches(pattern: str, path: str) -> bool:
    """Whether the service matches the pattern with the path."""
    parsed = parse_pattern(pattern)
    assert parsed is not None
    return parsed.matches(tuple(path.split("/")))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("acme/app", Repository("acme", ("app",))),
        ("acme/team/app", Repository("acme", ("team", "app"))),
        ("app", Repository("library", ("app",))),
        ("library/app", Repository("library", ("app",))),
        ("a.b/c_d/e__f/g-h/i---j", Repository("a.b", ("c_d", "e__f", "g-h", "i---j"))),
        ("0/9", Repository("0", ("9",))),
    ],
)
def test_the_project_is_the_first_component(name: str, place: Repository) -> None:
    """A name lies in the project of its first component, and one without a slash in `library`."""
    assert parse_repository(name) == place
    assert place.full_path == (place.project, *place.path)


def test_names_end_at_their_longest() -> None:
    """255 characters are a name, one more is none."""
    assert parse_repository("a/" + "b" * (MAX_NAME - 2)) is not None
    assert parse_repository("a/" + "b" * (MAX_NAME - 1)) is None


@given(st.one_of(near_names, st.text(max_size=20)))
def test_names_are_those_of_the_grammar(name: str) -> None:
    """Exactly the names of the model's grammar are read, each to the model's place, and none raises."""
    place = parse_repository(name)
    assert (place is not None) == oracle.is_repository_name(name)
    if place is not None:
        assert (place.project, "/".join(place.path)) == oracle.place_of(name)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("app", ["app"], ["app/x", "team/app", "ap", "apps"]),
        ("team/*", ["team/app"], ["team", "team/app/x", "app"]),
        ("*", ["app"], ["team/app"]),
        ("**", ["app", "team/app", "a/b/c"], []),
        ("team/**", ["team/app", "team/a/b"], ["team", "app/team"]),
        ("**/app", ["team/app", "a/b/app"], ["app", "team/app/x"]),
        ("a/**/z", ["a/b/z", "a/b/c/z", "a/z/z"], ["a/z", "a/b"]),
        ("**/*", ["a/b", "a/b/c"], ["a"]),
        ("a.b", ["a.b"], ["aab", "axb"]),
    ],
)
def test_patterns_mean_what_they_say(pattern: str, inside: list[str], outside: list[str]) -> None:
    """`*` is one component, `**` one or more, and everything else itself."""
    assert all(matches(pattern, path) for path in inside)
    assert not any(matches(pattern, path) for path in outside)


@given(patterns, paths)
def test_matching_agrees_with_the_recursive_definition(pattern: list[str], path: list[str]) -> None:
    """A pattern matches the paths that the definition, tried component by component, matches."""
    assert Pattern(tuple(pattern)).matches(tuple(path)) == oracle.components_match(pattern, path)


@given(patterns)
def test_no_pattern_matches_nothing(pattern: list[str]) -> None:
    """The empty path, which no repository has, is in no pattern."""
    assert not Pattern(tuple(pattern)).matches(())


@given(patterns)
def test_patterns_survive_their_text(pattern: list[str]) -> None:
    """A pattern is read back from its text; only `**` is everything."""
    parsed = parse_pattern("/".join(pattern))
    assert parsed == Pattern(tuple(pattern))
    assert str(parsed) == "/".join(pattern)
    assert parsed.is_everything == (parsed == EVERYTHING) == (pattern == ["**"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "***",
        "a*",
        "*a",
        "a/b*/c",
        ".*",
        "[a-z]",
        "(a+)+",
        "A",
        "a\n",
        "a b",
        "é",
        "a:b",
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    """Parts of components, regular expressions, and what no name can hold are no patterns."""
    assert parse_pattern(text) is None


def test_patterns_are_bounded() -> None:
    """A pattern has 32 components and 255 characters at most."""
    assert parse_pattern("/".join(["**"] * MAX_PATTERN_COMPONENTS)) is not None
    assert parse_pattern("/".join(["**"] * (MAX_PATTERN_COMPONENTS + 1))) is None
    assert parse_pattern("a" * MAX_NAME) is not None
    assert parse_pattern("a" * (MAX_NAME + 1)) is None


@given(st.text(max_size=40))
def test_no_text_is_an_error_for_patterns(text: str) -> None:
    """Any text is a pattern that writes it again, or none."""
    pattern = parse_pattern(text)
    assert pattern is None or str(pattern) == text


@pytest.mark.parametrize(
    "hostile",
    [
        ("**", "a") * 16,
        ("**",) * 31 + ("z",),
        ("**", "*") * 16,
        ("*",) * 31 + ("**",),
        ("**", "a", "*", "**") * 8,
    ],
)
def test_hostile_patterns_stay_cheap(hostile: tuple[str, ...]) -> None:
    """The longest name and the worst pattern cost components times components, where a naive matcher never ends."""
    path = CountingPath(("a",) * 127 + ("b",))
    pattern = Pattern(hostile)
    pattern.matches(path)
    assert path.looked_at <= len(hostile) * len(path)
