"""What is known of a build: told by its stream, completed from the engine's record where it keeps one.

The stream tells of one step after the other, on every engine. The record
(`/lab/builds/{id}`) also knows stages that run at the same time, how long each
step took, what it weighs and why it was or was not in the cache. No drawing here.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.client.commands.build.stream import cache_reason
from pydock_lab.client.commands.session import BuildEvent, Progress

_KEPT_CHARACTERS = 20_000
_BLANKS = re.compile(r"\s{2,}")  # what is left of a line continued by a backslash
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STATES = {"done": "built", "interrupted": "canceled"}


@dataclass
class Step:
    """One instruction as it is built.

    Attributes:
        state: running, waiting (for another stage), base, built, cached, failed or canceled.
        took_s: So far, while it runs.
        reason: Why it is in the cache or not, or "".
        size: Bytes of its layer; None where it made none, or nobody said.
        stage: Index of its stage; None before the first, and where nobody said.
    """

    number: int
    text: str
    state: str = "running"
    began_at: float = field(default_factory=time.monotonic)
    took_s: float = 0.0
    output: str = ""
    reason: str = ""
    size: int | None = None
    stage: int | None = None

    @property
    def instruction(self) -> str:
        """On one line."""
        return _BLANKS.sub(" ", self.text)

    def end(self, state: str) -> None:
        """Take note of its end; one that has ended stays as it is."""
        if self.state == "running":
            self.state = "base" if self.text.upper().startswith("FROM ") and state == "built" else state
            self.took_s = time.monotonic() - self.began_at

    def lines(self) -> list[str]:
        """What the step printed, without colours; of a line drawn again and again the last state."""
        text = _COLOURS.sub("", self.output).replace("\r\n", "\n").rstrip()
        return [line.rpartition("\r")[2] for line in text.split("\n")] if text else []


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: As `AS` has it, or its number.
        base: What FROM names.
        copies_from: Indices of the stages it copies from or mounts, the base left out.
        base_stage: Index of the stage it begins with, or None.
        needed: By the target.
    """

    index: int
    name: str
    base: str
    copies_from: tuple[int, ...]
    base_stage: int | None
    needed: bool


class BuildState:
    """One build.

    Attributes:
        id: Of its record, or "" where the engine keeps none.
        steps: Begun so far, in order.
        stages: Empty where nobody said.
        total: Number of steps; 0 while unknown.
        error: How it failed, or "".
        took_s: So far, while it runs.
    """

    def __init__(self) -> None:
        self.id = ""
        self.steps: list[Step] = []
        self.stages: list[Stage] = []
        self.total = 0
        self.notices: list[str] = []
        self.tags: list[str] = []
        self.image_id = ""
        self.error = ""
        self.pulling = ""
        self._said: dict[int, str] = {}
        self._began_at = time.monotonic()
        self._ended_at: float | None = None

    @property
    def took_s(self) -> float:
        """Seconds from the beginning to the end, or until now."""
        return (self._ended_at or time.monotonic()) - self._began_at

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or badly."""
        return bool(self.image_id or self.error)

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return self.error == "interrupted"

    def add(self, event: BuildEvent) -> None:
        """Take note of what the build said."""
        self.total = event.steps or self.total
        step = self.steps[-1] if self.steps else None
        if event.kind != "notice":
            self.pulling = ""
        if event.kind == "begun":
            self.id = event.id
        elif event.kind == "step":
            if step:
                step.end("built")
            self.steps.append(Step(event.step, event.text))
        elif event.kind == "output":
            self._hear(event)
        elif event.kind == "notice":
            self.notices.append(event.text.strip())
        elif event.kind == "tagged":
            self.tags.append(event.text)
        elif event.kind == "error":
            self.fail(event.text)
        elif step:
            self._follow(step, event)

    def _follow(self, step: Step, event: BuildEvent) -> None:
        if event.kind == "cached":
            step.end("cached")
        elif event.kind == "reason":
            step.reason = event.text
        elif event.kind in ("committed", "built"):
            step.end("built")
        if event.kind == "built":
            self.image_id = event.id
            self._ended_at = time.monotonic()

    def _hear(self, event: BuildEvent) -> None:
        self._said[event.step] = (self._said.get(event.step, "") + event.text)[-_KEPT_CHARACTERS:]
        if self.steps:
            self.steps[-1].output = self._said[event.step]

    def add_transfer(self, event: Progress) -> None:
        """Take note of the base image being pulled."""
        if event.id or event.status.startswith("Status: "):
            self.pulling = f"{event.id}: {event.status}" if event.id else ""
        else:
            self.notices.append(event.status)

    def fail(self, message: str) -> None:
        """The build ended with an error."""
        self.error = message
        self._ended_at = self._ended_at or time.monotonic()
        if self.is_interrupted:
            self._cancel_steps()
        elif self.steps:
            self.steps[-1].end("failed")

    def _cancel_steps(self) -> None:
        for step in self.steps:
            if step.state in ("running", "waiting"):
                step.state = "canceled"

    def absorb(self, record: dict[str, Any]) -> None:
        """Take over what the engine's record says."""
        if not record["steps"]:
            return
        shared = Counter(step["number"] for step in record["steps"])
        self.steps = [self._recorded(step, alone=shared[step["number"]] == 1) for step in record["steps"]]
        known = {stage["name"] or str(stage["index"]): stage["index"] for stage in record["stages"]}
        self.stages = []
        for stage in record["stages"]:
            base = known.get(stage["base"]) if known.get(stage["base"], stage["index"]) < stage["index"] else None
            copies = tuple(index for index in stage["needs"] if index != base)
            name = stage["name"] or str(stage["index"])
            self.stages.append(Stage(stage["index"], name, stage["base"], copies, base, stage["needed"]))
        if self.is_interrupted:  # the engine may not have noticed yet
            self._cancel_steps()

    def _recorded(self, document: dict[str, Any], *, alone: bool) -> Step:
        step = Step(document["number"], document["text"], stage=document["stage"])
        step.took_s = document["duration_ns"] / 1e9
        state = _STATES.get(document["state"], document["state"])
        if state == "running":
            step.took_s = max(time.time() - (document["started_at_ns"] + document["waited_ns"]) / 1e9, 0.0)
            state = "waiting" if document["waiting"] else state
        step.state = "base" if document["instruction"] == "FROM" and state == "built" else state
        # An image's triggers share the number of their FROM: then only the record tells them apart.
        said = self._said.get(step.number, "") if alone else ""
        step.output = max(said, document["output"], key=len)
        step.reason = cache_reason(document["cache"]) if document["cache"] else ""
        step.size = document["layer"]["size"] if document["layer"] else None
        return step
