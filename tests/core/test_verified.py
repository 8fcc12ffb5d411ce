"""The judgement over a whole log: what a declared loss explains, and what it does not."""

import pytest

from authsvc.core.verified import Known, Loss, TamperedError, Verified

LOST_FROM, LOST_UNTIL, SIZE = 50, 100, 200
LOG = Verified(size=SIZE, losses=[Loss(2, LOST_FROM, LOST_UNTIL, "")])


@pytest.mark.parametrize("size", [LOST_FROM + 1, LOST_UNTIL])
def test_a_loss_explains_what_it_declares_lost(size: int) -> None:
    """A checkpoint of an earlier epoch that lies in the range that a loss declares need not agree."""
    LOG.judge([Known(1, size, b"lost")], [])


@pytest.mark.parametrize(
    ("epoch", "size"), [(1, LOST_FROM), (1, 1), (1, LOST_UNTIL + 1), (2, LOST_UNTIL), (1, SIZE + 1)]
)
def test_a_loss_explains_no_more(epoch: int, size: int) -> None:
    """A checkpoint before what was declared lost, beyond it, or of the epoch that declares it, is to agree with the log.

    Else whoever rewrote the log could declare one entry lost, and have it explain them all.
    """
    with pytest.raises(TamperedError):
        LOG.judge([Known(epoch, size, b"other")], [])
