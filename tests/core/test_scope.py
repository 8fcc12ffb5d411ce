from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.scope import ParsedScopes, Scope, parse_scope, parse_scopes, split_scopes

APP_PULL = Scope("repository", "acme/app", ("pull",))
APP_BOTH = Scope("repository", "acme/app", ("pull", "push"))
LIB_PULL = Scope("repository", "acme/lib", ("pull",))

actions = st.from_regex(r"[a-z][a-z_-]{0,8}|\*", fullmatch=True)
types = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
names = st.text(st.characters(exclude_characters=" "), min_size=1, max_size=30)
scopes = st.builds(
    Scope, types, names, st.frozensets(actions, min_size=1, max_size=4).map(lambda some: tuple(sorted(some)))
)
few_scopes = st.builds(
    Scope,
    st.just("repository"),
    st.sampled_from(["acme/app", "acme/lib", "reg:5000/a"]),
    st.frozensets(st.sampled_from(["pull", "push", "*"]), min_size=1).map(lambda some: tuple(sorted(some))),
)
messy = st.lists(
    st.sampled_from([*":,()*/ \t\n\x00", "repository", "pull", "a", "A", "é", "٣", "\ud800"]), max_size=12
).map("".join)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["repository:acme/app:pull", "repository:acme/lib:pull"], id="25, 28: repeated"),
        pytest.param(["repository:acme/app:pull repository:acme/lib:pull"], id="26, 27: space-joined"),
        pytest.param(
            ["repository:acme/app:pull repository:acme/lib:pull", "repository:acme/lib:pull"], id="29: mixed"
        ),
        pytest.param(
            ["repository:acme/app:pull", "repository:acme/lib:pull", "repository:acme/app:pull"],
            id="31: duplicates collapse",
        ),
        pytest.param(
            ["  repository:acme/app:pull  ", "", " ", "repository:acme/lib:pull "], id="more spaces"
        ),
    ],
)
def test_every_way_to_ask_for_several_is_the_same(values: list[str]) -> None:
    """Two resources are asked by repeated parameters, by one with spaces, or by both (A2.25-29, 31)."""
    assert parse_scopes(values) == ParsedScopes((APP_PULL, LIB_PULL), ())


@pytest.mark.parametrize(
    "values",
    [
        ["repository:acme/app:pull repository:acme/app:pull,push"],
        ["repository:acme/app:pull,push", "repository:acme/app:pull"],
        ["repository:acme/app:push", "repository:acme/app:pull"],
        ["repository(plugin):acme/app:push", "repository:acme/app:pull"],
    ],
)
def test_one_resource_asked_twice_is_merged(values: list[str]) -> None:
    """A resource asked twice is asked once, with all actions of both, its class of no matter (A2.30, 34)."""
    assert parse_scopes(values) == ParsedScopes((APP_BOTH,), ())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("repository:reg.example.com:5000/team/app:push,pull", "reg.example.com:5000/team/app"),
        ("repository:[::1]:5000/x:push,pull", "[::1]:5000/x"),
        ("repository::::push,pull", "::"),
    ],
)
def test_a_name_may_hold_colons(text: str, name: str) -> None:
    """The type ends at the first colon, and the actions begin after the last (A2.32)."""
    assert parse_scope(text) == Scope("repository", name, ("pull", "push"))


def test_the_class_of_a_resource_is_stripped() -> None:
    """`repository(plugin)` is a repository in the answer (A2.33)."""
    scope = parse_scope("repository(plugin):a/plug:pull")
    assert scope == Scope("repository", "a/plug", ("pull",))
    assert str(scope) == "repository:a/plug:pull"


@pytest.mark.parametrize(
    "text", ["pull,push", "push,pull", "push,,pull", ",pull,push,", "pull,push,pull,pull"]
)
def test_actions_are_a_set(text: str) -> None:
    """Order, repetition and empty places in the list of actions are of no matter (A2.35)."""
    assert parse_scope(f"repository:acme/app:{text}") == APP_BOTH


