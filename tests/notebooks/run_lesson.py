"""Run one lesson as whoever starts this script: `python run_lesson.py LESSON.ipynb [--reset-instead-of-clean-up]`.

A script and no test, because a plain user runs it, without pytest and without this checkout: it needs
nbclient and a kernel. A cell that fails unasked ends it with that cell's traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode


def without_clean_up(notebook: NotebookNode) -> None:
    """Cut the lesson off where it begins to clean up, and let `%lab reset` do it."""
    cells = notebook.cells
    end = next(i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "## Clean up" in cell.source)
    notebook.cells = [*cells[:end], nbformat.v4.new_code_cell("%lab reset")]


def main(path: Path, reset: bool) -> None:
    notebook = nbformat.read(path, as_version=4)
    if reset:
        without_clean_up(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    for output in notebook.cells[-1].get("outputs", ()):  # what the clean-up said
        print(output.get("text") or output.get("data", {}).get("text/plain", ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--reset-instead-of-clean-up" in sys.argv[2:])
