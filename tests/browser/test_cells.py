"""Cells that begin with %%dockerfile, %%compose or %%check: coloured and indented as what they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import write_notebook
from tests.browser.jupyter import NARROW, WIDE, Desk, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.root]

DOCKERFILE = """%%dockerfile -t web:1.0 --context .
# syntax=docker/dockerfile:1
# the page and its server
ARG TAG=3.12-alpine
FROM --platform=$BUILDPLATFORM python:${TAG} AS build
ENV GREETING="hello ${TAG}" PORT=8000
COPY --from=build --chown=1000:1000 app/ /app
RUN --mount=type=cache,target=/root/.cache pip install flask \\
    && echo "done"
RUN <<EOF
echo FROM inside
EOF
HEALTHCHECK --interval=5s CMD wget -q localhost
EXPOSE 8000/tcp
CMD ["python", "-m", "flask"]
"""
COMPOSE = """%%compose -p shop
services:
  web:
    image: "nginx:alpine"  # the page
    ports:
      - "8080:80"
    read_only: true
"""
QUESTIONS = """%%check
container web is in no group   # is it not running? use `run` and try again
image web exists # or build it
ports: $count for web#1
"""
PYTHON = "x = 'FROM here'"
MAGICS = '''names = "in 3"
web = %container run -d --name web -e "A=1 2" -v $data:/in/is alpine \\
    sleep 3 for
!docker images | grep is
text = """
%container is in here
"""
'''
SCRIPT = """%%container run -i alpine sh
for i in 1 2; do echo "$i"; done
"""
BASH = """%%bash
while docker ps -q | grep -q .; do sleep 1; done
"""
PROGRAM = """%%container run -i python:3.12-alpine python -
import os
"""


@pytest.fixture(scope="module")
def notebook(desk: Desk) -> Iterator[Notebook]:
    sources = (DOCKERFILE, COMPOSE, QUESTIONS, PYTHON, MAGICS, SCRIPT, BASH, PROGRAM, "pass")
    write_notebook(desk.lab.notebooks / "cells.ipynb", *sources)
    notebook = desk.open("cells.ipynb")
    yield notebook
    notebook.close()


def colour(cell: Locator, text: str, near: str = "") -> str:
    """The colour a piece of text has on the page; in the line that contains `near`."""
    line = cell.locator(".cm-line", has_text=near or text).first
    return line.evaluate(
        """(line, text) => {
            const at = line.textContent.indexOf(text);
            const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
            for (let passed = 0, node; (node = walker.nextNode()); passed += node.length)
                if (at < passed + node.length) return getComputedStyle(node.parentElement).color;
        }""",
        text,
    )


def test_dockerfiles_and_compose_files_are_coloured(notebook: Notebook) -> None:
    cell = notebook.cell("# the page and its server")
    plain = colour(cell, "app/", "COPY")
    keyword, flag, string, comment, variable = (
        colour(cell, "COPY"),
        colour(cell, "--chown", "COPY"),
        colour(cell, "hello", "GREETING"),
        colour(cell, "# the page"),
        colour(cell, "${TAG}", "AS build"),
    )
    assert len({plain, keyword, flag, string, comment, variable}) == 6
    assert colour(cell, "AS", "AS build") == keyword
    assert colour(cell, "CMD", "HEALTHCHECK") == keyword
    assert colour(cell, "${TAG}", "GREETING") == variable
    assert colour(cell, "PORT", "GREETING") == colour(cell, "GREETING") != plain
    assert colour(cell, "FROM", "echo FROM inside") == string  # text of a here-document, no instruction
    assert colour(cell, "HEALTHCHECK") == keyword  # and behind its end, instructions again
    assert colour(cell, "%%dockerfile") == colour(cell, "# syntax") not in (plain, comment)

    compose = notebook.cell("services:")
    assert len({colour(compose, "image"), colour(compose, '"nginx:alpine"'), colour(compose, "# the page")}) == 3
    assert colour(compose, "image") == colour(compose, "ports") != plain
    assert colour(notebook.cell("FROM here"), "FROM") == colour(notebook.cell("FROM here"), "here")
    notebook.desk.keep({"cells": cell, "cells-commands": notebook.cell("web = %container")}, widths=(WIDE, NARROW))


def test_questions_are_sentences_with_hints(notebook: Notebook) -> None:
    cell = notebook.cell("is in no group")
    plain, hint, magic = colour(cell, "container"), colour(cell, "is it not"), colour(cell, "%%check")
    assert len({plain, hint, magic, colour(cell, "$count")}) == 4
    for word in ("is", "in", "group"):
        assert colour(cell, f" {word} ") == plain  # no keywords of Python's
    assert colour(cell, "or build") == colour(cell, "try again") == hint
    assert colour(cell, "#1", "ports") == colour(cell, "for", "ports") == plain


def test_command_lines_are_no_python(notebook: Notebook) -> None:
    magic, flag = (colour(notebook.cell("# the page and its server"), text) for text in ("%%dockerfile", "-t"))
    cell = notebook.cell("web = %container")
    plain = colour(cell, "alpine")
    assert colour(cell, "%container", "--name") == colour(cell, "!docker") == magic
    assert colour(cell, "--name") == flag != plain
    for text, line in ((" is", "grep"), ("/in/is", "--name"), (" sleep 3 for", "sleep"), (" 3", "sleep")):
        assert colour(cell, text, line) == plain
    assert colour(cell, "A=1", "--name") == colour(cell, "in 3") not in (plain, flag)
    assert colour(cell, "$data", "--name") not in (plain, flag, magic)
    assert colour(cell, "%container is") == colour(cell, "in 3")  # the text of a string is no command

    script, program = notebook.cell("for i in 1 2"), notebook.cell("import os")
    assert colour(script, "%%container") == colour(program, "%%container") == magic
    assert colour(script, "for") == colour(program, "import") != plain  # keywords, each of its own language
    assert colour(script, "$i") != colour(script, "1 2")
    bash = notebook.cell("while docker ps")
    assert colour(bash, "while") == colour(bash, "done") == colour(script, "for")


def test_a_cell_changes_its_language_with_its_first_line(notebook: Notebook) -> None:
    cell = notebook.panel.locator(".jp-CodeCell").last
    keyboard = notebook.page.keyboard
    cell.locator(".cm-content").click()
    keyboard.press("Control+A")
    keyboard.type("%%dockerfile\nFROM busybox\nRUN echo one \\\n&& echo two \\\n&& echo three\nCMD true")
    expect(cell.locator(".cm-line")).to_have_text(
        ["%%dockerfile", "FROM busybox", "RUN echo one \\", "    && echo two \\", "    && echo three", "CMD true"]
    )
    as_dockerfile = colour(cell, "FROM")
    assert as_dockerfile != colour(cell, "busybox")
    keyboard.press("Control+Home")
    keyboard.type("#")
    assert colour(cell, "FROM") == colour(cell, "busybox")  # Python's names


def test_compose_files_indent_by_two(notebook: Notebook) -> None:
    cell = notebook.panel.locator(".jp-CodeCell").last
    keyboard = notebook.page.keyboard
    cell.locator(".cm-content").click()
    keyboard.press("Control+A")
    keyboard.type("%%compose\nservices:\nweb:\nimage: nginx\nports:\n- 8080:80\n- 8443:443")
    expect(cell.locator(".cm-line")).to_have_text(
        ["%%compose", "services:", "  web:", "    image: nginx", "    ports:", "      - 8080:80", "      - 8443:443"]
    )
    keyboard.press("Enter")
    keyboard.press("Backspace")  # a level back, by hand
    keyboard.type("read_only: true")
    expect(cell.locator(".cm-line").last).to_have_text("    read_only: true")
