"""The graded exercises, as nbgrader runs them: the model solution gets all points, the notes' mistakes lose theirs.

nbgrader itself is not installed here: its panels would be in every JupyterLab that the browser tests look at. It
executes a notebook like this and reads a graded cell's points from its `execute_result`; an error is none.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.conftest import Daemon
from tests.notebooks.lessons import belongings

pytestmark = pytest.mark.root

EXERCISE = Path(__file__).parent.parent.parent / "notebooks/exercises/source/repair-the-notes/repair-the-notes.ipynb"

MISTAKES = {
    "image": """%%dockerfile -t exercise-app:1 --context exercise-lesson
FROM python:3.12-alpine
RUN mkdir /app
WORKDIR /app
COPY . .
LABEL mantainer="Ada"
VOLUME ["/app/public"]
CMD python app.py""",
    "run": "%container run -d --name exercise-web -p 127.0.0.1::5000 -e GREETING=Welcome DEBUG=1 "
    "-v exercise-data:/app/public exercise-app:1",
    "data": "%container run -d --name exercise-web-2 exercise-app:1",
}
"""What the notes would write into the cells that are the learner's."""


def graded(notebook: NotebookNode) -> dict[str, float]:
    """The points that each graded cell came to."""
    points = {}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            (last,) = [output for output in cell.outputs if output.output_type in ("execute_result", "error")]
            points[cell.metadata.nbgrader.grade_id] = float(last.data["text/plain"]) if "data" in last else 0.0
    return points


def test_the_model_solution_has_all_points_and_the_notes_lose_theirs(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    assert daemon.docker("pull", "python:3.12-alpine").returncode == 0
    before = belongings(daemon)
    for mistakes, expected in (
        ({}, {"image-points": 4, "label-points": 1, "run-points": 3, "data-points": 2}),
        (MISTAKES, {"image-points": 3, "label-points": 0, "run-points": 0, "data-points": 0}),
    ):
        notebook = nbformat.read(EXERCISE, as_version=4)
        for cell in notebook.cells:
            cell.source = mistakes.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""), cell.source)
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=120, resources=resources, allow_errors=True).execute()
        assert graded(notebook) == expected
        assert belongings(daemon) == before


def test_the_points_are_those_that_nbgrader_is_told() -> None:
    notebook = nbformat.read(EXERCISE, as_version=4)
    marked = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    for cell in marked.values():
        assert not cell.outputs
        assert cell.metadata.nbgrader.locked != cell.metadata.nbgrader.solution
        assert ("### BEGIN SOLUTION" in cell.source) == cell.metadata.nbgrader.solution
        if cell.metadata.nbgrader.grade:
            assert cell.source.startswith(f"%%check --points {cell.metadata.nbgrader.points}\n")
    assert sum(cell.metadata.nbgrader.get("points", 0) for cell in marked.values()) == 10
    assert MISTAKES.keys() <= marked.keys()
