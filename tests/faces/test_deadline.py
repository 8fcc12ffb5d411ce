"""The time that a request has."""

import asyncio

import pytest

from authsvc.faces.deadline import Deadline


async def _sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def test_what_is_over_in_time_is_answered() -> None:
    """Work that ends in time gives its value, or its own error, and is not cancelled afterwards."""
    deadline = Deadline(0.05)
    assert await deadline.hold(_sleep(0)) == "done"
    with pytest.raises(LookupError):
        await deadline.hold(_fail())
    await asyncio.sleep(0.1)


async def _fail() -> None:
    raise LookupError


async def test_each_of_many_ends_at_its_own_time() -> None:
    """One timer ends every task that is over its time, and none that is not."""
    deadline, go_on = Deadline(0.4), asyncio.Event()
    early = [asyncio.create_task(deadline.hold(_sleep(60))) for _ in range(20)]
    await asyncio.sleep(0.2)
    late = asyncio.create_task(deadline.hold(go_on.wait()))
    ended = await asyncio.gather(*early, return_exceptions=True)
    assert {type(error) for error in ended} == {TimeoutError}
    go_on.set()
    assert await late


async def test_a_timeout_leaves_its_task_uncancelled() -> None:
    """A task that has answered its timeout can go on to wait for other things."""
    with pytest.raises(TimeoutError):
        await Deadline(0.01).hold(_sleep(60))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert await _sleep(0) == "done"


async def test_a_cancellation_by_somebody_else_is_no_timeout() -> None:
    """Who cancels a task, as a server that stops does, is obeyed."""
    task = asyncio.create_task(Deadline(60).hold(_sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
