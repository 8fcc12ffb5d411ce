import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.names import (
    describe_bad_plain_name,
    describe_bad_project_name,
    describe_bad_service_name,
    describe_bad_user_name,
    user_key,
)
from authsvc.core.repository import parse_repository
from authsvc.core.scope import split_scopes


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "Alice",
        "a",
        "a.b-c_d@e.example",
        "7",
        "étienne",
        "Ærøskøbing",
        "иван",
        "Ελένη",
        "김민수",
        "山田太郎",
    ],
)
def test_people_may_have_their_names(name: str) -> None:
    """Letters of one script and digits, joined by marks that addresses have, are a user's name."""
    assert describe_bad_user_name(name) is None


@pytest.mark.parametrize("name", ["ユーザー", "佐々木", "さくら", "山田エミ", "김漢"])
def test_scripts_that_are_written_together_are_one(name: str) -> None:
    """Han, Kana and Hangul stand in one name, with the marks for long vowels and repetition."""
    assert describe_bad_user_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("a" * 129, id="too long"),
        pytest.param("a:b", id="where Basic splits"),
        pytest.param("acme+ci", id="a robot's"),
        pytest.param("a b", id="space"),
        pytest.param("a/b", id="slash"),
        pytest.param("<token>", id="docker's identity token"),
        pytest.param(".a", id="mark at the beginning"),
        pytest.param("a-", id="mark at the end"),
        pytest.param("a\n", id="line feed"),
        pytest.param("a\x00b", id="null"),
        pytest.param("аlice", id="Cyrillic a in Latin"),
        pytest.param("αlice", id="Greek alpha in Latin"),
        pytest.param("ａlice", id="full width"),
        pytest.param("ﬁona", id="ligature"),
        pytest.param("e\u0301tienne", id="decomposed"),
        pytest.param("a\u0334b", id="combining overlay"),
        pytest.param("ali\u200bce", id="zero width space"),
        pytest.param("ali\u200dce", id="zero width joiner"),
        pytest.param("ali\u00adce", id="soft hyphen"),
        pytest.param("ali\u202ece", id="right to left override"),
        pytest.param("김\u1160", id="Hangul filler"),
        pytest.param("\u115f\u1160", id="nothing but fillers"),
        pytest.param("김\u3164", id="compatibility filler"),
        pytest.param("a\ud800", id="lone surrogate"),
    ],
)
def test_names_that_mislead_or_break_are_refused(name: str) -> None:
    """Nothing that splits, hides, looks like another script's letter, or has a second form is in a user's name."""
    assert describe_bad_user_name(name) is not None


@given(st.text(max_size=12))
def test_no_user_name_is_an_error(name: str) -> None:
    """Any text is judged without an exception, and what passes is printable and not a robot's name."""
    if describe_bad_user_name(name) is None:
        assert name.isprintable()
        assert not set(name) & set(":+/ ")
        assert user_key(name) == user_key(name.casefold())


@pytest.mark.parametrize(
    ("one", "other"), [("Alice", "alice"), ("STRASSE", "straße"), ("Ελένη", "ΕΛΈΝΗ"), ("ﬁona", "fiona")]
)
def test_users_that_differ_in_case_share_their_key(one: str, other: str) -> None:
    """Names that differ in case or compatibility form alone are one account's."""
    assert user_key(one) == user_key(other)


@pytest.mark.parametrize("name", ["ci", "ci-2", "a.b_c-d", "0", "a" * 128])
def test_plain_names_are_taken(name: str) -> None:
    """Groups, roles and robots are called by words joined by single marks."""
    assert describe_bad_plain_name(name) is None


@pytest.mark.parametrize("name", ["", "CI", "a--b", "-a", "a.", "a+b", "a b", "a/b", "é", "a\n", "a" * 129])
def test_other_plain_names_are_refused(name: str) -> None:
    """Capitals, doubled marks and marks at the ends are refused; `+` would make two readings of a robot's name."""
    assert describe_bad_plain_name(name) is not None


@pytest.mark.parametrize("name", ["acme", "library", "a__b", "a---b", "reg.example.com", "systems"])
def test_projects_are_called_as_registries_call_them(name: str) -> None:
    """A project's name is one component of repository names."""
    assert describe_bad_project_name(name) is None


@pytest.mark.parametrize("name", ["system", "", "a/b", "Acme", "a..b", "a+b", "_a", "a\n", "a" * 129])
def test_other_project_names_are_refused(name: str) -> None:
    """`system` is kept for robots of the system; two components, and what no repository can begin with, are no project."""
    assert describe_bad_project_name(name) is not None


@given(st.text(st.sampled_from("ab0._-/A+ "), max_size=10))
def test_every_project_can_have_repositories(name: str) -> None:
    """A name is taken for a project exactly when repositories can lie in it, but for the reserved one."""
    repository = parse_repository(f"{name}/app")
    lies_in_it = repository is not None and (repository.project, repository.path) == (name, ("app",))
    assert (describe_bad_project_name(name) is None) == lies_in_it


@pytest.mark.parametrize(
    "name", ["registry.localhost", "reg.example.com:5000", "My Registry", "https://reg.example/v2/", "~"]
)
def test_services_are_called_what_registries_like(name: str) -> None:
    """Any printable ASCII is a service's name."""
    assert describe_bad_service_name(name) is None


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\tb", "a\n", "é", "a" * 256, "a\x00b"])
def test_other_service_names_are_refused(name: str) -> None:
    """Spaces at the ends, control characters and letters beyond ASCII would not survive headers."""
    assert describe_bad_service_name(name) is not None


@given(st.text(max_size=8))
def test_project_names_never_split_a_scope(name: str) -> None:
    """What passes for a project stands in a scope as one word."""
    if describe_bad_project_name(name) is None:
        assert split_scopes([f"repository:{name}/app:pull"]) == [f"repository:{name}/app:pull"]