def test_actions_have_cases() -> None:
    """An action in capitals is no action of the grammar, and not the one in small letters (A2.35)."""
    assert parse_scope("repository:acme/app:PULL") is None
    assert parse_scope("repository:acme/app:pull,Push") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:acme/app:*", ("*",)),
        ("repository:acme/app:*,pull", ("*", "pull")),
        ("registry:catalog:*", ("*",)),
        ("repository:acme/app:delete", ("delete",)),
        ("repository:acme/app:artifact-label_read", ("artifact-label_read",)),
    ],
)
def test_usual_actions_are_read(text: str, expected: tuple[str, ...]) -> None:
    """`*`, the catalog's among them, `delete` and other words are actions of their own (A2.36, 38, 40)."""
    scope = parse_scope(text)
    assert scope is not None
    assert scope.actions == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("repository", id="no colon"),
        pytest.param("repository:acme/app", id="two parts"),
        pytest.param("repository::pull", id="empty name"),
        pytest.param(":acme/app:pull", id="empty type"),
        pytest.param("registry:catalog:", id="empty actions"),
        pytest.param("registry:catalog:,,", id="only commas"),
        pytest.param("::", id="nothing at all"),
        pytest.param("Repository:acme/app:pull", id="type in capitals"),
        pytest.param("repository():acme/app:pull", id="empty class"),
        pytest.param("repository(a)(b):acme/app:pull", id="two classes"),
        pytest.param("*:acme/app:pull", id="wildcard for a type"),
        pytest.param("repository:acme/app:pu*", id="part of a wildcard"),
        pytest.param("repository:acme/app:**", id="two wildcards"),
        pytest.param("repository:acme/app:pull\n", id="line feed"),
        pytest.param("repository:acme/app:" + "a" * 65, id="endless action"),
    ],
)
def test_odd_scopes_are_kept_and_ask_nothing(text: str) -> None:
    """What is no scope is no error and asks for nothing, is kept once to be recorded, and spoils no other (A2.41)."""
    assert parse_scope(text) is None
    assert parse_scopes([text, f"repository:acme/app:pull {text}"]) == ParsedScopes((APP_PULL,), (text,))


def test_odd_names_and_types_are_for_the_rule_to_refuse() -> None:
    """A name in capitals and a type that nobody knows are read, so that their refusal has a reason (A2.41)."""
    assert parse_scope("repository:Acme/App:pull") == Scope("repository", "Acme/App", ("pull",))
    assert parse_scope("plugin:x:pull") == Scope("plugin", "x", ("pull",))


@given(scopes)
def test_scopes_survive_their_text(scope: Scope) -> None:
    """A scope with a printable name is read back from its text; no other name can be one."""
    assert parse_scope(str(scope)) == (scope if scope.name.isprintable() else None)


@given(st.lists(few_scopes, max_size=8), st.lists(st.integers(min_value=0, max_value=8), max_size=3))
def test_merging_unites_and_nothing_else(asked: list[Scope], cuts: list[int]) -> None:
    """However scopes are spread over parameters, each resource comes once, first come first, with all its actions."""
    edges = [0, *sorted(min(cut, len(asked)) for cut in cuts), len(asked)]
    values = [" ".join(str(scope) for scope in asked[start:end]) for start, end in pairwise(edges)]
    expected: dict[str, set[str]] = {}
    for scope in asked:
        expected.setdefault(scope.name, set()).update(scope.actions)
    parsed = parse_scopes(values)
    assert [(scope.name, set(scope.actions)) for scope in parsed.scopes] == list(expected.items())
    assert parse_scopes([str(scope) for scope in parsed.scopes]) == parsed


@given(st.lists(st.one_of(messy, st.text()), max_size=4))
def test_no_text_is_an_error(values: list[str]) -> None:
    """Any text is read without an exception, and every part of it is a scope or kept as odd."""
    parsed = parse_scopes(values)
    for text in split_scopes(values):
        assert (parse_scope(text) is None) == (text in parsed.odd)
    assert len(parsed.scopes) + len(parsed.odd) <= len(split_scopes(values))
    assert len({(scope.type, scope.name) for scope in parsed.scopes}) == len(parsed.scopes)
    assert all(scope.actions == tuple(sorted(set(scope.actions))) for scope in parsed.scopes)
