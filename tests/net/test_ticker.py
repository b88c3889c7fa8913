"""The steps of a tick, and what becomes of them when one fails."""

import asyncio

import pytest

from kidoproxy.net.ticker import Ticker


def test_steps_are_taken_in_order() -> None:
    """As they were added, at every tick."""
    ticker, taken = Ticker(), []
    ticker.add("one", lambda: taken.append(1))
    ticker.add("two", lambda: taken.append(2))
    ticker.tick()
    ticker.tick()
    assert taken == [1, 2, 1, 2]


def test_a_step_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The steps behind it are taken, it is tried again at the next tick, and each kind of failure is logged once."""
    ticker, taken = Ticker(), []
    problems: list[Exception] = [ValueError("1"), ValueError("2"), KeyError("3")]

    def fail() -> None:
        raise problems.pop(0)

    ticker.add("bad", fail)
    ticker.add("good", lambda: taken.append(1))
    for _ in range(3):
        ticker.tick()
    assert taken == [1, 1, 1]
    assert [record.message for record in caplog.records] == ["tick failed: step=bad"] * 2
    assert "ValueError: 1" in caplog.text
    assert "KeyError: '3'" in caplog.text


def test_guard_says_whether_it_went_well(caplog: pytest.LogCaptureFixture) -> None:
    """So that its caller may take a longer way round."""

    def fail() -> None:
        raise ValueError("oh")

    ticker = Ticker()
    assert ticker.run_step("good", lambda: None)
    assert not ticker.run_step("bad", fail)
    assert "ValueError: oh" in caplog.text


async def test_it_goes_on_for_ever() -> None:
    """Tick after tick, until it is cancelled."""
    ticker, thrice = Ticker(), asyncio.Event()
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == 3:
            thrice.set()

    ticker.add("step", step)
    task = asyncio.ensure_future(ticker.run(0.0))
    await asyncio.wait_for(thrice.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
