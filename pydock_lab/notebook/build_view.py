"""A build as it runs, and the still picture it leaves.

Fed with `BuildEvent`s. The plain text has a line per step; what a step printed
is in the HTML, and in the text while it runs or when it has failed.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from pydock_lab.client.commands.session import BuildEvent, Progress
from pydock_lab.notebook.html import Markup, frame, tag
from pydock_lab.notebook.live import Bundle
from pydock_lab.notebook.steady import Steady

_TAIL_LINES = 8
_KEPT_CHARACTERS = 20_000
_BLANKS = re.compile(r"\s{2,}")  # what is left of a line continued by a backslash
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MARKS = {
    "running": ("●", "running"),
    "base": ("✓", "base"),
    "built": ("✓", "built"),
    "cached": ("↺", "cached"),
    "failed": ("✕", "failed"),
}


@dataclass
class _Step:
    number: int
    text: str
    state: str = "running"
    began_at: float = field(default_factory=time.monotonic)
    took_s: float = 0.0
    output: str = ""

    def end(self, state: str) -> None:
        if self.state == "running":
            self.state = "base" if self.text.upper().startswith("FROM ") and state == "built" else state
            self.took_s = time.monotonic() - self.began_at

    def lines(self) -> list[str]:
        """What the step printed, without colours; of a line drawn again and again the last state."""
        text = _COLOURS.sub("", self.output).replace("\r\n", "\n").rstrip()
        return [line.rpartition("\r")[2] for line in text.split("\n")] if text else []


class BuildView:
    """One build.

    Args:
        steady: Makes ids and times stable where outputs are compared.
    """

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._steps: list[_Step] = []
        self._total = 0
        self._notices: list[str] = []
        self._tags: list[str] = []
        self._image_id = ""
        self._error = ""
        self._pulling = ""

    def add(self, event: BuildEvent) -> None:
        """Take note of what the build said."""
        self._total = event.steps or self._total
        step = self._steps[-1] if self._steps else None
        if event.kind != "notice":
            self._pulling = ""
        if event.kind == "step":
            if step:
                step.end("built")
            self._steps.append(_Step(event.step, event.text))
        elif event.kind == "cached" and step:
            step.end("cached")
        elif event.kind == "output" and step:
            step.output = (step.output + event.text)[-_KEPT_CHARACTERS:]
        elif event.kind == "committed" and step:
            step.end("built")
        elif event.kind == "notice":
            self._notices.append(event.text.strip())
        elif event.kind == "built":
            self._image_id = event.id
            if step:
                step.end("built")
        elif event.kind == "tagged":
            self._tags.append(event.text)
        elif event.kind == "error":
            self.fail(event.text)

    def add_transfer(self, event: Progress) -> None:
        """Take note of the base image being pulled."""
        if event.id or event.status.startswith("Status: "):
            self._pulling = f"{event.id}: {event.status}" if event.id else ""
        else:
            self._notices.append(event.status)

    def fail(self, message: str) -> None:
        """The build ended with an error, which the cell itself will show."""
        self._error = message
        if self._steps:
            self._steps[-1].end("failed")

    def bundle(self) -> Bundle:
        """Draw the present state."""
        return {"text/plain": self._steady.text(self._plain()), "text/html": self._steady.text(str(self._html()))}

    def _plain(self) -> str:
        lines: list[str] = []
        for step in self._steps:
            mark, word = _MARKS[step.state]
            lines.append(f"{step.number}/{self._total} {mark} {word:<8} {_BLANKS.sub(' ', step.text)}")
            if step.state in ("running", "failed"):
                lines += [f"      {line}" for line in step.lines()[-_TAIL_LINES:]]
        pulling = [self._pulling] if self._pulling and not self._image_id else []
        return "\n".join([*self._notices, *lines, *pulling, self._headline()])

    def _html(self) -> Markup:
        rows = [self._row(step) for step in self._steps]
        notes = [self._pulling if not self._image_id else "", *self._notices]
        notices = [tag("p", note, class_="pd-note") for note in notes if note]
        table = tag(
            "table",
            tag("caption", self._headline(), aria_live="polite"),
            tag("tbody", *rows),
            class_="pd-table",
        )
        return frame(table, *notices, label="Build")

    def _headline(self) -> str:
        if self._error:
            return "The build failed"
        if self._image_id:
            name = ", ".join(self._tags) or self._image_id.removeprefix("sha256:")[:12]
            cached = sum(step.state == "cached" for step in self._steps)
            return f"Built {name}: {len(self._steps)} steps, {cached} from the cache"
        done = max(len(self._steps) - 1, 0)
        return f"Building: {done} of {self._total} steps done" if self._total else "Building"

    def _row(self, step: _Step) -> Markup:
        mark, word = _MARKS[step.state]
        colour = {"running": "pd-C", "failed": "pd-D", "built": "pd-A", "base": "pd-A"}.get(step.state, "pd-soft")
        took = "" if step.state in ("cached", "running") or self._steady else _seconds(step.took_s)
        keyword, _, rest = _BLANKS.sub(" ", step.text).partition(" ")
        return tag(
            "tr",
            tag("td", f"{step.number}/{self._total}", class_="pd-num pd-soft"),
            tag("td", tag("span", f"{mark} {word}", class_=colour), style="white-space:nowrap"),
            tag("td", tag("code", tag("b", keyword), " ", rest), self._output(step)),
            tag("td", took, class_="pd-num pd-soft"),
        )

    def _output(self, step: _Step) -> Markup | None:
        lines = step.lines()
        if not lines:
            return None
        if step.state in ("running", "failed"):
            return tag("pre", "\n".join(lines[-_TAIL_LINES:]), class_="pd-mono pd-soft", style="margin:2px 0")
        count = f"{len(lines)} line" + ("s" if len(lines) != 1 else "") + " of output"
        return tag(
            "details",
            tag("summary", count),
            tag("pre", "\n".join(lines), class_="pd-mono pd-soft", style="margin:2px 0"),
        )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
