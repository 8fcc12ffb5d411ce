import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.permission import (
    ADMINISTRATOR,
    AUDITOR,
    BUILT_IN_ROLES,
    DEVELOPER,
    EVERYTHING,
    MAINTAINER,
    OWNER,
    READER,
    REPORTER,
    SCANNER,
    Permission,
    ResourceType,
    Role,
    parse_permission,
)

PROJECT_ROLES = (READER, DEVELOPER, MAINTAINER, OWNER)

actions = st.sampled_from(["pull", "push", "read", "write", "*"])
permissions = st.builds(Permission, st.sampled_from([*ResourceType]), actions) | st.just(EVERYTHING)


def held(role: Role, *texts: str) -> list[bool]:
    """Whether the role holds each permission."""
    return [role.covers(Permission(*text.split(":"))) for text in texts]


@pytest.mark.parametrize(
    "text", ["repository:push", "registry:catalog", "project:write", "audit:read", "repository:*", "*:*"]
)
def test_permissions_survive_their_text(text: str) -> None:
    """A permission is read from its text and writes it again."""
    permission = parse_permission(text)
    assert permission is not None
    assert str(permission) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "*", "repository", "repository:", ":pull", "*:pull", "*:", "plugin:pull", "Repository:pull",
        "repository:Pull", "repository:pull,push", "repository:acme:pull", "repository:**", "repository: pull",
        "repository:pull\n", "repository:" + "a" * 65, "*:*:*", "repository:-a",
    ],
)  # fmt: skip
def test_what_is_no_permission_is_refused(text: str) -> None:
    """Unknown types, an action of every type, and what is no single word are no permissions."""
    assert parse_permission(text) is None


@given(st.text(max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    """Any text is a permission that writes it again, or none."""
    permission = parse_permission(text)
    assert permission is None or str(permission) == text


@given(permissions, permissions, permissions)
def test_covering_is_an_order(one: Permission, two: Permission, three: Permission) -> None:
    """A permission covers itself, what its covered ones cover, and two cover one another only if they are the same."""
    assert one.covers(one)
    assert EVERYTHING.covers(one)
    assert not (one.covers(two) and two.covers(three)) or one.covers(three)
    assert not (one.covers(two) and two.covers(one)) or one == two


def test_covering_by_example() -> None:
    """All of a type covers each action and the literal `*`; one action covers neither another nor `*`."""
    pull, everything = Permission("repository", "pull"), Permission("repository", "*")
    assert everything.covers(pull)
    assert everything.covers(everything)
    assert not pull.covers(everything)
    assert not pull.covers(Permission("repository", "push"))
    assert not everything.covers(Permission("registry", "catalog"))
    assert not everything.covers(EVERYTHING)


def test_roles_of_a_project_are_a_ladder() -> None:
    """Each role of a project holds what the one before holds, and all may read the project."""
    actions = ("repository:pull", "repository:push", "repository:delete", "repository:*")
    assert [held(role, *actions).count(True) for role in PROJECT_ROLES] == [1, 2, 3, 4]
    for role in PROJECT_ROLES:
        assert held(role, "project:read", "project:write") == [True, role is OWNER]
        assert not any(held(role, "user:read", "audit:read", "registry:catalog", "*:*"))


def test_roles_of_the_system() -> None:
    """The administrator holds everything, the auditor reads all but repositories, scanner and reporter have their one task."""
    every_read = [f"{type_}:read" for type_ in ResourceType if type_ not in ("repository", "registry")]
    every_write = [f"{type_}:write" for type_ in ResourceType]
    assert all(held(ADMINISTRATOR, *every_read, *every_write, "repository:*", "registry:catalog", "*:*"))
    assert all(held(AUDITOR, *every_read))
    assert not any(held(AUDITOR, *every_write, "repository:pull", "repository:read", "registry:catalog"))
    assert SCANNER.permissions == {
        Permission("repository", "pull"),
        Permission("registry", "catalog"),
    }
    assert REPORTER.permissions == {Permission("registry", "report")}


def test_built_in_roles_are_well_formed() -> None:
    """Every built-in role has a name of its own, and permissions that an administrator could have written."""
    assert len({role.name for role in BUILT_IN_ROLES}) == len(BUILT_IN_ROLES)
    for role in BUILT_IN_ROLES:
        assert all(parse_permission(str(permission)) == permission for permission in role.permissions)
        assert role.description


def test_a_role_without_permissions_holds_nothing() -> None:
    """Nothing is held by being in a role alone."""
    assert not any(held(Role("empty", frozenset()), "repository:pull", "project:read", "*:*"))
