"""The rule by example: what each of its parts means for one person, one repository, one binding."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from authsvc.core.decide import Circumstances, Grant, Verdict, decide
from authsvc.core.permission import (
    ADMINISTRATOR,
    DEVELOPER,
    OWNER,
    READER,
    SCANNER,
    Permission,
    Role,
)
from authsvc.core.principal import (
    ANONYMOUS,
    Binding,
    Hold,
    Limit,
    Principal,
    PrincipalKind,
    Snapshot,
    Visibility,
)
from authsvc.core.reason import Reason
from authsvc.core.repository import Pattern, parse_pattern
from authsvc.core.scope import Scope, parse_scope
from authsvc.core.service import Service

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = Circumstances("registry.example", ip_address("10.0.0.5"), NOW)
REGISTRY = Service(name="registry.example", issuer="authsvc")
NOTARY = Service(name="notary", issuer="authsvc", name_prefix="reg.example.com:5000/")
ALICE = Principal(PrincipalKind.USER, "u1", "alice")
PRIVATE: Mapping[str, Visibility | None] = {"acme": Visibility.PRIVATE}
SCANS = Role("scans", frozenset({Permission("repository", "scan")}))


def pattern(text: str) -> Pattern:
    """A pattern that is well formed."""
    parsed = parse_pattern(text)
    assert parsed is not None
    return parsed


def asked(text: str) -> Scope:
    """A scope that is well formed."""
    scope = parse_scope(text)
    assert scope is not None
    return scope


def alice(*bindings: Binding, limits: tuple[Limit, ...] | None = None) -> Snapshot:
    """Alice, bound by these, with the private project `acme`."""
    return Snapshot(ALICE, bindings, projects=PRIVATE, limits=limits)


def answer(snapshot: Snapshot, text: str, service: Service = REGISTRY) -> Grant:
    """The answer to one scope."""
    (grant,) = decide(snapshot, [asked(text)], service=service, circumstances=HERE)
    return grant


def reasons(grant: Grant) -> dict[str, Reason]:
    """The reason for each action of a grant."""
    return {verdict.action: verdict.reason for verdict in grant.verdicts}


def test_a_limit_gives_nothing_that_is_not_bound() -> None:
    """What a credential keeps of nothing is nothing."""
    unbound = alice(limits=(Limit(Permission("*", "*")),))
    assert reasons(answer(unbound, "repository:acme/app:pull")) == {"pull": Reason.NO_BINDING}


def test_the_disabled_may_do_nothing() -> None:
    """A disabled principal is refused repositories and the catalog, what is public too."""
    disabled = Snapshot(
        ALICE, (Binding("b1", ADMINISTRATOR, None),), enabled=False, projects={"acme": Visibility.PUBLIC}
    )
    assert reasons(answer(disabled, "repository:acme/app:pull,*")) == {
        "*": Reason.DISABLED,
        "pull": Reason.DISABLED,
    }
    assert reasons(answer(disabled, "registry:catalog:*")) == {"*": Reason.DISABLED}


def test_the_catalog_needs_its_permission_over_the_system() -> None:
    """`registry:catalog:*` is granted by `registry:catalog` on the system; an owner of a project or a reader has it not."""
    assert answer(alice(Binding("b1", SCANNER, None)), "registry:catalog:*").granted == ("*",)
    assert answer(alice(Binding("b1", ADMINISTRATOR, None)), "registry:catalog:*").granted == ("*",)
    everything = Role("everything", frozenset({Permission("*", "*")}))
    for binding, reason in (
        (Binding("b1", everything, "acme"), Reason.NO_BINDING),
        (Binding("b2", READER, None), Reason.ROLE),
    ):
        assert reasons(answer(alice(binding), "registry:catalog:*")) == {"*": reason}


@pytest.mark.parametrize("scope", ["registry:catalog:pull", "registry:catalog:catalog", "registry:other:*"])
def test_the_registry_has_no_other_scope(scope: str) -> None:
    """Nobody is granted another action on the catalog, or anything else of a registry (A2.40)."""
    assert answer(alice(Binding("b1", ADMINISTRATOR, None)), scope).granted == ()


def test_the_catalog_can_be_limited_to() -> None:
    """A credential keeps the catalog when it says so, not when it keeps repositories only."""
    scanner = Binding("b1", SCANNER, None)
    catalog = (Limit(Permission("registry", "catalog")),)
    pulls = (Limit(Permission("repository", "*")),)
    assert answer(alice(scanner, limits=catalog), "registry:catalog:*").granted == ("*",)
    assert reasons(answer(alice(scanner, limits=pulls), "registry:catalog:*")) == {"*": Reason.OUTSIDE_LIMITS}


def test_a_prefix_is_stripped_when_matching_and_stays_in_the_answer() -> None:
    """Notary's names hold the registry's host and port; the answer has the name as asked (A2.32, A8.119)."""
    grant = answer(
        alice(Binding("b1", DEVELOPER, "acme")), "repository:reg.example.com:5000/acme/app:push,pull", NOTARY
    )
    assert grant.granted == ("pull", "push")
    assert grant.scope.name == "reg.example.com:5000/acme/app"


def test_a_prefix_is_stripped_once_and_only_by_its_service() -> None:
    """Another host before the name, the prefix twice, or a service without one: these are no repository names."""
    snapshot = alice(Binding("b1", ADMINISTRATOR, None))
    host = "reg.example.com:5000/"
    for name, service in (
        (f"other.example:5000/{host}acme/app", NOTARY),
        (f"{host}{host}acme/app", NOTARY),
        (f"{host}acme/app", REGISTRY),
    ):
        assert reasons(answer(snapshot, f"repository:{name}:pull", service)) == {
            "pull": Reason.MALFORMED_NAME
        }


def test_the_wildcard_is_literal_for_who_holds_everything() -> None:
    """Who holds `repository:*` is granted `*`, and beside it the concrete actions (A2.36-37)."""
    grant = answer(alice(Binding("b1", OWNER, "acme")), "repository:acme/app:*")
    assert grant.granted == ("*", "delete", "pull", "push")
    assert grant.refused == ()


def test_the_wildcard_becomes_the_actions_held() -> None:
    """Who holds less is granted the actions held, those of their own among them, and is refused `*` alone (A2.36)."""
    bindings = (Binding("b1", DEVELOPER, "acme"), Binding("b2", SCANS, "acme", (pattern("app"),)))
    assert answer(alice(*bindings), "repository:acme/app:*").granted == ("pull", "push", "scan")
    assert answer(alice(*bindings), "repository:acme/other:*").granted == ("pull", "push")
    assert answer(alice(*bindings), "repository:acme/app:*").refused == ("*",)


def test_an_expired_binding_names_no_action() -> None:
    """The actions that `*` becomes are those of bindings that hold: an expired one adds none to an owner's."""
    expired = Binding("b2", SCANS, "acme", expires_at=NOW)
    grant = answer(alice(Binding("b1", OWNER, "acme"), expired), "repository:acme/app:*")
    assert grant == answer(alice(Binding("b1", OWNER, "acme")), "repository:acme/app:*")


