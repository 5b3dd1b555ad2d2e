"""A build as it runs, and the still picture it leaves.

What is known of it stands in build_state.py; here it is drawn. The plain text has
a line per step; what a step printed is in the HTML, and in the text while it runs
or when it has failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pydock_lab.client.commands.session import BuildEvent, Progress
from pydock_lab.errors import LabError
from pydock_lab.notebook.build_state import BuildState, Stage, Step
from pydock_lab.notebook.html import Markup, bar, tag
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views import graph
from pydock_lab.notebook.views.picture import Picture

_TAIL_LINES = 8
_LEAST_BAR = 0.05
_FOLDED_CHARACTERS = 60_000
"""What all steps together may have printed into the picture; the rest is in the engine's record."""
_MARKS = {
    "running": ("●", "running"),
    "waiting": ("…", "waiting"),
    "base": ("✓", "base"),
    "built": ("✓", "built"),
    "cached": ("↺", "cached"),
    "failed": ("✕", "failed"),
    "canceled": ("–", "canceled"),
}
_COLOURS = {"running": "pd-C", "failed": "pd-D", "built": "pd-A", "base": "pd-A"}

ReadRecord = Callable[[str], dict[str, Any]]


class BuildView:
    """One build; may be told of it and drawn from different threads.

    Args:
        steady: Makes ids and times stable where outputs are compared.
        read: Asks the engine for the record of a build by its id; None where there are no records.
    """

    def __init__(self, steady: Steady, read: ReadRecord | None = None) -> None:
        self._steady = steady
        self._read = read
        self._state = BuildState()
        self._lock = threading.Lock()

    def add(self, event: BuildEvent) -> None:
        """Take note of what the build said."""
        with self._lock:
            self._state.add(event)

    def add_transfer(self, event: Progress) -> None:
        """Take note of the base image being pulled."""
        with self._lock:
            self._state.add_transfer(event)

    def fail(self, message: str) -> None:
        """The build ended with an error, which the cell itself will show."""
        with self._lock:
            self._state.fail(message)

    def look(self) -> None:
        """Read the engine's record of the build, if it keeps one; an engine that is gone leaves what is known."""
        if self._read is None or not self._state.id:
            return
        try:
            record = self._read(self._state.id)
        except LabError:
            return
        with self._lock:
            self._state.absorb(record)

    def picture(self) -> Picture:
        """Draw the present state."""
        with self._lock:
            return draw(self._state, steady=bool(self._steady))


def draw(state: BuildState, *, steady: bool = False) -> Picture:
    """Draw a build.

    Args:
        state: What is known of it.
        steady: Leave out what differs from run to run.
    """
    pulling = [state.pulling] if state.pulling and not state.image_id else []
    stages = [stage for stage in state.stages if stage.needed]
    parts: list[Markup] = [tag("p", headline(state), class_="pd-title"), _facts(state, steady=steady)]
    parts += [tag("p", note, class_="pd-note") for note in (*pulling, *state.notices)]
    if len(state.stages) > 1:
        title, label = "Stages and what they take from each other", "Graph of the stages"
        parts.append(graph.drawing(_nodes(state, steady=steady), title, label))
    parts.append(_table(state, stages if len(state.stages) > 1 else [], steady=steady))
    return Picture("Build", _plain(state, pulling), tag("div", *parts, class_="pd-build"), headline(state))


def headline(state: BuildState) -> str:
    """How far it is, or how it ended, in one line."""
    if state.error:
        return "The build was interrupted" if state.is_interrupted else "The build failed"
    if state.image_id:
        name = ", ".join(state.tags) or state.image_id.removeprefix("sha256:")[:12]
        cached = sum(step.state == "cached" for step in state.steps)
        return f"Built {name}: {len(state.steps)} steps, {cached} from the cache"
    done = _done(state)
    return f"Building: {done} of {state.total} steps done" if state.total else "Building"


def _done(state: BuildState) -> int:
    return sum(step.state not in ("running", "waiting") for step in state.steps)


def _plain(state: BuildState, pulling: list[str]) -> str:
    lines: list[str] = []
    for step in state.steps:
        mark, word = _MARKS[step.state]
        lines.append(f"{step.number}/{state.total} {mark} {word:<8} {step.instruction}")
        if step.state in ("running", "failed"):
            lines += [f"      {line}" for line in step.lines()[-_TAIL_LINES:]]
    return "\n".join([*state.notices, *lines, *pulling, headline(state)])


def _facts(state: BuildState, *, steady: bool) -> Markup:
    """Time and size, and how far it is as a bar."""
    new = [step.size for step in state.steps if step.state == "built" and step.size is not None]
    facts = [] if steady else [_seconds(state.took_s)]
    if new:
        facts.append(f"{byte_count(sum(new))} in {plural(len(new), 'new layer')}")
    progress = bar(_done(state) / state.total) if state.total and not state.is_over else None
    return tag("div", tag("p", ", ".join(facts), class_="pd-note") if facts else None, progress)


