"""A store that is down neither fails a call nor holds it up, unless it shall."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from avionics.errors import ConfigurationError, LimitsUnavailableError
from avionics.llm.limits import Demand, Limiter
from avionics.settings.calls import LimitsSettings

pytestmark = pytest.mark.anyio

MakeDemand: TypeAlias = Callable[..., Demand]
MakeLimits: TypeAlias = Callable[..., LimitsSettings]

RATES = [{"concurrency": 1, "max_wait": 0}]


@pytest.fixture(params=["sqlite", "redis"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    """The settings of a store that cannot be used."""
    if request.param == "sqlite":
        (tmp_path / "file").touch()
        return {"store": f"sqlite:///{tmp_path}/file/limits.db"}
    pytest.importorskip("redis")
    return {"store": "redis://:secret@127.0.0.1:1/0"}


async def test_calls_go_on_uncounted(
    nowhere: Mapping[str, str], make_limits: MakeLimits, demand: MakeDemand, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said once, without the password."""
    limiter = Limiter(make_limits(rates=RATES, **nowhere))
    with caplog.at_level(logging.INFO, logger="avionics"):
        for _ in range(3):
            async with await limiter.reserve(demand()):
                await limiter.reserve(demand())
    (record,) = caplog.records
    assert "calls are made uncounted" in record.getMessage()
    assert "secret" not in caplog.text
    await limiter.aclose()


async def test_calls_are_refused_if_the_settings_say_so(
    nowhere: Mapping[str, str], make_limits: MakeLimits, demand: MakeDemand
) -> None:
    """With an error of its own."""
    limiter = Limiter(make_limits(rates=RATES, on_store_failure="refuse", **nowhere))
    for _ in range(2):
        with pytest.raises(LimitsUnavailableError, match="nothing was sent"):
            await limiter.reserve(demand())
    await limiter.aclose()


async def test_a_store_that_hangs_is_left_alone(tmp_path: Path, make_limits: MakeLimits, demand: MakeDemand) -> None:
    """A call waits for it as long as the settings say, and the next ones do not wait."""
    file = tmp_path / "limits.db"
    limiter = Limiter(make_limits(rates=RATES, store=f"sqlite:///{file}", store_timeout=0.05, store_rest=3600))
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(100):
            await limiter.reserve(demand())
        other.execute("ROLLBACK")
    other.close()
    _held = await limiter.reserve(demand())
    await limiter.reserve(demand())
    await limiter.aclose()


async def test_a_store_that_comes_back_counts_again(
    tmp_path: Path, make_limits: MakeLimits, demand: MakeDemand, caplog: pytest.LogCaptureFixture
) -> None:
    """And that is said."""
    folder = tmp_path / "folder"
    folder.touch()
    limiter = Limiter(make_limits(rates=RATES, store=f"sqlite:///{folder}/limits.db", store_rest=1e-9))
    with caplog.at_level(logging.INFO, logger="avionics"):
        await limiter.reserve(demand())
        folder.unlink()
        _held = await limiter.reserve(demand())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert [state.left for state in limiter.state()] == [0]
    await limiter.aclose()


async def test_a_call_cancelled_while_it_asks_leaves_no_trace(
    shared_place: Mapping[str, str], make_limits: MakeLimits, demand: MakeDemand
) -> None:
    """Wherever the cancellation strikes, what was granted to nobody is given back."""
    limiter = Limiter(make_limits(budgets=[{"tokens": 1_000_000}], **shared_place))
    checked = Limiter(make_limits(budgets=[{"tokens": 1_000_000}], **shared_place))
    for delay in range(20):
        with anyio.move_on_after(delay / 10_000):
            await (await limiter.reserve(demand())).release()
    with anyio.fail_after(30):
        while True:
            async with await checked.reserve(demand(input_tokens=0, output_tokens=0)):
                (state,) = checked.state()
            if state.reserved == state.spent == 0:
                break
            await anyio.sleep(0.01)
    await limiter.aclose()
    await checked.aclose()


@pytest.mark.parametrize("store", ["redis://127.0.0.1:port/0", "rediss://[::1/0"])
async def test_an_address_that_cannot_be_read_is_told_at_once(store: str, make_limits: MakeLimits) -> None:
    """Not by the first call."""
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match=r"limits\.store"):
        Limiter(make_limits(rates=RATES, store=store))


async def test_the_file_may_be_left_to_us(
    make_limits: MakeLimits, demand: MakeDemand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then it is in the user's data directory."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings: Any = make_limits(rates=RATES, store="sqlite")
    limiter = Limiter(settings)
    await limiter.reserve(demand())
    await limiter.aclose()
    assert found(tmp_path) == ["avionics/limits.db"]


def found(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*.db")]
