"""Strategies for the oracle's plain worlds: pools so small that names, places, times and addresses collide.

Members of a pool repeat where they should be frequent; the first is the simplest, to which failures shrink.
"""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.core.oracle import Ask, Binding, Hold, Limit, Principal, World

NOW = 100
ANY: frozenset[str] = frozenset()
SERVICES = ["registry.example", "notary.example"]
PROJECTS = ["acme", "library", "app"]
PLACES = [*["acme"] * 6, "library", "app"]
OFTEN = ["acme/app", "acme/team/app", "acme/team/acme/app", "acme/acme"] * 8
SELDOM = ["app", "library/app", "library/team/app", "acme", "app/app", "app/team", "unknown/app"] * 2
EDGES = ["acme/a.b", "acme/a_b", "acme/a__b", "acme/a---b", "acme/" + "a" * 250]
INVALID_SHAPES = ["", "/", "acme/", "/acme/app", "acme//app", "acme/*", "acme/**", "*", "**"]
INVALID_LETTERS = ["Acme/app", "acme/App", "acme/ápp", "acme/٣", "acme/app\n", " acme/app", "acme/app:1"]
INVALID_SEPARATORS = ["acme/app_", "acme/-app", "acme/a..b", "acme/a___b", "acme/a.-b", "acme/.."]
NAMES = [*OFTEN, *SELDOM, *EDGES, *INVALID_SHAPES, *INVALID_LETTERS, *INVALID_SEPARATORS, "acme/" + "a" * 251]
WIDE = ["**", "**", "*", "*/*", "**/**", "*/**"]
NARROW = ["app", "team/*", "team/**", "team/app", "**/app", "*/app", "*/**/app", "acme/app", "acme", "a.b"]
PATTERNS = [*["**"] * 10, *WIDE, *NARROW]
FULL_PATTERNS = [
    "acme/**",
    "acme/*",
    "acme/app",
    "acme/team/**",
    "library/app",
    "library/*",
    "app/**",
    *PATTERNS,
]
ADDRESSES = ["10.0.0.5", "10.0.0.5", "10.0.1.5", "192.0.2.1", "2001:db8::5", "2001:db8:1::5", "::1"]
IPV4 = ["10.0.0.5/32", "10.0.0.4/30", "10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0"]
IPV6 = ["2001:db8::5/128", "2001:db8::/48", "2001:db8::/32", "::/0"]
CIDRS: list[tuple[str, ...]] = [*[()] * 10, *((cidr,) for cidr in [*IPV4, *IPV6]), (IPV4[0], IPV6[-1])]
ACTIONS = ["pull", "push", "delete", "scan"]
ON_REPOSITORIES = [*(f"repository:{action}" for action in ACTIONS), *["repository:*", "*:*"] * 2]
PERMISSIONS = [*ON_REPOSITORIES, "registry:catalog", "registry:*", "registry:report", "project:write"]
BOUNDS = [*[None] * 6, NOW - 1, NOW, NOW + 1]
ASKED = [
    *[frozenset({"pull"}), frozenset({"*"}), frozenset({"pull", "push"}), frozenset({"pull", "*"})] * 3,
    *[
        frozenset({"push"}),
        frozenset({"delete"}),
        frozenset({"scan"}),
        frozenset({"scan", "*"}),
        frozenset(ACTIONS),
    ],
    *[frozenset({"pull", "fly"}), ANY],
]
ASKED_OF_CATALOG = [frozenset({"*"}), frozenset({"*", "pull"}), frozenset({"catalog"}), ANY]
OTHER_LIMITS: list[Limit] = [
    ("registry", None, frozenset({"*"})),
    ("registry", "catalog", frozenset({"catalog"})),
    ("registry", "catalog", frozenset({"report"})),
    ("registry", "other", frozenset({"catalog"})),
    ("project", None, frozenset({"write", "*"})),
]


def principals() -> SearchStrategy[Principal]:
    """Users, robots and anonymous, some of the former disabled."""
    kinds = [*[("user", True), ("robot", True)] * 4, ("anonymous", True), ("user", False), ("robot", False)]
    return st.sampled_from(kinds).map(lambda kind: Principal(kind=kind[0], enabled=kind[1]))


def bindings() -> SearchStrategy[Binding]:
    """One binding; most have few conditions, as otherwise nothing would ever be granted."""
    services = [*[ANY] * 6, *(frozenset({service}) for service in SERVICES), frozenset(SERVICES)]
    return st.builds(
        Binding,
        project=st.sampled_from([*PLACES, None, None, None]),
        patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2),
        permissions=st.frozensets(st.sampled_from(PERMISSIONS), min_size=1, max_size=4),
        services=st.sampled_from(services),
        cidrs=st.sampled_from(CIDRS).map(list),
        not_before=st.sampled_from(BOUNDS),
        expires_at=st.sampled_from(BOUNDS),
    )


def limits() -> SearchStrategy[Limit]:
    """One thing that a credential narrows itself to."""
    actions = st.frozensets(st.sampled_from([*ACTIONS, "*", "*"]), min_size=1, max_size=3)
    places = st.sampled_from([None, None, *FULL_PATTERNS])
    return st.one_of(st.tuples(st.just("repository"), places, actions), st.sampled_from(OTHER_LIMITS))


def holds() -> SearchStrategy[Hold]:
    """One frozen or quarantined place; no actions means all of them."""
    actions = [ANY, *(frozenset({action}) for action in ACTIONS), frozenset({"push", "delete"})]
    return st.tuples(st.sampled_from(PLACES), st.sampled_from(PATTERNS), st.sampled_from(actions))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One world. Nobody binds a role to anonymous, so anonymous has what is visible and no more."""
    principal = draw(principals())
    anonymous = principal["kind"] == "anonymous"
    visibility = st.sampled_from([*["private", "private", "internal", "public"] * 2, None])
    visibilities = {project: draw(visibility) for project in PROJECTS}
    return World(
        principal=principal,
        bindings=[] if anonymous else draw(st.lists(bindings(), min_size=1, max_size=5)),
        projects={project: visible for project, visible in visibilities.items() if visible is not None},
        limits=draw(st.lists(limits(), min_size=1, max_size=3)) if draw(st.sampled_from([0, 0, 1])) else None,
        held=draw(st.lists(holds(), min_size=1, max_size=2)) if draw(st.sampled_from([0, 0, 1])) else [],
        now=NOW,
        address=draw(st.sampled_from(ADDRESSES)),
        service=draw(st.sampled_from(SERVICES)),
    )


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """One scope: mostly of a repository, at times of the catalog, of another type, or badly named."""
    scope_type = draw(st.sampled_from([*["repository"] * 16, *["registry"] * 3, "project", "user", "*", ""]))
    if scope_type == "registry":
        name = draw(st.sampled_from([*["catalog"] * 6, "report", "acme/app"]))
        return scope_type, name, draw(st.sampled_from([*ASKED_OF_CATALOG[:1] * 6, *ASKED_OF_CATALOG]))
    return scope_type, draw(st.sampled_from(NAMES)), draw(st.sampled_from(ASKED))
