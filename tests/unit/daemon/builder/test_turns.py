"""Stages at the same time speak one after the other."""

import asyncio
from typing import Any

from pydock_lab.daemon.builder.turns import Turns


async def test_order_and_room() -> None:
    said: list[dict[str, Any]] = []

    async def room() -> None:
        return

    turns = Turns(said.append, room)
    first, second, third = turns.join(), turns.join(), turns.join()
    third.send({"stream": "3"})
    turns.end(third)
    second.send({"stream": "2"})
    first.send({"stream": "1"})
    assert said == [{"stream": "1"}]
    for _ in range(1000):
        second.send({"stream": "2"})
    waiting = asyncio.create_task(second.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    turns.end(first)
    await waiting
    assert [message["stream"] for message in said] == ["1", *["2"] * 1001]
    turns.end(second)
    assert said[-1] == {"stream": "3"}