def test_the_wildcard_is_cut_by_limits_and_holds() -> None:
    """Limits to pulling leave the pull of `*`; a hold of pushes takes `*` and the push away."""
    owner = Binding("b1", OWNER, "acme")
    pulls = (Limit(Permission("repository", "pull"), pattern("acme/**")),)
    assert answer(alice(owner, limits=pulls), "repository:acme/app:*").granted == ("pull",)
    held = Snapshot(ALICE, (owner,), projects=PRIVATE, holds=(Hold("acme", actions=frozenset({"push"})),))
    assert answer(held, "repository:acme/app:*").granted == ("delete", "pull")
    assert reasons(answer(held, "repository:acme/app:push")) == {"push": Reason.HELD}


@pytest.mark.parametrize(
    "name",
    ["Acme/app", "acme//app", "/acme", "acme/", "acme/../app", "acme/a\n", "acme/**", "acme/\x00", "é/a"],
)
def test_a_malformed_name_gives_nothing(name: str) -> None:
    """No name outside Distribution's grammar is granted anything, whoever asks, and nothing is raised (A2.41)."""
    administrator = alice(Binding("b1", ADMINISTRATOR, None))
    scope = Scope("repository", name, ("pull",))
    (grant,) = decide(administrator, [scope], service=REGISTRY, circumstances=HERE)
    assert reasons(grant) == {"pull": Reason.MALFORMED_NAME}


