import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.limits import parse_limit, parse_limits
from authsvc.core.permission import EVERYTHING, Permission
from authsvc.core.principal import Limit
from authsvc.core.repository import Pattern

PULL, PUSH = Permission("repository", "pull"), Permission("repository", "push")
ACME = Pattern(("acme", "**"))

pieces = st.sampled_from(
    ["repository", "registry", "project", "catalog", "acme", "pull", ":", "/", "*", "**", ","]
)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("repository:acme/**:pull", (Limit(PULL, ACME),)),
        ("repository:acme/**:push,pull", (Limit(PUSH, ACME), Limit(PULL, ACME))),
        ("repository:app:pull", (Limit(PULL, Pattern(("app",))),)),
        ("repository:**:*", (Limit(Permission("repository", "*"), Pattern(("**",))),)),
        ("repository:pull", (Limit(PULL),)),
        ("project:write", (Limit(Permission("project", "write")),)),
        ("registry:catalog", (Limit(Permission("registry", "catalog")),)),
        ("registry:catalog:*", (Limit(Permission("registry", "catalog")),)),
        ("*:*", (Limit(EVERYTHING),)),
    ],
)
def test_scopes_with_patterns_and_permissions_are_limits(text: str, limits: tuple[Limit, ...]) -> None:
    """A scope with a pattern, a permission, and the catalog's scope are read, one limit for each action."""
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    "text",
    [
        "", "repository", "repository:", "repository::pull", "repository:acme/**:", "repository:acme/**:pull,",
        "repository:acme/**:PULL", "repository:acme/app*:pull", "repository:Acme/app:pull", "project:acme:write",
        "registry:other:*", "registry:catalog:pull", "user:*:read", "*:acme/**:pull", "*:pull", "plugin:read",
        "repository:acme/**:pull ", "repository:reg:5000/acme:pull", "repository(plugin):acme/app:pull",
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused(text: str) -> None:
    """A limit that cannot be read is never taken for a wider or an empty one."""
    assert parse_limits(text) is None


@given(st.lists(pieces, max_size=8).map("".join) | st.text(max_size=30))
def test_limits_survive_their_text(text: str) -> None:
    """Any text is read without an exception; each limit that it writes is read back from its own text."""
    limits = parse_limits(text)
    for limit in limits or ():
        assert parse_limit(str(limit)) == limit
    assert limits != ()


@pytest.mark.parametrize("text", ["", "repository:acme/**:pull,push", "nonsense"])
def test_a_stored_limit_is_one_limit(text: str) -> None:
    """A stored text that writes none, or several, raises instead of narrowing to something else."""
    with pytest.raises(ValueError, match="a stored limit cannot be read"):
        parse_limit(text)
