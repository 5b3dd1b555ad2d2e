"""Stages that are built at the same time, told one after the other.

Docker's classic output has no words for two steps at once. So the first stage
that has not ended speaks, and what the others say waits for their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pydock_lab.daemon.builder.output import Message

_ENOUGH = 1000


class Turn:
    """One stage's way to the client."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held: list[Message] = []
        self._come = asyncio.Event()
        self.ended = False

    def send(self, message: Message) -> None:
        """Send a message, or keep it until it is this stage's turn."""
        if self._come.is_set():
            self._turns.send(message)
        else:
            self._held.append(message)

    async def room(self) -> None:
        """Wait until the client has read enough; a stage that talks much waits for its turn."""
        if not self._come.is_set() and len(self._held) < _ENOUGH:
            return
        await self._come.wait()
        await self._turns.room()

    def begin(self) -> None:
        """It is this stage's turn: say what was kept."""
        self._come.set()
        for message in self._held:
            self._turns.send(message)
        self._held.clear()


class Turns:
    """The order of the stages of one build.

    Args:
        send: Takes each message, in order.
        room: Waits until the client has read most of them.
    """

    def __init__(self, send: Callable[[Message], None], room: Callable[[], Awaitable[None]]) -> None:
        self.send = send
        self.room = room
        self._turns: list[Turn] = []

    def join(self) -> Turn:
        """Return the turn of the next stage."""
        turn = Turn(self)
        self._turns.append(turn)
        self._advance()
        return turn

    def end(self, turn: Turn) -> None:
        """A stage has said all; the next one begins."""
        turn.ended = True
        self._advance()

    def _advance(self) -> None:
        while self._turns:
            self._turns[0].begin()
            if not self._turns[0].ended:
                return
            self._turns.pop(0)
