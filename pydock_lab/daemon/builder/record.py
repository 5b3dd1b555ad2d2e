"""The record of a build: every stage and step as data, while it runs and afterwards.

Served at `/lab/builds/{id}`, drawn by the notebook, read by graders. The
documents are plain dicts, kept in the `builds` table.
"""

from __future__ import annotations

import time
from typing import Any

from pydock_lab.dockerfile.stages import Program, Stage

_TAIL_LINES = 40


class BuildRecord:
    """One build's document and how it grows."""

    def __init__(self, build_id: str, *, tags: list[str], dockerfile: str, target: str) -> None:
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
            "warnings": [],
            "stages": [],
            "steps": [],
        }
        self._started = time.monotonic_ns()
        self._step_started = 0

    @property
    def id(self) -> str:
        """The build's id, 64 hex digits."""
        return str(self.document["id"])

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps in the order they are carried out."""
        steps: list[dict[str, Any]] = self.document["steps"]
        return steps

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

    def begin(self, number: int, stage: int | None, instruction: str, text: str, lines: tuple[int, int]) -> None:
        """A step begins."""
        self._step_started = time.monotonic_ns()
        self.steps.append(
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
                "cache": None,
                "image": "",
                "layer": None,
                "container": "",
                "exit_code": None,
                "output": "",
            }
        )

    def note(self, **fields: Any) -> None:
        """Add to the running step."""
        self.steps[-1].update(fields)

    def output(self, text: str) -> None:
        """Keep the end of what a step prints."""
        kept = (self.steps[-1]["output"] + text).splitlines(keepends=True)
        self.steps[-1]["output"] = "".join(kept[-_TAIL_LINES:])[-8192:]

    def end(self, state: str) -> None:
        """The running step has ended: done, cached, failed or canceled; one that has ended stays as it is."""
        if self.steps and self.steps[-1]["state"] == "running":
            self.note(state=state, duration_ns=time.monotonic_ns() - self._step_started)

    def close(self, state: str, *, image: str = "", error: dict[str, Any] | None = None) -> None:
        """The build has ended: succeeded, failed or canceled."""
        self.end({"succeeded": "done"}.get(state, state))
        duration = time.monotonic_ns() - self._started
        self.document.update(state=state, image=image, error=error, duration_ns=duration)
