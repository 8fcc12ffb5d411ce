"""`make plot` in short: two tiny installations of an axis, measured, stored and drawn."""

import json
from dataclasses import replace

import pytest

from bench.axes import USERS
from bench.measure import Bench
from bench.plot import draw, measure

ROUNDS = 2
TINY = replace(USERS, sizes=(2, 5))


@pytest.mark.timeout(240)
def test_plot_in_short() -> None:
    """Each size of an axis is measured in each round, and its picture can be drawn from what is stored."""
    (result,) = measure([TINY], Bench(seconds=0.2, pairs=ROUNDS, connections=4))
    (curve,) = result["curves"]
    assert curve["sizes"] == TINY.sizes
    assert [len(rates) for rates in curve["rates"]] == [ROUNDS, ROUNDS]
    assert all(rate > 0 for rates in (curve["reference"], *curve["rates"]) for rate in rates)
    picture = draw(json.loads(json.dumps(result)))
    assert picture == draw(json.loads(json.dumps(result)))
    assert picture.count('class="round"') == ROUNDS * len(TINY.sizes)
