"""Which sizes are measured, and that only one thing grows along an axis."""

from dataclasses import asdict

import pytest

from authsvc.adapters.postgres.memory import MAX_WEIGHT
from bench.axes import AXES, EVENTS, FULL_EVENTS, Axis, choose_axes

GROWING = {
    "users": {"users", "asking"},
    "projects": {"projects"},
    "bindings": {"bindings_each"},
    "events": {"events"},
    "workers": {"workers"},
}
"""The fields in which the installations of an axis differ; who asks is part of how many there are."""
WEIGHT = 5
"""Of what a worker remembers of one who asks, bindings beyond the first not counted: see `MAX_WEIGHT`."""
by_name = pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)


def test_every_axis_is_chosen() -> None:
    """Without a choice there are all five axes, with all sizes but the one that takes long."""
    assert tuple(choose_axes()) == AXES


def test_full_adds_the_largest_log() -> None:
    """With `full`, events go up to what DESIGN 11 names, and nothing else is another."""
    chosen = {axis.name: axis.sizes for axis in choose_axes(full=True)}
    assert chosen == {axis.name: axis.sizes for axis in AXES} | {"events": (*EVENTS.sizes, FULL_EVENTS)}


def test_sizes_are_cut_to_the_largest_wanted() -> None:
    """No size is larger than `most`; what has fewer than two sizes left is not measured, as nothing could be compared."""
    chosen = {axis.name: axis.sizes for axis in choose_axes(most=100)}
    assert chosen == {"bindings": (1, 10, 100), "workers": (1, 2, 4)}
    assert list(choose_axes(most=1)) == []


def test_one_axis_is_chosen_by_its_name() -> None:
    """A word chooses the axes whose names hold it."""
    assert [axis.name for axis in choose_axes(only="bind")] == ["bindings"]
    assert list(choose_axes(only="nothing")) == []


@by_name
def test_sizes_grow(axis: Axis) -> None:
    """The first size is the smallest, which all are compared with."""
    assert list(axis.sizes) == sorted(set(axis.sizes))


@by_name
def test_one_thing_grows(axis: Axis) -> None:
    """Installations of one axis differ in what grows, by its size, and in nothing else."""
    made = [axis.at(size) for size in axis.sizes]
    fields = [asdict(each.holds) | {"workers": each.workers} for each in made]
    differing = {name for name in fields[0] if len({each[name] for each in fields}) > 1}
    assert differing == GROWING[axis.name]
    grown = next(iter(differing - {"asking"}))
    assert [each[grown] for each in fields] == list(axis.sizes)


@by_name
def test_an_installation_can_be_made(axis: Axis) -> None:
    """Who asks is a user; nobody is bound twice in one project; and all that is asked for fits into a worker's memory."""
    for size in axis.sizes:
        holds = axis.at(size).holds
        assert holds.asking <= holds.users
        assert holds.bindings_each <= holds.projects
        assert holds.asking * (WEIGHT + holds.bindings_each - 1) <= MAX_WEIGHT
