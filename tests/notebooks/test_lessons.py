"""Every lesson runs top to bottom, shows what it is committed with, and leaves nothing behind.

Twice in a row, in another order, as a plain user, and with `%lab reset` instead of its own clean-up, each runs in
test_lessons_plain_user.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from pytest_notebook.nb_regression import NBRegressionFixture

from tests.conftest import Daemon, scratch_daemon
from tests.notebooks.lessons import LESSONS, bases_of, belongings
from tools.lessons import READERS_ROOT, ROOT

IGNORED = (
    # Differ in every run: when a cell ran, and the ids of widgets.
    "/cells/*/metadata/execution",
    "/cells/*/outputs/*/data/application/vnd.jupyter.widget-view+json",
    "/metadata/widgets",
    # Depends on the Python that runs the suite.
    "/metadata/language_info",
)
REPLACED = (
    # Drawn from the same data as text/plain, which is compared; tests/unit/notebook checks the drawing. Not among
    # IGNORED, which is looked at when all has been compared: with long HTML that takes longer than the lesson.
    ("/cells/*/outputs/*/data/text/html", r"(?s).+", ""),
    # Base images are assembled from this machine's files: how many and how large they are is its own.
    *(
        (f"/cells/*/outputs/*/{part}", pattern, common)
        for part in ("data/text/plain", "text")
        for pattern, common in (
            (r"\b\d+(\.\d+)?(B|kB|MB|GB)\b", "SIZE"),
            (r"(?<= )[+~−]\d+\b", "FILES"),
            (r" {2,}", "  "),
        )
    ),
    # Where the project lies, in errors that name a file.
    *(
        (f"/cells/*/outputs/*/{part}", rf"{re.escape(str(ROOT))}|{re.escape(READERS_ROOT)}", "ROOT")
        for part in ("evalue", "traceback", "text")
    ),
    # The lessons take a port that is free, 5000 only if it is.
    ("/cells/*/outputs/*/data/text/plain", r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    ("/cells/*/outputs/*/text", r"port \d+ of this machine", "port PORT of this machine"),
)


OF_THIS_MACHINE = "machine"
"""The tag of a cell that shows this machine: its kernel, process ids, measured times. It must run; what it
shows is not compared."""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """An engine of each lesson's own: what another has built is a reason in a build view, and counts among the ids."""
    with scratch_daemon() as running:
        yield running


@pytest.fixture
def kernel_environment(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kernel that a test starts talks to the test's daemon, with stable ids and clocks."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("PYDOCK_SEED", "lesson")
    yield


@pytest.mark.root
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_shows_what_is_committed_and_leaves_nothing_behind(
    lesson: Path, daemon: Daemon, kernel_environment: None
) -> None:
    checker = NBRegressionFixture(
        exec_timeout=300,
        diff_ignore=(*IGNORED, *of_this_machine(lesson)),
        diff_replace=REPLACED,
        diff_use_color=bool(os.environ.get("FORCE_COLOR")),
    )
    for base in bases_of(lesson):
        assert daemon.docker("pull", base).returncode == 0
    before = belongings(daemon)
    checker.check(str(lesson))
    assert belongings(daemon) == before


def of_this_machine(lesson: Path) -> list[str]:
    """The outputs that belong to the machine the lesson ran on."""
    cells = nbformat.read(lesson, as_version=4).cells
    tagged = (i for i, cell in enumerate(cells) if OF_THIS_MACHINE in cell.metadata.get("tags", ()))
    return [f"/cells/{i}/outputs" for i in tagged]
