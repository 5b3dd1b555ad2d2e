"""The progress of a build as BuildKit's clients draw it: vertices with a name, a beginning and an end.

A vertex is a step that makes files (FROM, RUN, COPY, ADD, WORKDIR), or something that the engine does
for the build: fetching the Dockerfile, the context, an image. What only changes the image's config has none.

Source: moby/buildkit frontend/dockerfile/dockerfile2llb/convert.go for the names, client/graph.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydock_lab.daemon.builder.record import Watcher
from pydock_lab.daemon.buildkit.protos.control import StatusResponse, Timestamp, Vertex, VertexLog, VertexStatus
from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.instructions import Onbuild
from pydock_lab.dockerfile.stages import Program, Stage, read_triggers
from pydock_lab.errors import DockerfileError, InvalidParameter, LabError
from pydock_lab.spec import reference

_MAKE_FILES = ("RUN", "COPY", "ADD", "WORKDIR")
_COMPLETE = ("Pull complete", "Already exists")
_FAILED = re.compile(r"The command '(.*)' returned a non-zero code: (\d+)", re.DOTALL)
_EVERY_S = 0.1
_ENOUGH, _KEPT = 1000, 20_000


class Progress(Watcher):
    """What has happened in one build, for whoever follows it.

    Args:
        ref: The build's name among its client's; no two vertices of two builds are the same.
    """

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._said: deque[StatusResponse] = deque()
        self._followers = 0
        self._less = asyncio.Event()
        self._news = asyncio.Event()
        self._over = False
        self._count = 0
        self._steps: dict[int, Vertex] = {}
        self._names: dict[int, _Names] = {}
        self._last: dict[int, str] = {}
        self._images: dict[str, Vertex] = {}
        self._bases: dict[str, str] = {}
        self._layers: dict[str, VertexStatus] = {}
        self.planning: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def follow(self) -> AsyncIterator[StatusResponse]:
        """Yield all that happens, from the beginning to the end; one client follows a build."""
        self._followers += 1
        try:
            while True:
                while self._said:
                    yield self._said.popleft()
                    if len(self._said) < _ENOUGH:
                        self._less.set()
                if self._over:
                    return
                self._news.clear()
                await self._news.wait()
        finally:
            self._followers -= 1
            self._less.set()

    async def room(self) -> None:
        """Wait until who follows has caught up."""
        while self._followers and len(self._said) >= _ENOUGH:
            self._less.clear()
            await self._less.wait()

    def close(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._news.set()

    @contextlib.contextmanager
    def doing(self, name: str) -> Iterator[Vertex]:
        """Show something that the engine does for the build, for the time of a `with` block."""
        vertex = self._begin(self._make(name, []))
        try:
            yield vertex
        except BaseException as error:
            self._end(vertex, error=error.message if isinstance(error, LabError) else "context canceled")
            raise
        self._end(vertex)

    @contextlib.contextmanager
    def transferring(self, vertex: Vertex, what: str) -> Iterator[_Transfer]:
        """Show how much has come, for the time of a `with` block."""
        transfer = _Transfer(self, VertexStatus(what, vertex.digest, "transferring", started=Timestamp.now()))
        transfer.show()
        try:
            yield transfer
        finally:
            transfer.show(done=True)

    def note(self, vertex: Vertex, what: str) -> None:
        """Show something that has been done on the way."""
        now = Timestamp.now()
        self.say(
            StatusResponse(statuses=[VertexStatus(what, vertex.digest, timestamp=now, started=now, completed=now)])
        )

    def say(self, response: StatusResponse) -> None:
        """Tell who follows; what nobody comes for is not kept for long."""
        self._said.append(response)
        if not self._followers and len(self._said) > _KEPT:
            self._said.popleft()
        self._news.set()

    # -- what the builder tells

    def resolving(self, name: str) -> None:
        """`[internal] load metadata for …`, once for each image."""
        full = _full(name)
        if full not in self._images:
            self._images[full] = self._begin(self._make(f"[internal] load metadata for {full}", []))

    def pulling(self, name: str, message: dict[str, Any]) -> None:
        """What a pull says of a layer, as a bar; what it says besides, as a log."""
        vertex, now = self._images[_full(name)], Timestamp.now()
        status, detail = str(message.get("status", "")), message.get("progressDetail") or {}
        if layer := str(message.get("id", "")):
            row = self._layers.setdefault(layer, VertexStatus(layer, vertex.digest, layer, started=now))
            row.current, row.total = detail.get("current", row.current), detail.get("total", row.total)
            row.timestamp, row.completed = now, now if status in _COMPLETE else None
            self.say(StatusResponse(statuses=[replace(row)]))
        elif status:
            self.say(StatusResponse(logs=[VertexLog(vertex.digest, now, 1, f"{status}\n".encode())]))

    def resolved(self, name: str, error: LabError | None) -> None:
        """The image is here, or can't be had."""
        if (vertex := self._images[_full(name)]).completed is None:
            self._end(vertex, error="" if error is None else error.message)

    def planned(self, program: Program, needed: list[Stage], env: dict[str, str]) -> None:
        """Name the steps of all stages."""
        for stage in needed:
            self._names[stage.index] = _Names(program, stage, env)
        if not self.planning.done():
            self.planning.set_result(None)

    def began(self, step: dict[str, Any], scope: Mapping[str, str]) -> None:
        """A step begins: it has a vertex if it makes files, which shows when the step has not to wait."""
        stage = step["stage"]
        if stage is None or (name := self._names[stage].of(step, scope)) is None:
            return
        if step["instruction"] == "FROM":
            image = name.partition(" FROM ")[2]
            if image in self._bases:
                self._last[stage] = self._bases[image]  # another stage shows it
                return
        inputs = [self._last[stage]] if stage in self._last else []
        vertex = self._steps[id(step)] = self._make(name, inputs)
        self._last[stage] = vertex.digest
        if step["instruction"] == "FROM":
            self._bases[image] = vertex.digest  # it shows once the image is here
        else:
            asyncio.get_running_loop().call_soon(self._show, step)

    def waits(self, step: dict[str, Any], *, over: bool) -> None:
        """A step's vertex shows when all is there that it reads."""
        if over:
            self._show(step)

    def said(self, step: dict[str, Any], text: str, stream: int) -> None:
        """RUN has printed something."""
        if (vertex := self._steps.get(id(step))) is not None:
            log = VertexLog(vertex.digest, Timestamp.now(), stream, text.encode(errors="replace"))
            self.say(StatusResponse(logs=[log]))

    def ended(self, step: dict[str, Any], error: dict[str, Any] | None) -> None:
        """A step has ended."""
        vertex = self._steps.pop(id(step), None)
        if vertex is None:
            return
        state = step["state"]
        if vertex.started is None:
            if state == "canceled":
                return
            self._begin(vertex)
        why = told(str((error or {}).get("message", ""))) if state == "failed" else ""
        self._end(vertex, cached=state == "cached", error="context canceled" if state == "canceled" else why)

    def _show(self, step: dict[str, Any]) -> None:
        vertex = self._steps.get(id(step))
        if vertex is not None and vertex.started is None and not step["waiting"]:
            self._begin(vertex)

    # -- vertices

    def _make(self, name: str, inputs: list[str]) -> Vertex:
        digest = hashlib.sha256(f"{self._ref} {self._count} {name}".encode()).hexdigest()
        self._count += 1
        return Vertex(f"sha256:{digest}", inputs, name)

    def _begin(self, vertex: Vertex) -> Vertex:
        vertex.started = Timestamp.now()
        self.say(StatusResponse([replace(vertex)]))
        return vertex

    def _end(self, vertex: Vertex, *, cached: bool = False, error: str = "") -> None:
        vertex.cached, vertex.error, vertex.completed = cached, error, Timestamp.now()
        self.say(StatusResponse([replace(vertex)]))


