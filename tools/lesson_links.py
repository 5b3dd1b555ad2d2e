"""Links from the lessons to the source: they must lead somewhere, and to the right line.

A link whose text is a name in backquotes, `[`pivot_root`](../pydock_lab/daemon/linux/syscalls.py#L177)`,
leads to its definition. `make lessons` renews the line numbers, and so does `python -m tools.lesson_links`,
which runs nothing; tests/notebooks checks that the file is there and defines the name near that line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from pydock_lab.notebook.views.source import definition

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s#]+)(?P<line>#L\d+)?\)")
_NAME = re.compile(r"`([A-Za-z_][\w.]*)`")


class Link(NamedTuple):
    """A link to a file.

    Attributes:
        file: What it leads to.
        name: What is defined there, or "" where the text names nothing.
        line: The line it leads to, or 0.
    """

    file: Path
    name: str
    line: int


def links(text: str, folder: Path = NOTEBOOKS) -> Iterator[Link]:
    """The links of a text that lead into this repository."""
    for match in _LINK.finditer(text):
        if "://" not in match["target"]:
            yield _link(match, folder)


def line_of(link: Link) -> int:
    """Return the line on which the link's name is defined, or 0."""
    node = definition(ast.parse(link.file.read_text("utf-8")), link.name)
    return node.lineno if node else 0


def renew(notebook: NotebookNode) -> NotebookNode:
    """Write the present line numbers into the links of a lesson."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _LINK.sub(_numbered, cell.source)
    return notebook


def _numbered(match: re.Match[str]) -> str:
    link = _link(match, NOTEBOOKS)
    line = line_of(link) if link.name and link.file.is_file() else 0
    return f"[{match['text']}]({match['target']}#L{line})" if line else match[0]


def main() -> int:
    """Renew the links of all lessons, and touch nothing else in their files."""
    for lesson in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = lesson.read_text("utf-8")
        renewed = _LINK.sub(_numbered, text)
        if renewed != text:
            lesson.write_text(renewed, "utf-8")
    return 0


def _link(match: re.Match[str], folder: Path) -> Link:
    name = _NAME.fullmatch(match["text"])
    is_python = match["target"].endswith(".py")
    line = int(match["line"][2:]) if match["line"] else 0
    return Link((folder / match["target"]).resolve(), name[1] if name and is_python else "", line)


if __name__ == "__main__":
    raise SystemExit(main())
