"""The picture of a build, from what the build said."""

from __future__ import annotations

from pydock_lab.client.commands.session import BuildEvent
from pydock_lab.notebook.build_view import BuildView
from pydock_lab.notebook.steady import Steady


def view_of(*events: BuildEvent) -> BuildView:
    view = BuildView(Steady("any"))
    for event in events:
        view.add(event)
    return view


STEPS = (
    BuildEvent("notice", 0, 0, "a stand-in for python:3.12-alpine\n"),
    BuildEvent("step", 1, 3, "FROM python:3.12-alpine"),
    BuildEvent("committed", 1, 3, "", id="aaaaaaaaaaaa"),
    BuildEvent("step", 2, 3, "COPY . ."),
    BuildEvent("cached", 2, 3, ""),
    BuildEvent("step", 3, 3, "RUN pip install <flask>"),
    BuildEvent("output", 3, 3, "10%\r20%\r100%\n\x1b[91mdone"),
)


def test_a_running_build_shows_states_and_the_end_of_the_output() -> None:
    bundle = view_of(*STEPS).bundle()
    assert bundle["text/plain"].splitlines() == [
        "a stand-in for python:3.12-alpine",
        "1/3 ✓ base     FROM python:3.12-alpine",
        "2/3 ↺ cached   COPY . .",
        "3/3 ● running  RUN pip install <flask>",
        "      100%",
        "      done",
        "Building: 2 of 3 steps done",
    ]
    assert "pip install &lt;flask&gt;" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]


def test_a_finished_build_folds_the_output_away() -> None:
    ending = (BuildEvent("built", 3, 3, "", id="b" * 12), BuildEvent("tagged", 3, 3, "app:1"))
    bundle = view_of(*STEPS, *ending).bundle()
    assert bundle["text/plain"].splitlines()[-2:] == [
        "3/3 ✓ built    RUN pip install <flask>",
        "Built app:1: 3 steps, 1 from the cache",
    ]
    assert "<summary>2 lines of output</summary>" in bundle["text/html"]


def test_a_failed_build_marks_the_step_that_failed() -> None:
    view = view_of(*STEPS)
    view.fail("The command '/bin/sh -c pip' returned a non-zero code: 1")
    lines = view.bundle()["text/plain"].splitlines()
    assert "3/3 ✕ failed   RUN pip install <flask>" in lines
    assert lines[-2:] == ["      done", "The build failed"]
