"""What one request brings and another asks for."""

from __future__ import annotations

import asyncio

import pytest

from pydock_lab.daemon.buildkit.arrivals import Arrivals
from pydock_lab.errors import NotFound


async def test_what_comes_later_is_found_by_all_who_wait() -> None:
    arrivals: Arrivals[list[int]] = Arrivals("no {}")
    waiting = [asyncio.create_task(arrivals.get(name)) for name in ("first", "second", "first")]
    for name in ("other", "second", "first"):
        await asyncio.sleep(0)
        arrivals.add(name, [name])
    assert await asyncio.gather(*waiting) == [["first"], ["second"], ["first"]]
    assert await arrivals.get("second") == ["second"]


async def test_what_does_not_come_is_told_by_its_id() -> None:
    arrivals: Arrivals[int] = Arrivals("no such job {}", patience_s=0)
    arrivals.add("another", 1)
    with pytest.raises(NotFound, match=r"^no such job \{a\}$"):
        await arrivals.get("{a}")


async def test_only_the_latest_are_kept() -> None:
    arrivals: Arrivals[int] = Arrivals("no {}", kept=2, patience_s=0)
    for number in range(4):
        arrivals.add(str(number), number)
    assert [await arrivals.get(name) for name in ("2", "3")] == [2, 3]
    with pytest.raises(NotFound, match="no 1"):
        await arrivals.get("1")


async def test_what_goes_leaves_what_came_after_it_under_its_id() -> None:
    arrivals: Arrivals[list[int]] = Arrivals("no {}", patience_s=0)
    before, after = [1], [1]
    arrivals.add("id", before)
    arrivals.add("id", after)
    arrivals.remove("id", before)
    assert await arrivals.get("id") is after
    arrivals.remove("id", after)
    with pytest.raises(NotFound, match="no id"):
        await arrivals.get("id")
