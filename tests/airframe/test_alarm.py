"""An alarm ends waits, and nothing else: other cancellations go their own way."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from airframe._alarm import Alarm, AlarmRang

pytestmark = pytest.mark.anyio

LONG = 3600.0


async def answer(value: str) -> str:
    await anyio.lowlevel.checkpoint()
    return value


async def at_once() -> None:
    """A wait that is over before anything else can happen."""


async def test_a_wait_in_time_gives_its_value_and_the_next_may_follow() -> None:
    """One alarm serves many waits, with earlier and later moments."""
    alarm = Alarm()
    for seconds in (LONG, LONG / 2, LONG):
        assert await alarm.within(anyio.current_time() + seconds, answer("here")) == "here"
    alarm.stop()


async def test_a_wait_without_end_is_ended() -> None:
    """When the moment comes first, the wait is cancelled, and the task goes on as if nothing had been."""
    alarm = Alarm()
    for _ in range(2):
        with pytest.raises(AlarmRang):
            await alarm.within(anyio.current_time(), anyio.sleep_forever())
    assert await alarm.within(anyio.current_time() + LONG, answer("here")) == "here"
    alarm.stop()


async def test_a_timer_of_an_earlier_wait_does_not_end_a_later_one() -> None:
    """The timer that was set for the first wait rings too early for the second, and is set again."""
    alarm = Alarm()
    await alarm.within(anyio.current_time() + 0.01, at_once())
    with anyio.move_on_after(0.05) as outer:
        await alarm.within(anyio.current_time() + LONG, anyio.sleep_forever())
    assert outer.cancelled_caught
    alarm.stop()


async def test_a_scope_around_it_is_not_mistaken_for_it() -> None:
    """The caller's own deadline ends the wait as the caller's, also when both come at once."""
    for seconds in (LONG, 0.0):
        alarm = Alarm()
        with anyio.CancelScope() as outer:
            outer.cancel()
            await alarm.within(anyio.current_time() + seconds, anyio.sleep_forever())
        assert outer.cancelled_caught
        alarm.stop()
    await anyio.lowlevel.checkpoint()


async def test_an_error_of_the_wait_is_raised_as_it_is() -> None:
    """An alarm changes no exception."""
    alarm = Alarm()

    async def fail() -> None:
        raise TimeoutError("somebody else's")

    with pytest.raises(TimeoutError, match="somebody else's"):
        await alarm.within(anyio.current_time() + LONG, fail())
    alarm.stop()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_stays_cancelled(anyio_backend: str) -> None:
    """`Task.cancel` ends the task, and is not swallowed even if the alarm rings in the same round of the loop."""
    for seconds in (LONG, 0.0):
        alarm = Alarm()
        task = asyncio.create_task(alarm.within(anyio.current_time() + seconds, anyio.sleep_forever()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        alarm.stop()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stopped_alarm_leaves_no_timer(anyio_backend: str) -> None:
    """A thousand exchanges that are over hold nothing in the event loop."""
    loop = asyncio.get_running_loop()
    for _ in range(1000):
        alarm = Alarm()
        await alarm.within(anyio.current_time() + LONG, answer("here"))
        alarm.stop()
    left = [timer for timer in loop.__dict__["_scheduled"] if not timer.cancelled()]
    assert len(left) < 10
