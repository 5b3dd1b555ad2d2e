"""The text of a build in the classic builder's words, as messages of Docker's JSON stream.

The classic builder has no words for why a step was or was not cached. The first
message after the look into the cache carries it beside its text, as `cache`, if the
client has asked for it (`pydock build` does).
"""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


def short(digest: str) -> str:
    """The first 12 digits of an id, with or without `sha256:`."""
    return digest.removeprefix("sha256:")[:12]


class Output:
    """Says what the classic builder says.

    Args:
        send: Takes each message, in order.
        room: Waits until the client has read most of them.
        remove: Intermediate containers are said to be removed.
        reasons: What the cache answered is told, too.
    """

    def __init__(
        self,
        send: Callable[[Message], None],
        room: Callable[[], Awaitable[None]],
        *,
        remove: bool,
        reasons: bool = False,
    ) -> None:
        self.send = send
        self.room = room
        self._remove = remove
        self._reasons = reasons
        self._cache: dict[str, Any] | None = None

    def through(self, send: Callable[[Message], None], room: Callable[[], Awaitable[None]]) -> Output:
        """Return the same output that takes another way."""
        return Output(send, room, remove=self._remove, reasons=self._reasons)

    def say(self, text: str) -> None:
        """Send text as it is."""
        message: Message = {"stream": text}
        if self._cache is not None:
            message["cache"], self._cache = self._cache, None
        self.send(message)

    def looked_up(self, found: dict[str, Any]) -> None:
        """Tell with the next message what the cache answered: the record's `cache` of the step, without the key."""
        if self._reasons:
            self._cache = {name: value for name, value in found.items() if name != "key"}

    def step(self, number: int, total: int, text: str) -> None:
        """`Step 1/7 : FROM busybox`."""
        self.say(f"Step {number}/{total} : {text}")
        self.say("\n")

    def triggers(self, count: int) -> None:
        """`# Executing 2 build triggers`, in the three pieces that Docker sends."""
        self.say(f"# Executing {count} build trigger")
        if count > 1:
            self.say("s")
        self.say("\n")

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Say the parser's warnings, all of empty continuation lines, in red and before the first step."""
        if warnings:
            lines = [warning.replace(": ", ":\n    ", 1) for warning in warnings]
            lines.append("Empty continuation lines will become errors in a future release.")
            self.say("\x1b[91m" + "".join(f"[WARNING]: {line}\n" for line in lines) + "\x1b[0m")

    def result(self, image_id: str) -> None:
        """` ---> 551cde93a01f`; nothing behind the arrow for scratch."""
        self.say(f" ---> {short(image_id)}\n")

    def cached(self) -> None:
        """` ---> Using cache`."""
        self.say(" ---> Using cache\n")

    def running(self, container_id: str) -> None:
        """` ---> Running in b32cf485ce70`."""
        self.say(f" ---> Running in {short(container_id)}\n")

    def removed(self, container_id: str, *, force: bool = False) -> None:
        """`Removing intermediate container b32cf485ce70`."""
        if self._remove or force:
            self.say(f"Removing intermediate container {short(container_id)}\n")

    def image(self, image_id: str) -> None:
        """The id as data, at the end of every stage."""
        self.send({"aux": {"ID": image_id}})


class RunOutput:
    """Turns the bytes of a RUN step into messages; stderr is red, as the classic builder has it."""

    def __init__(self, output: Output, keep: Callable[[str, int], None]) -> None:
        self._output = output
        self._keep = keep
        self._decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}

    async def write(self, stream: int, data: bytes) -> None:
        """Send what stdout (1) or stderr (2) wrote; wait where the client can't follow."""
        # A character cut in two waits for its rest.
        self._say(stream, self._decoders[stream].decode(data))
        await self._output.room()

    def close(self) -> None:
        """Send what is left of a character that never came to its end."""
        for stream, decoder in self._decoders.items():
            self._say(stream, decoder.decode(b"", final=True))

    def _say(self, stream: int, text: str) -> None:
        if text:
            self._keep(text, stream)
            self._output.say(f"\x1b[91m{text}\x1b[0m" if stream == 2 else text)
