"""Every link of a lesson or a page of the docs leads somewhere; a link to a definition, to a file that has it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tools.lesson_links import NOTEBOOKS, line_of, links, renew
from tools.pictures import IMAGES, PICTURES

ROOT = NOTEBOOKS.parent
NEAR = 20
"""So many lines may come between a link and its definition until they are renewed: both can be seen at once."""

PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


def text_of(lesson: Path) -> str:
    cells = nbformat.read(lesson, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("lesson", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_links_of_a_lesson(lesson: Path) -> None:
    for link in links(text_of(lesson)):
        assert link.file.exists(), link
        if link.name:
            assert (line := line_of(link)), f"{link.file} does not define {link.name}"
            assert abs(line - link.line) <= NEAR, f"run `python -m tools.lesson_links` for the line of {link.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_links_of_a_page(page: Path) -> None:
    for link in links(page.read_text("utf-8"), page.parent):
        assert link.file.exists(), link


def test_a_link_gets_its_line_and_a_wrong_one_is_seen() -> None:
    target = "../pydock_lab/daemon/linux/syscalls.py"
    cell = nbformat.v4.new_markdown_cell(f"[`pivot_root`]({target}#L1), [`no_such`]({target}), [x](https://e.org/a.py)")
    notebook = renew(nbformat.v4.new_notebook(cells=[cell]))
    found, wrong = links(notebook.cells[0].source)
    text = (ROOT / "pydock_lab/daemon/linux/syscalls.py").read_text().splitlines()
    assert text[found.line - 1].startswith("def pivot_root(")
    assert line_of(wrong) == wrong.line == 0


def test_every_picture_is_shown_and_can_be_retaken() -> None:
    shown = {link.file.name for page in PAGES for link in links(page.read_text("utf-8"), page.parent)}
    assert {path.name for path in IMAGES.iterdir()} == PICTURES.keys() <= shown