@pytest.mark.parametrize("type_", ["project", "user", "audit", "plugin", "repositories"])
def test_an_unknown_type_gives_nothing(type_: str) -> None:
    """A token grants repositories and the catalog only, never administration."""
    administrator = alice(Binding("b1", ADMINISTRATOR, None))
    assert reasons(answer(administrator, f"{type_}:acme:read,*")) == {
        "*": Reason.UNKNOWN_TYPE,
        "read": Reason.UNKNOWN_TYPE,
    }


@pytest.mark.parametrize("projects", [{}, {"other": None}])
def test_an_unknown_project_gives_nothing(projects: Mapping[str, Visibility | None]) -> None:
    """Not even an administrator is granted anything in a project that does not exist."""
    snapshot = Snapshot(ALICE, (Binding("b1", ADMINISTRATOR, None),), projects=projects)
    assert reasons(answer(snapshot, "repository:other/app:pull")) == {"pull": Reason.UNKNOWN_PROJECT}


@pytest.mark.parametrize(
    ("visibility", "anonymous", "user"),
    [
        (Visibility.PRIVATE, Reason.NO_BINDING, Reason.NO_BINDING),
        (Visibility.INTERNAL, Reason.NO_BINDING, Reason.INTERNAL),
        (Visibility.PUBLIC, Reason.PUBLIC, Reason.PUBLIC),
    ],
)
def test_visibility_lets_pull_and_no_more(visibility: Visibility, anonymous: Reason, user: Reason) -> None:
    """Public is pulled by anyone, internal by who is authenticated, private by nobody; none of it is pushed."""
    for principal, reason in ((ANONYMOUS, anonymous), (ALICE, user)):
        snapshot = Snapshot(principal, projects={"acme": visibility})
        expected = {"pull": reason, "push": Reason.NO_BINDING}
        assert reasons(answer(snapshot, "repository:acme/app:pull,push")) == expected


def test_a_name_without_a_slash_is_in_the_library() -> None:
    """`app` and `library/app` are one place for bindings and limits alike."""
    limits = (Limit(Permission("repository", "pull"), pattern("library/*")),)
    snapshot = Snapshot(
        ALICE,
        (Binding("b1", READER, "library"),),
        projects={"library": Visibility.PRIVATE},
        limits=limits,
    )
    for name in ("app", "library/app"):
        assert answer(snapshot, f"repository:{name}:pull").granted == ("pull",)


def test_the_binding_that_lasts_longest_is_named() -> None:
    """Of several that allow, the one without an end, or else with the last, is the ground; the first end bounds the grant."""
    soon, later = (
        Binding("b1", READER, "acme", expires_at=NOW + timedelta(minutes=1)),
        Binding("b2", DEVELOPER, "acme", expires_at=NOW + timedelta(hours=1)),
    )
    pushes = Binding("b3", Role("pushes", frozenset({Permission("repository", "push")})), "acme")
    pull, push = answer(alice(soon, later, pushes), "repository:acme/app:pull,push").verdicts
    assert (pull.binding, push.binding) == (later, pushes)
    assert answer(alice(soon, later, pushes), "repository:acme/app:pull,push").expires_at == later.expires_at
    assert answer(alice(pushes), "repository:acme/app:push").expires_at is None


