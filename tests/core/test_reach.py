"""forward_and_reverse_agree, purely: what the rule grants somebody is what the rule in reverse says of him (DESIGN 3)."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.decide import decide
from authsvc.core.principal import PrincipalKind
from authsvc.core.reach import Place, ReachKind, Whereabouts, bindings_that_allow, openings
from authsvc.core.scope import Scope
from authsvc.core.service import Service
from tests.core import oracle
from tests.core.oracle import World
from tests.core.plain_worlds import circumstances_of, moment, snapshot_of
from tests.core.worlds import ACTIONS, NAMES, OFTEN, SELDOM, worlds

names = st.one_of(st.sampled_from([*OFTEN, *SELDOM]), st.sampled_from(NAMES))
actions = st.sampled_from([*ACTIONS, "*"])


def _place_of(world: World) -> Place:
    snapshot = snapshot_of(world)
    return Place(snapshot.bindings, snapshot.projects, snapshot.holds)


@settings(max_examples=500, deadline=None)
@given(worlds(), names, actions)
def test_forward_and_reverse_agree(world: World, name: str, action: str) -> None:
    """Somebody is granted an action, by the rule and by the oracle, if a binding of his allows it, or visibility lets him in."""
    world = World(**{**world, "limits": None, "principal": {**world["principal"], "enabled": True}})
    service = Service(name=world["service"], issuer="authsvc")
    whereabouts = Whereabouts(moment(world["now"]), service, ip_address(world["address"]))
    scope = Scope("repository", name, (action,))
    allowing = bindings_that_allow(scope, _place_of(world), whereabouts)
    opened = {reach.kind for reach in openings(scope, _place_of(world), whereabouts)}
    snapshot = snapshot_of(world)
    (grant,) = decide(snapshot, [scope], service=service, circumstances=circumstances_of(world))
    (verdict,) = [verdict for verdict in grant.verdicts if verdict.action == action]
    is_anonymous = snapshot.principal.kind is PrincipalKind.ANONYMOUS
    door = ReachKind.ANONYMOUS if is_anonymous else ReachKind.AUTHENTICATED
    assert verdict.allowed == bool(allowing or door in opened)
    assert verdict.allowed == (action in oracle.granted(world, ("repository", name, frozenset({action}))))
    assert verdict.binding is None or not verdict.allowed or verdict.binding in allowing


@settings(max_examples=250, deadline=None)
@given(worlds(), names, actions)
def test_what_is_not_said_is_any(world: World, name: str, action: str) -> None:
    """Without a service or an address a binding allows that does so without these conditions, and is named with them."""
    scope = Scope("repository", name, (action,))
    place = _place_of(world)
    anywhere = bindings_that_allow(scope, place, Whereabouts(moment(world["now"])))
    bare = Place(
        tuple(replace(binding, services=frozenset(), cidrs=()) for binding in place.bindings),
        place.projects,
        place.holds,
    )
    service = Service(name=world["service"], issuer="authsvc")
    here = Whereabouts(moment(world["now"]), service, ip_address(world["address"]))
    assert {binding.id for binding in anywhere} == {b.id for b in bindings_that_allow(scope, bare, here)}
    assert set(bindings_that_allow(scope, place, here)) <= set(anywhere) <= set(place.bindings)
