"""The rule's named properties (DESIGN 3), on worlds where names, places, times and addresses collide."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.decide import Verdict, decide
from authsvc.core.reason import Reason
from authsvc.core.service import Service
from tests.core import oracle
from tests.core.oracle import Ask, Binding, Hold, Limit, Principal, World
from tests.core.plain_worlds import (
    answer,
    circumstances_of,
    granted,
    moment,
    scope_of,
    snapshot_of,
    with_bindings,
)
from tests.core.worlds import ANY, ASKED, NOW, OFTEN, PROJECTS, SELDOM, asks, bindings, holds, limits, worlds

MODERATE = settings(max_examples=250, deadline=None)
THOROUGH = settings(max_examples=500, deadline=None)

ADMINISTRATOR = Binding(
    project=None,
    patterns=["**"],
    permissions=frozenset({"*:*"}),
    services=ANY,
    cidrs=[],
    not_before=None,
    expires_at=None,
)


def _settled(world: World) -> World:
    """The world without what ends most questions early: the principal is enabled, and every project exists."""
    principal = Principal(**{**world["principal"], "enabled": True})
    projects = {**dict.fromkeys(PROJECTS, "private"), **world["projects"]}
    return World(**{**world, "principal": principal, "projects": projects})


some_worlds = st.one_of(worlds().map(_settled), worlds().map(_settled), worlds())
some_asks = st.one_of(
    st.tuples(st.just("repository"), st.sampled_from([*OFTEN, *SELDOM]), st.sampled_from(ASKED)), asks()
)


@THOROUGH
@given(some_worlds, some_asks)
def test_agrees_with_the_oracle(world: World, ask: Ask) -> None:
    """The service grants what the independent model of the rule grants, no more and no less."""
    assert granted(world, ask) == oracle.granted(world, ask)


@MODERATE
@given(some_worlds, some_asks)
def test_granted_is_within_asked(world: World, ask: Ask) -> None:
    """Each answer is about the scope asked, an action is answered once, and only `*` brings actions that were not named."""
    grant = answer(world, ask)
    _, _, asked = ask
    actions = [verdict.action for verdict in grant.verdicts]
    assert grant.scope == scope_of(ask)
    assert actions == sorted(set(actions))
    assert set(grant.refused) <= asked <= set(actions)
    assert "*" in asked or set(actions) == asked


@MODERATE
@given(some_worlds, some_asks)
def test_default_deny(world: World, ask: Ask) -> None:
    """Without bindings nothing is granted but the pull of what is visible."""
    scope_type, name, asked = ask
    unbound = World(**{**world, "bindings": []})
    visible = (
        scope_type == "repository"
        and oracle.is_repository_name(name)
        and oracle.place_of(name)[0] in world["projects"]
        and oracle.is_visible(world, oracle.place_of(name)[0])
    )
    assert granted(unbound, ask) <= ({"pull"} if visible and asked & {"pull", "*"} else set())


@MODERATE
@given(some_worlds, bindings(), some_asks)
def test_more_bindings_never_grant_less(world: World, more: Binding, ask: Ask) -> None:
    """Whatever is bound in addition, what was granted stays granted."""
    richer = World(**{**world, "bindings": [*world["bindings"], more]})
    assert granted(world, ask) <= granted(richer, ask)


@MODERATE
@given(some_worlds, st.lists(limits(), max_size=3), limits(), some_asks)
def test_limits_never_widen(world: World, kept: list[Limit], one_more: Limit, ask: Ask) -> None:
    """A limited credential grants no more than one without limits or with one limit more, and an empty one nothing."""
    unlimited, limited, wider, empty = (
        World(**{**world, "limits": some}) for some in (None, kept, [*kept, one_more], [])
    )
    assert granted(limited, ask) <= granted(wider, ask) <= granted(unlimited, ask)
    assert granted(empty, ask) == ANY


@MODERATE
@given(some_worlds, holds(), some_asks)
def test_held_beats_bound(world: World, hold: Hold, ask: Ask) -> None:
    """No binding, not even to everything, grants what is held; and a hold gives nothing to anybody."""
    bound = World(**{**world, "bindings": [*world["bindings"], ADMINISTRATOR]})
    held = World(**{**bound, "held": [*world["held"], hold]})
    after = granted(held, ask)
    assert after <= granted(bound, ask)
    scope_type, name, _ = ask
    if scope_type == "repository" and oracle.is_repository_name(name):
        place = oracle.place_of(name)
        assert not {action for action in after if oracle.is_held(held, *place, action)}


@MODERATE
@given(some_worlds, some_asks)
def test_expired_bindings_are_absent(world: World, ask: Ask) -> None:
    """Bindings that have expired, or do not hold yet, grant what bindings that were never made grant."""
    present = [
        binding
        for binding in world["bindings"]
        if (binding["expires_at"] is None or binding["expires_at"] > NOW)
        and (binding["not_before"] is None or binding["not_before"] <= NOW)
    ]
    without = World(**{**world, "bindings": present})
    assert granted(world, ask) == granted(without, ask)
    assert answer(world, ask).expires_at == answer(without, ask).expires_at


@MODERATE
@given(some_worlds, some_asks, st.randoms(use_true_random=False))
def test_order_is_free(world: World, ask: Ask, random: Random) -> None:
    """No order of bindings, limits or holds changes an answer, its reasons included."""
    snapshot = snapshot_of(world)
    limited = snapshot.limits
    shuffled = replace(
        snapshot,
        bindings=tuple(random.sample(snapshot.bindings, len(snapshot.bindings))),
        limits=None if limited is None else tuple(random.sample(limited, len(limited))),
        holds=tuple(random.sample(snapshot.holds, len(snapshot.holds))),
    )
    assert answer(world, ask, shuffled) == answer(world, ask, snapshot)


@MODERATE
@given(some_worlds, st.lists(some_asks, max_size=4))
def test_scopes_are_answered_one_by_one(world: World, several: list[Ask]) -> None:
    """A request's scopes are answered in their order, and none changes another's answer (A4.71)."""
    together = decide(
        snapshot_of(world),
        [scope_of(ask) for ask in several],
        service=Service(name=world["service"], issuer="authsvc"),
        circumstances=circumstances_of(world),
    )
    assert together == tuple(answer(world, ask) for ask in several)


@MODERATE
@given(some_worlds, some_asks, st.lists(st.integers(min_value=1, max_value=50), min_size=5, max_size=5))
def test_a_grant_lasts_until_its_end(world: World, ask: Ask, lives: list[int]) -> None:
    """Until the moment before `expires_at`, everything that was granted would be granted again, asked for by its name."""
    ending = [
        Binding(**{**binding, "expires_at": NOW + life})
        for binding, life in zip(world["bindings"], lives, strict=False)
    ]
    first = World(**{**world, "bindings": ending})
    end = answer(first, ask).expires_at
    seconds = 50 if end is None else (end - moment(NOW)) // timedelta(seconds=1)
    last = World(**{**first, "now": NOW + seconds - 1})
    by_name = (ask[0], ask[1], ask[2] | granted(first, ask))
    assert granted(first, ask) <= granted(last, by_name)


@THOROUGH
@given(some_worlds, some_asks)
def test_explanations_are_sound(world: World, ask: Ask) -> None:
    """What is named as the ground of an answer suffices to allow, and what is named as the obstacle does stand in the way."""
    for verdict in answer(world, ask).verdicts:
        if verdict.allowed:
            _check_ground(world, ask, verdict)
        else:
            _check_obstacle(world, ask, verdict)


def _check_ground(world: World, ask: Ask, verdict: Verdict) -> None:
    """The binding named, or visibility alone, allows the action."""
    snapshot = snapshot_of(world)
    alone = with_bindings(snapshot, *([] if verdict.binding is None else [verdict.binding]))
    assert verdict.action in answer(world, _this_alone(ask, verdict), alone).granted
    assert verdict.binding is None or verdict.binding in snapshot.bindings
    if verdict.reason is Reason.BINDING:
        assert verdict.binding is not None
    else:
        assert (verdict.action, verdict.binding) == ("pull", None)
        seen = world["projects"][oracle.place_of(ask[1])[0]]
        assert {"public": Reason.PUBLIC, "internal": Reason.INTERNAL}[seen] is verdict.reason


def _check_obstacle(world: World, ask: Ask, verdict: Verdict) -> None:
    """The reason is true, and lifting what it names, and what may lie behind it, is what it takes to be allowed."""
    scope_type, name, _ = ask
    # The rule, from bindings to holds, one step at a time.
    bound = World(**{**world, "limits": None, "held": []})
    limited = World(**{**world, "held": []})
    match verdict.reason:
        case Reason.UNKNOWN_TYPE:
            assert scope_type != "repository"
            assert (scope_type, name) != ("registry", "catalog")
        case Reason.MALFORMED_NAME:
            assert scope_type == "repository"
            assert not oracle.is_repository_name(name)
        case Reason.UNKNOWN_PROJECT:
            assert oracle.place_of(name)[0] not in world["projects"]
        case Reason.DISABLED:
            assert not world["principal"]["enabled"]
        case Reason.HELD:
            assert _allows(limited, ask, verdict)
            assert not _allows(world, ask, verdict)
        case Reason.OUTSIDE_LIMITS:
            assert _allows(bound, ask, verdict)
            assert not _allows(limited, ask, verdict)
        case Reason.NO_BINDING | Reason.ROLE | Reason.PATTERN:
            _check_place(world, ask, verdict)
            unconditional = [_without_conditions(binding) for binding in world["bindings"]]
            assert not _allows(World(**{**bound, "bindings": unconditional}), ask, verdict)
        case _:
            assert not _allows(bound, ask, verdict)
            _check_condition(bound, ask, verdict)


def _check_place(world: World, ask: Ask, verdict: Verdict) -> None:
    """The binding named holds, and is about another action here, or about this one elsewhere in the project; or none is named."""
    scope_type, name, _ = ask
    if verdict.binding is None:
        assert verdict.reason is Reason.NO_BINDING
        return
    nearest = world["bindings"][int(verdict.binding.id)]
    assert oracle.conditions_hold(world, nearest)
    if scope_type == "registry":
        assert (verdict.reason, nearest["project"]) == (Reason.ROLE, None)
        assert not oracle.permits(nearest, "registry", "catalog")
        return
    project, relative = oracle.place_of(name)
    is_about, permits = (
        oracle.covers(nearest, project, relative),
        oracle.permits(nearest, scope_type, verdict.action),
    )
    assert (is_about, permits) == ((True, False) if verdict.reason is Reason.ROLE else (False, True))
    assert nearest["project"] in ({project, None} if verdict.reason is Reason.ROLE else {project})


def _check_condition(world: World, ask: Ask, verdict: Verdict) -> None:
    """The binding named fails the condition named, is refused for it alone, and would allow if it had no conditions."""
    assert verdict.binding is not None
    nearest = world["bindings"][int(verdict.binding.id)]
    lifted: Binding
    match verdict.reason:
        case Reason.EXPIRED:
            assert nearest["expires_at"] is not None
            assert nearest["expires_at"] <= NOW
            lifted = Binding(**{**nearest, "expires_at": None})
        case Reason.NOT_YET:
            assert nearest["not_before"] is not None
            assert nearest["not_before"] > NOW
            lifted = Binding(**{**nearest, "not_before": None})
        case Reason.ADDRESS:
            lifted = Binding(**{**nearest, "cidrs": []})
        case _:
            assert verdict.reason is Reason.SERVICE
            assert world["service"] not in nearest["services"]
            lifted = Binding(**{**nearest, "services": ANY})
    others = {v.reason for v in answer(World(**{**world, "bindings": [lifted]}), ask).verdicts}
    assert verdict.reason not in others
    alone = World(**{**world, "bindings": [_without_conditions(nearest)]})
    assert _allows(alone, ask, verdict)


def _allows(world: World, ask: Ask, verdict: Verdict) -> bool:
    """Whether the oracle grants this one action."""
    return verdict.action in oracle.granted(world, _this_alone(ask, verdict))


def _this_alone(ask: Ask, verdict: Verdict) -> Ask:
    scope_type, name, _ = ask
    return scope_type, name, frozenset({verdict.action})


def _without_conditions(binding: Binding) -> Binding:
    return Binding(**{**binding, "services": ANY, "cidrs": [], "not_before": None, "expires_at": None})