def _nodes(state: BuildState, *, steady: bool) -> list[graph.Node]:
    names = {stage.index: stage.name for stage in state.stages}
    nodes = []
    for stage in state.stages:
        needs = {names[index]: "COPY" for index in stage.copies_from}
        if stage.base_stage is not None:
            needs[names[stage.base_stage]] = "FROM"
        said, mood = _stage_state(state, stage, steady=steady)
        nodes.append(graph.Node(stage.name, (f"FROM {stage.base}", said), needs, mood, faint=not stage.needed))
    return nodes


def _stage_state(state: BuildState, stage: Stage, *, steady: bool) -> tuple[str, str]:
    """`✓ 4 steps, 2.1 s`, and the class of its colour."""
    if not stage.needed:
        return "not needed", ""
    steps = [step for step in state.steps if step.stage == stage.index]
    states = {step.state for step in steps}
    took = "" if steady else f", {_seconds(sum(step.took_s for step in steps if step.state != 'cached'))}"
    for found, mood in (("failed", "pd-D"), ("running", "pd-C"), ("canceled", "")):
        if found in states:
            return f"{_MARKS[found][0]} {found}{took}", mood
    if not steps or "waiting" in states:
        return "… waiting", ""
    if states <= {"base", "cached"} and "cached" in states:
        return f"↺ {plural(len(steps), 'step')}, cached", ""
    return f"✓ {plural(len(steps), 'step')}{took}", "pd-up"


def _table(state: BuildState, stages: list[Stage], *, steady: bool) -> Markup:
    head = tag(
        "tr",
        *(tag("th", name, scope="col") for name in ("Step", "State", "Instruction")),
        *(tag("th", name, scope="col", class_="pd-num") for name in ("Time", "Layer")),
    )
    longest = max((step.took_s for step in state.steps if step.state != "cached"), default=0)
    budget = _FOLDED_CHARACTERS
    bodies: list[Markup] = []
    groups = [(stage, [step for step in state.steps if step.stage == stage.index]) for stage in stages]
    before = [step for step in state.steps if not stages or step.stage is None]
    for found, steps in ((None, before), *groups):
        rows = []
        if found is not None:
            name = tag("th", "Stage ", tag("b", found.name), f" from {found.base}", colspan=5, scope="rowgroup")
            rows.append(tag("tr", name))
        for step in steps:
            output, used = _output(step, budget, folded=state.is_over)
            budget -= used
            rows.append(_row(step, state.total, output, 0 if steady else longest))
        if rows:
            bodies.append(tag("tbody", *rows))
    if not bodies:
        return Markup("")
    return tag("table", tag("thead", head), *bodies, class_="pd-table pd-build-steps", aria_label="Steps")


def _row(step: Step, total: int, output: Markup | None, longest: float) -> Markup:
    mark, word = _MARKS[step.state]
    keyword, _, rest = step.instruction.partition(" ")
    timed = longest and step.state not in ("cached", "waiting")
    share = step.took_s / longest if timed else 0
    size = "" if step.size is None else byte_count(step.size)
    return tag(
        "tr",
        tag("td", f"{step.number}/{total}", class_="pd-soft", style="white-space:nowrap"),
        tag(
            "td", tag("span", f"{mark} {word}", class_=_COLOURS.get(step.state, "pd-soft")), style="white-space:nowrap"
        ),
        tag("td", tag("code", tag("b", keyword), " ", rest), _reason(step), output),
        tag("td", _seconds(step.took_s) if timed else "", bar(share) if share >= _LEAST_BAR else None, class_="pd-num"),
        tag("td", size, class_="pd-num"),
    )


def _reason(step: Step) -> Markup | None:
    """Why it is in the cache or not; the state beside it says already that it is."""
    return tag("div", step.reason.removeprefix("Cached: "), class_="pd-soft") if step.reason else None


def _output(step: Step, budget: int, *, folded: bool) -> tuple[Markup | None, int]:
    """What a step printed: its end while it runs or where it failed, else folded away, once all is over."""
    lines = step.lines()
    if not lines:
        return None, 0
    if step.state in ("running", "failed"):
        return _pre(lines[-_TAIL_LINES:]), 0
    count = plural(len(lines), "line") + " of output"
    if not folded:  # a page that is sent again and again stays small
        return tag("div", count, class_="pd-soft"), 0
    text = "\n".join(lines)[-budget:] if budget > 0 else ""
    return tag("details", tag("summary", count), _pre(text.split("\n"))), len(text)


def _pre(lines: list[str]) -> Markup:
    return tag("pre", "\n".join(lines), class_="pd-mono pd-soft pd-log", tabindex=0)


def _seconds(seconds: float) -> str:
    if seconds >= 60:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    if seconds < 0.001:
        return "< 1 ms"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