def test_the_binding_that_comes_nearest_is_named() -> None:
    """Of several that fail, one for another service or address explains first, then one that is to come, then one that ended."""
    expired = Binding("b1", READER, "acme", expires_at=NOW)
    not_yet = Binding("b2", READER, "acme", not_before=NOW + timedelta(seconds=1))
    address = Binding("b3", READER, "acme", cidrs=(ip_network("192.0.2.0/24"),))
    service = Binding("b4", READER, "acme", services=frozenset({"other"}))
    failing = [expired, not_yet, address, service]
    for reason in (Reason.SERVICE, Reason.ADDRESS, Reason.NOT_YET, Reason.EXPIRED):
        (verdict,) = answer(alice(*failing), "repository:acme/app:pull").verdicts
        assert verdict == Verdict("pull", False, reason, failing.pop())


def test_a_binding_is_as_far_as_the_hardest_thing_in_its_way() -> None:
    """One that has ended is expired, whatever else fails; of two that have, the one that did so last is nearer."""
    nowhere = (ip_network("192.0.2.0/24"),)
    older = Binding("b1", READER, "acme", expires_at=NOW - timedelta(days=9))
    newer = Binding("b2", READER, "acme", expires_at=NOW, cidrs=nowhere)
    sooner = Binding("b4", READER, "acme", not_before=NOW + timedelta(days=1), cidrs=nowhere)
    later = Binding("b3", READER, "acme", not_before=NOW + timedelta(days=2))
    for reason, nearest, failing in (
        (Reason.EXPIRED, newer, (older, newer)),
        (Reason.NOT_YET, sooner, (sooner, later)),
    ):
        (verdict,) = answer(alice(*failing), "repository:acme/app:pull").verdicts
        assert verdict == Verdict("pull", False, reason, nearest)


def test_a_role_or_a_pattern_that_leaves_it_out_is_named() -> None:
    """Where no condition fails, it is the project's role, its pattern, the system's role, or nothing, in this order."""
    role = Binding("b4", READER, "acme")
    pattern_ = Binding("b3", DEVELOPER, "acme", (pattern("team/*"),))
    system = Binding("b1", SCANNER, None)
    lapsed = Binding("b0", READER, "acme", expires_at=NOW)
    elsewhere = Binding("b2", DEVELOPER, "other")
    bound = [role, pattern_, system, lapsed, elsewhere]
    for reason, nearest in (
        (Reason.ROLE, role),
        (Reason.PATTERN, pattern_),
        (Reason.ROLE, system),
        (Reason.NO_BINDING, None),
    ):
        (verdict,) = answer(alice(*bound), "repository:acme/app:push").verdicts
        assert verdict == Verdict("push", False, reason, nearest)
        bound = bound[1:]


def test_of_equally_near_bindings_the_first_id_is_named() -> None:
    """Where several bindings fail the same condition, their order does not choose among them."""
    expired = [Binding(id_, READER, "acme", expires_at=NOW) for id_ in ("b2", "b1", "b3")]
    (verdict,) = answer(alice(*expired), "repository:acme/app:pull").verdicts
    assert verdict.binding == expired[1]


def test_a_hold_is_of_one_project_and_place() -> None:
    """What is held in one project, or at one place of it, is held nowhere else."""
    held = Snapshot(
        ALICE,
        (Binding("b1", READER, None),),
        projects={**PRIVATE, "other": Visibility.PRIVATE},
        holds=(Hold("acme", pattern("team/*")),),
    )
    assert reasons(answer(held, "repository:acme/team/app:pull")) == {"pull": Reason.HELD}
    for name in ("other/team/app", "acme/app", "acme/team/app/x"):
        assert answer(held, f"repository:{name}:pull").granted == ("pull",)


def test_what_was_refused_anyway_is_not_called_held() -> None:
    """A hold is the reason only where everything else allows."""
    held = Snapshot(ALICE, projects=PRIVATE, holds=(Hold("acme"),))
    assert reasons(answer(held, "repository:acme/app:pull")) == {"pull": Reason.NO_BINDING}
