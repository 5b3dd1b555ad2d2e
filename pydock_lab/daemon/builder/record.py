"""The record of a build: every stage and step as data, while it runs and afterwards.

Served at `/lab/builds/{id}`, drawn by the notebook, read by graders. The
documents are plain dicts, kept in the `builds` table.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pydock_lab.dockerfile.stages import Program, Stage
from pydock_lab.errors import LabError

_TAIL_LINES = 40


class Watcher:
    """Whoever wants to know of each step as it happens; this one does not.

    A step is known by its document, which the record goes on to fill in.
    """

    def resolving(self, name: str) -> None:
        """An image is looked for, and pulled where it is not here."""

    def pulling(self, name: str, message: dict[str, Any]) -> None:
        """A message of that pull, as `docker pull` shows them."""

    def resolved(self, name: str, error: LabError | None) -> None:
        """The image is here, or can't be had."""

    def planned(self, program: Program, needed: list[Stage], env: dict[str, str]) -> None:
        """All is known of the stages that will be built, the target last; `env` are the ARGs that FROM sees."""

    def began(self, step: dict[str, Any], scope: Mapping[str, str]) -> None:
        """A step begins; `scope` is what variables mean to it."""

    def waits(self, step: dict[str, Any], *, over: bool) -> None:
        """A step has to wait for another stage; or the wait is over."""

    def said(self, step: dict[str, Any], text: str, stream: int) -> None:
        """A RUN step has written to stdout (1) or stderr (2)."""

    def ended(self, step: dict[str, Any], error: dict[str, Any] | None) -> None:
        """A step has ended: its `state` says how, `error` why where it failed."""


class StepRecord:
    """One step's document, from its beginning to its end."""

    def __init__(self, document: dict[str, Any], watcher: Watcher) -> None:
        self.document = document
        self._watcher = watcher
        self._started = time.monotonic_ns()

    @property
    def number(self) -> int:
        """As the output counts; the triggers of an image share the number of their FROM."""
        return int(self.document["number"])

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """While another stage has to be done first, which is no part of the step's duration."""
        started = time.monotonic_ns()
        self.note(waiting=True)
        self._watcher.waits(self.document, over=False)
        try:
            yield
        finally:
            self._watcher.waits(self.document, over=True)
            self.note(waiting=False, waited_ns=self.document["waited_ns"] + time.monotonic_ns() - started)

    def note(self, **fields: Any) -> None:
        """Add what is known by now."""
        self.document.update(fields)

    def output(self, text: str, stream: int) -> None:
        """Keep the end of what the step prints, to stdout (1) or stderr (2)."""
        self._watcher.said(self.document, text, stream)
        kept = (self.document["output"] + text).splitlines(keepends=True)
        self.document["output"] = "".join(kept[-_TAIL_LINES:])[-8192:]

    def end(self, state: str, error: dict[str, Any] | None = None) -> None:
        """The step has ended: done, cached, failed or canceled; one that has ended stays as it is."""
        if self.document["state"] == "running":
            duration_ns = time.monotonic_ns() - self._started - self.document["waited_ns"]
            self.note(state=state, duration_ns=duration_ns)
            self._watcher.ended(self.document, error)


class BuildRecord:
    """One build's document and how it grows."""

    def __init__(
        self, build_id: str, *, tags: list[str], dockerfile: str, target: str, watcher: Watcher | None = None
    ) -> None:
        self.watcher = watcher or Watcher()
        self.document: dict[str, Any] = {
            "id": build_id,
            "state": "running",
            "started_at_ns": time.time_ns(),
            "duration_ns": 0,
            "tags": tags,
            "dockerfile": dockerfile,
            "target": target,
            "image": "",
            "error": None,
            "failure": None,
            "warnings": [],
            "checks": [],
            "stages": [],
            "steps": [],
        }
        self._started = time.monotonic_ns()
        self._steps: list[StepRecord] = []

    @property
    def id(self) -> str:
        """The build's id, 64 hex digits."""
        return str(self.document["id"])

    def plan(self, program: Program, needed: list[Stage], env: dict[str, str]) -> None:
        """Note the stages, those that the target does not need included."""
        self.document["warnings"] += program.warnings
        for stage in program.stages:
            self.document["stages"].append(
                {
                    "index": stage.index,
                    "name": stage.name,
                    "base": stage.base.image,
                    "needs": sorted({source.index for source, _ in program.needs(stage, env)}),
                    "needed": stage in needed,
                    "line": stage.base.start_line,
                    "image": "",
                }
            )
        self.watcher.planned(program, needed, env)

    def begin(
        self,
        number: int,
        stage: int | None,
        instruction: str,
        text: str,
        lines: tuple[int, int],
        scope: Mapping[str, str] | None = None,
    ) -> StepRecord:
        """A step begins; the document lists steps by number, though stages are built at the same time."""
        step = StepRecord(
            {
                "number": number,
                "stage": stage,
                "instruction": instruction,
                "text": text,
                "line": lines[0],
                "end_line": lines[1],
                "state": "running",
                "started_at_ns": time.time_ns(),
                "duration_ns": 0,
                "waiting": False,
                "waited_ns": 0,
                "cache": None,
                "image": "",
                "layer": None,
                "container": "",
                "exit_code": None,
                "output": "",
            },
            self.watcher,
        )
        place = bisect.bisect_right([other.number for other in self._steps], number)
        self._steps.insert(place, step)
        self.document["steps"].insert(place, step.document)
        self.watcher.began(step.document, scope or {})
        return step

    def close(self, state: str, *, image: str = "", error: dict[str, Any] | None = None) -> None:
        """The build has ended: succeeded, failed or canceled."""
        for step in self._steps:
            step.end({"succeeded": "done"}.get(state, state), error)
        duration = time.monotonic_ns() - self._started
        self.document.update(state=state, image=image, error=error, duration_ns=duration)
