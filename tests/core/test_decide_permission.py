"""The rule for administration: a permission over a whole project, or over the system."""

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from authsvc.core.decide import Circumstances, Verdict, decide_permission
from authsvc.core.permission import ADMINISTRATOR, AUDITOR, OWNER, Permission
from authsvc.core.principal import Binding, Limit, Principal, PrincipalKind, Snapshot
from authsvc.core.reason import Reason
from authsvc.core.repository import Pattern, parse_pattern

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = Circumstances("registry.example", ip_address("10.0.0.5"), NOW)
ALICE = Principal(PrincipalKind.USER, "u1", "alice")
PROJECT_WRITE = Permission("project", "write")


def pattern(text: str) -> Pattern:
    """A pattern that is well formed."""
    parsed = parse_pattern(text)
    assert parsed is not None
    return parsed


def alice(*bindings: Binding, limits: tuple[Limit, ...] | None = None) -> Snapshot:
    """Alice, bound by these."""
    return Snapshot(ALICE, bindings, limits=limits)


def may(snapshot: Snapshot, permission: Permission, project: str | None) -> Verdict:
    """The answer to an administrative question."""
    return decide_permission(snapshot, permission, project=project, circumstances=HERE)


def test_a_permission_over_a_project_needs_a_binding_to_all_of_it() -> None:
    """A binding narrowed to some repositories gives no permission over the project, and one to another project none either."""
    whole, narrowed = Binding("b1", OWNER, "acme"), Binding("b1", OWNER, "acme", (pattern("team/**"),))
    assert may(alice(whole), PROJECT_WRITE, "acme") == Verdict("write", True, Reason.BINDING, whole)
    assert may(alice(narrowed), PROJECT_WRITE, "acme") == Verdict("write", False, Reason.PATTERN, narrowed)
    assert may(alice(whole), PROJECT_WRITE, "other") == Verdict("write", False, Reason.NO_BINDING)
    assert may(alice(whole), PROJECT_WRITE, None) == Verdict("write", False, Reason.NO_BINDING)


def test_one_of_several_patterns_may_be_everything() -> None:
    """A binding is to the whole project as soon as one of its patterns is `**`, and not for `*` or `**/**`."""
    narrow = tuple(pattern(text) for text in ("app", "*", "**/**"))
    assert not may(alice(Binding("b1", OWNER, "acme", narrow)), PROJECT_WRITE, "acme").allowed
    assert may(alice(Binding("b1", OWNER, "acme", (*narrow, pattern("**")))), PROJECT_WRITE, "acme").allowed


def test_a_permission_over_the_system_covers_every_project() -> None:
    """A binding to the whole system answers for it and for every project, an auditor's with reading only."""
    for project in (None, "acme", "other"):
        assert may(alice(Binding("b1", ADMINISTRATOR, None)), PROJECT_WRITE, project).allowed
        assert may(alice(Binding("b1", AUDITOR, None)), Permission("project", "read"), project).allowed
        assert not may(alice(Binding("b1", AUDITOR, None)), PROJECT_WRITE, project).allowed


def test_limits_narrow_administration_too() -> None:
    """A limit without a pattern keeps its permission, one with a pattern keeps nothing of a project, an empty list nothing."""
    binding = Binding("b1", ADMINISTRATOR, None)
    outside = Verdict("write", False, Reason.OUTSIDE_LIMITS, binding)
    kept = alice(binding, limits=(Limit(PROJECT_WRITE),))
    assert may(kept, PROJECT_WRITE, "acme").allowed
    assert may(kept, Permission("user", "write"), None).reason is Reason.OUTSIDE_LIMITS
    with_pattern = alice(binding, limits=(Limit(Permission("*", "*"), pattern("**")),))
    assert may(with_pattern, PROJECT_WRITE, "acme") == outside
    assert may(alice(binding, limits=()), PROJECT_WRITE, "acme") == outside


def test_conditions_hold_for_administration() -> None:
    """A permission is refused from elsewhere, and from the moment on when its binding expires."""
    office = Binding("b1", OWNER, "acme", cidrs=(ip_network("192.0.2.0/24"),))
    assert may(alice(office), PROJECT_WRITE, "acme").reason is Reason.ADDRESS
    assert (
        may(alice(Binding("b1", OWNER, "acme", expires_at=NOW)), PROJECT_WRITE, "acme").reason
        is Reason.EXPIRED
    )


def test_an_unknown_address_is_in_no_network() -> None:
    """Who comes from nowhere that is known has no binding with a condition on addresses."""
    anywhere = Binding("b1", OWNER, "acme", cidrs=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    nowhere = Circumstances("registry.example", None, NOW)
    refused = decide_permission(alice(anywhere), PROJECT_WRITE, project="acme", circumstances=nowhere)
    assert refused.reason is Reason.ADDRESS


def test_the_disabled_may_administer_nothing() -> None:
    """A disabled principal is refused whatever is bound."""
    disabled = Snapshot(ALICE, (Binding("b1", ADMINISTRATOR, None),), enabled=False)
    assert may(disabled, PROJECT_WRITE, "acme") == Verdict("write", False, Reason.DISABLED)


def test_a_limit_gives_no_permission_that_is_not_bound() -> None:
    """What a credential keeps of nothing is nothing."""
    unbound = alice(limits=(Limit(Permission("*", "*")),))
    assert may(unbound, PROJECT_WRITE, "acme") == Verdict("write", False, Reason.NO_BINDING)
