"""The soak (`make soak`) in short: what half an hour of it would find at once."""

import pytest

from bench.answers import Restart
from bench.endure import Plan, endure
from bench.installation import Size

SHORT = Plan(
    seconds=20.0,
    rate=100.0,
    size=Size(robots=8, tokens=6, passwords=2, projects=3, toggles=1),
    restarts=((0.15, Restart.RENEWAL), (0.5, Restart.WORKER), (0.65, Restart.POSTGRES)),
    grace=60.0,
)
"""With a grace that a busy machine does not outlast: how long errors last is the long run's to judge."""


@pytest.mark.timeout(180)
async def test_soak_in_short() -> None:
    """Under load, changing policy, a renewal and two kills: no answer but 503 or none is wrong, nothing acknowledged is lost."""
    report = await endure(SHORT)
    assert report.faults == []
    assert report.missing == 0
    assert report.sampled > 200
    assert report.verified.decisions >= report.sampled
    assert report.changed > 5
    assert {restart for _, restart in report.answers.restarts} == set(Restart)
    assert all(max(sample.files.values()) < 256 for sample in report.samples)
    kinds = {kind for _, kind, _ in report.answers.counts}
    assert kinds == {"robot", "token", "password", "anonymous", "toggled", "refused", "change"}
    assert report.answers.total("200") > report.answers.total("503", "lost")
