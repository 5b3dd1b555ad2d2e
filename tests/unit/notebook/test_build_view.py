"""The picture of a build, from what the build said."""

from __future__ import annotations

from typing import Any

from pydock_lab.client.commands.session import BuildEvent
from pydock_lab.errors import Unavailable
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.views.build import BuildView


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
    bundle = view_of(*STEPS).picture().bundle(Steady("any"))
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
    bundle = view_of(*STEPS, *ending).picture().bundle(Steady("any"))
    assert bundle["text/plain"].splitlines()[-2:] == [
        "3/3 ✓ built    RUN pip install <flask>",
        "Built app:1: 3 steps, 1 from the cache",
    ]
    assert "<summary>2 lines of output</summary>" in bundle["text/html"]


def test_a_failed_build_marks_the_step_that_failed() -> None:
    view = view_of(*STEPS)
    view.fail("The command '/bin/sh -c pip' returned a non-zero code: 1")
    lines = view.picture().bundle(Steady("any"))["text/plain"].splitlines()
    assert "3/3 ✕ failed   RUN pip install <flask>" in lines
    assert lines[-2:] == ["      done", "The build failed"]


def recorded(number: int, text: str, stage: int, state: str = "done", **fields: Any) -> dict[str, Any]:
    step = {"number": number, "text": text, "stage": stage, "state": state, "instruction": text.split()[0]}
    step |= {"started_at_ns": 0, "duration_ns": 2_100_000_000, "waiting": False, "waited_ns": 0}
    return step | {"cache": None, "layer": None, "output": ""} | fields


def stage(index: int, name: str, base: str, needs: list[int], needed: bool = True) -> dict[str, Any]:
    return {"index": index, "name": name, "base": base, "needs": needs, "needed": needed}


RECORD: dict[str, Any] = {
    "stages": [stage(0, "tools", "busybox", []), stage(1, "", "tools", [0]), stage(2, "spare", "tools", [0], False)],
    "steps": [
        recorded(1, "FROM busybox AS tools", 0),
        recorded(2, "COPY a /", 0, cache={"hit": True, "from": {"build": "a" * 64, "step": 3}}, state="cached"),
        recorded(3, "FROM tools", 1, state="running", waiting=True),
        recorded(
            4,
            "RUN make",
            1,
            state="running",
            output="one\ntwo\n",
            layer={"size": 1_500_000},
            cache={
                "hit": False,
                "reason": {
                    "field": "argument",
                    "text": "ARG V changed",
                    "changes": [{"name": "V", "before": "1", "after": ""}],
                },
            },
        ),
    ],
}


def test_the_record_tells_of_stages_that_run_at_once_and_of_reasons() -> None:
    asked: list[str] = []

    def read(build_id: str) -> dict[str, Any]:
        asked.append(build_id)
        return RECORD

    view = BuildView(Steady(), read)
    view.look()
    assert not asked, "before the engine has named the build there is nothing to ask for"
    view.add(BuildEvent("begun", 0, 0, "", id="b1"))
    view.add(BuildEvent("step", 1, 4, "FROM busybox AS tools"))
    view.look()
    assert asked == ["b1"]
    picture = view.picture()
    for text in (
        "from step 3 of build aaaaaaaaaaaa",
        "Not cached: ARG V changed; V: 1 → nothing",
        "… waiting",
        "not needed",
        ">1.5MB<",
        ">one\ntwo<",
        "Building: 2 of 4 steps done",
    ):
        assert text in picture.html
    assert picture.html.count("<rect") == 3


def test_an_engine_that_is_gone_leaves_what_is_known() -> None:
    def read(build_id: str) -> dict[str, Any]:
        raise Unavailable("no answer")

    view = BuildView(Steady(), read)
    view.add(BuildEvent("begun", 0, 0, "", id="b1"))
    view.add(BuildEvent("step", 1, 2, "FROM busybox"))
    view.look()
    assert "1/2 ● running  FROM busybox" in view.picture().plain


def test_a_talkative_build_stays_small() -> None:
    view = BuildView(Steady())
    for number in range(1, 41):
        view.add(BuildEvent("step", number, 40, "RUN noise"))
        view.add(BuildEvent("output", number, 40, "x" * 99_999))
    assert len(view.picture().html) < 40_000
    view.add(BuildEvent("built", 40, 40, "", id="b" * 12))
    assert len(view.picture().html) < 120_000