class _Transfer:
    """How much of something has come."""

    def __init__(self, progress: Progress, status: VertexStatus) -> None:
        self._progress = progress
        self._status = status
        self._shown = 0.0

    def came(self, size: int) -> None:
        """So many bytes have come in all."""
        self._status.current = size
        if time.monotonic() - self._shown > _EVERY_S:
            self.show()

    def show(self, *, done: bool = False) -> None:
        """Tell it."""
        self._shown, now = time.monotonic(), Timestamp.now()
        self._status.timestamp, self._status.completed = now, now if done else None
        self._progress.say(StatusResponse(statuses=[replace(self._status)]))


class _Names:
    """The names of one stage's vertices: `[build 2/4] RUN make`."""

    def __init__(self, program: Program, stage: Stage, env: dict[str, str]) -> None:
        self._stage = f"{stage.name or f'stage-{stage.index}'} " if len(program.stages) > 1 else ""
        self._words = Lexer(program.escape, raw_quotes=True, raw_escapes=True, keep_unset=True)
        self._image = Lexer(program.escape).expand(stage.base.image, env)
        base = program.base_of(stage, env)
        self._from_image = base is None and self._image != "scratch"
        triggers = stage.triggers
        if base is not None:
            texts = [step.expression for step in base.instructions if isinstance(step, Onbuild)]
            triggers = read_triggers(texts, stage)
        keywords = [step.keyword for step in (*triggers, *stage.instructions)]
        self._total = self._from_image + sum(keyword in _MAKE_FILES for keyword in keywords)
        self._count = 0

    def of(self, step: dict[str, Any], scope: Mapping[str, str]) -> str | None:
        """Return the name of the next step's vertex, None where it has none."""
        keyword, text = step["instruction"], step["text"]
        if keyword == "FROM":
            if not self._from_image:
                return None
            text = f"FROM {_full(self._image)}"
        elif keyword not in _MAKE_FILES:
            return None
        else:
            with contextlib.suppress(DockerfileError):
                text = self._words.expand(text, scope)
        self._count += 1
        width = int(1 + math.log10(self._total)) if self._total else 1
        return f"[{self._stage}{self._count:>{width}}/{self._total}] {text}"


def told(message: str) -> str:
    """Say in BuildKit's words that a command has failed; other messages are its own already."""
    if failed := _FAILED.fullmatch(message):
        return f'process "{failed[1]}" did not complete successfully: exit code: {failed[2]}'
    return message


def _full(name: str) -> str:
    """`docker.io/library/busybox:latest` for `busybox`; what is no reference stays as it is."""
    try:
        return str(reference.parse(name))
    except InvalidParameter:
        return name
