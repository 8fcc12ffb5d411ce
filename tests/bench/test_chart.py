"""The drawing of what was measured: read back from the SVG's text alone."""

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chart import draw_chart
from bench.curve import Curve

SVG = "{http://www.w3.org/2000/svg}"
ROUNDED = 0.16
"""Pixels that a height may be off: it, and what the scale is read from, are written with one digit."""
rates = st.floats(min_value=10.0, max_value=20_000.0)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Return a curve of any sizes, rounds and rates."""
    sizes = sorted(draw(st.sets(st.integers(1, 10**7), min_size=1, max_size=5)))
    rounds = draw(st.integers(1, 7))
    one_each = st.tuples(*[rates] * rounds)
    return Curve(
        label=draw(st.sampled_from(("users", "<events> & more"))),
        note="a note",
        is_speed=draw(st.booleans()),
        sizes=tuple(sizes),
        reference=draw(one_each),
        rates=tuple(draw(one_each) for _ in sizes),
    )


def read(chart: str, name: str, *of: str) -> list[ET.Element]:
    """Return the elements of one name that are of a class, in order."""
    return [each for each in ET.fromstring(chart).iter(f"{SVG}{name}") if not of or each.get("class") in of]


def scaled(chart: str, ratio: float) -> float:
    """Return at which height a ratio is to be in a lone panel, by its vertical axis' lowest and highest mark."""
    marks = [each for each in read(chart, "text", "faint") if each.get("text-anchor") == "end"]
    lines = read(chart, "line", "grid")
    assert len(marks) == len(lines)
    zero, top = (float(lines[number].get("y1", "")) for number in (0, -1))
    assert marks[0].text == "0"
    return zero + ratio / float(str(marks[-1].text)) * (top - zero)


def draw(*curves: Curve) -> str:
    """Draw curves."""
    return draw_chart(curves, title="What is drawn", notes=("one", "two & three"))


def test_what_is_compared() -> None:
    """Cost is how many there are a second at the smallest ÷ here, speed is the other way round, each within its round."""
    cost = Curve("users", "", False, (1, 2), (100.0, 300.0), ((100.0, 200.0), (50.0, 600.0)))
    assert [point.ratios for point in cost.points] == [(1.0, 1.5), (2.0, 0.5)]
    assert [point.median for point in cost.points] == [1.25, 1.25]
    speed = replace(cost, is_speed=True)
    assert [point.ratios for point in speed.points] == [(1.0, 2 / 3), (0.5, 2.0)]


@given(curves())
@settings(max_examples=60)
def test_every_measurement_is_drawn(curve: Curve) -> None:
    """Each round of each size has its dot at its ratio's height, and each size its median's."""
    chart = draw(curve)
    dots = [float(dot.get("cy", "")) for dot in read(chart, "circle", "round")]
    ratios = [ratio for point in curve.points for ratio in point.ratios]
    assert dots == [pytest.approx(scaled(chart, ratio), abs=ROUNDED) for ratio in ratios]
    medians = [float(dot.get("cy", "")) for dot in read(chart, "circle", "median")]
    assert medians == [pytest.approx(scaled(chart, point.median), abs=ROUNDED) for point in curve.points]


@given(curves())
@settings(max_examples=60)
def test_the_spread_is_drawn(curve: Curve) -> None:
    """Each size has a bar from the highest of its dots to the lowest, with a stroke at each end."""
    chart = draw(curve)
    bars = read(chart, "line", "spread")
    dots = iter(read(chart, "circle", "round"))
    for number in range(len(curve.sizes)):
        here = sorted(float(next(dots).get("cy", "")) for _ in curve.reference)
        bar, *strokes = bars[3 * number : 3 * number + 3]
        assert (float(bar.get("y1", "")), float(bar.get("y2", ""))) == (here[0], here[-1])
        assert [float(stroke.get("y1", "")) for stroke in strokes] == [here[0], here[-1]]


@given(curves())
@settings(max_examples=60)
def test_sizes_stand_in_order_within_the_panel(curve: Curve) -> None:
    """Sizes go from left to right, logarithmically; everything is within the picture."""
    chart = draw(curve)
    root = ET.fromstring(chart)
    across = [float(dot.get("cx", "")) for dot in read(chart, "circle", "median")]
    assert across == sorted(across)
    for each in root.iter():
        for name in ("cx", "x1", "x2", "x"):
            assert 0 <= float(each.get(name, "0")) <= float(root.get("width", ""))
        for name in ("cy", "y1", "y2", "y"):
            assert 0 <= float(each.get(name, "0")) <= float(root.get("height", ""))


def test_equal_factors_are_equally_far_apart() -> None:
    """The scale is logarithmic: 10 is as far from 100 as 100 from 1,000."""
    curve = Curve("users", "", False, (10, 100, 1_000), (1.0,), ((1.0,), (1.0,), (1.0,)))
    first, second, third = (float(dot.get("cx", "")) for dot in read(draw(curve), "circle", "median"))
    assert second - first == pytest.approx(third - second, abs=ROUNDED)


@given(st.lists(curves(), max_size=6))
@settings(max_examples=30)
def test_the_text_is_the_same_for_the_same_curves(many: Sequence[Curve]) -> None:
    """Drawing again changes nothing; the figures stand in the description; every class has a rule, and a colour in the dark."""
    chart = draw(*many)
    assert draw(*many) == chart
    (description,) = read(chart, "desc")
    assert (description.text or "").split("\n") == [str(curve) for curve in many] or not many
    (style,) = read(chart, "style")
    light, _, dark = str(style.text).partition("@media (prefers-color-scheme: dark)")
    used = {each.get("class") for each in ET.fromstring(chart).iter()} - {None}
    for rules in (light, dark):
        assert used <= set(re.findall(r"\.([a-z]+)", rules))


def test_words_are_escaped() -> None:
    """Labels and notes are text, whatever is in them."""
    curve = Curve("<events> & more", "a <b>", False, (1,), (1.0,), ((1.0,),))
    written = [each.text for each in read(draw(curve), "text")]
    assert {"<events> & more (log)", "a <b>", "one", "two & three"} <= set(written)
