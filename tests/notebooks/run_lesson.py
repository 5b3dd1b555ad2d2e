"""Run one lesson twice in a row, as whoever starts this script: `python run_lesson.py LESSON.ipynb [--by-hand]`.

The first time to its end, the second time with `%lab reset` in place of its own clean-up (with `--by-hand`, to
its end again): in one kernel, as somebody does who runs all cells again. In between, the engine must hold what it
held before.

A script and no test, because a plain user runs it, without pytest and without this checkout: it needs
nbclient, a kernel, and lessons.py beside it. A cell that fails unasked ends it with that cell's traceback.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
from lessons import belongings
from nbclient import NotebookClient
from nbformat import NotebookNode


class Here:
    """The engine that DOCKER_HOST names."""

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)


def without_clean_up(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Cut the lesson off where it begins to clean up, and let `%lab reset` do it."""
    end = next(i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "## Clean up" in cell.source)
    return [*cells[:end], nbformat.v4.new_code_cell("%lab reset")]


def main(path: Path, by_hand: bool) -> None:
    notebook = nbformat.read(path, as_version=4)
    once = notebook.cells
    again = nbformat.read(path, as_version=4).cells
    notebook.cells = [*once, *(again if by_hand else without_clean_up(again))]
    before = belongings(Here())
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if index == len(once):
                left = belongings(Here())
                assert left == before, f"the first run has left {left}; before it, there was {before}"
            client.execute_cell(cell, index)
    for output in notebook.cells[-1].get("outputs", ()):  # what the clean-up said
        print(output.get("text") or output.get("data", {}).get("text/plain", ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--by-hand" in sys.argv[2:])
