"""Each correction of the notes is met in a cell of the lesson that docs/course.md names: by running what the notes say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).parent.parent.parent

CELLS = (
    # The words of the course page's table; the lesson; what a code cell there must say.
    ("`-e FLASK_APP=app.py FLASK_DEBUG=1`", 5, r"%docker container run .*-e FLASK_APP=app\.py FLASK_DEBUG=1 "),
    ("`-e FLASK_APP=app.py FLASK_DEBUG=1`", 6, r"%container run .*-e FLASK_APP=app\.py FLASK_DEBUG=1 "),
    ("each layer creates a new layer", 5, r'LABEL mantainer="Juan Daza <email@email\.com>"\\\n'),
    ("each layer creates a new layer", 4, r"%%predict layers\n(.*\n)*LABEL: yes"),
    ("each actionable step becomes a layer", 5, r"%%predict layers\nnew layers: 8\nLABEL makes a layer: yes"),
    ("Containers are immutable", 3, r"%%container run -i --name rooms-notes-2 alpine sh\nls /file"),
    ("Containers are immutable", 3, r"%%container start -ai rooms-notes\n"),
    (
        "Only changed layers are updated",
        4,
        r"%%predict change\nWORKDIR is built anew: no\nCOPY is built anew: yes\nRUN",
    ),
    ("FROM must be first", 5, r"# escape=\\\nARG BASE=\S+\nFROM \$\{BASE\}"),
    ("files above the Dockerfile", 5, r"COPY \.\./"),
    ('VOLUME "exposes a path"', 5, r'VOLUME \["/app/public"\]'),
    ('VOLUME "exposes a path"', 8, r"VOLUME /keep\nRUN echo after"),
    ('`-v <local directory>` "mounts a volume"', 6, r"-v \./\$here/sight:/www"),
    ('`-v <local directory>` "mounts a volume"', 8, r"-v \./\$desk/empty:/www .*\n.*-v data-new:/www"),
    ('`-it` "Unix symbols and colours"', 6, r"%%container run --rm -it alpine sh"),
    ("`--restart` e.g. on-failure", 6, r"--restart on-failure:3"),
    ("`--restart` e.g. on-failure", 6, r"--rm --restart always"),
    ("`--rm` removes after stop", 6, r"--rm -v /scratch -v flags-kept:/kept"),
    ("`docker container log`", 7, r"%docker container log \S+ -f"),
    ("`docker stop $(docker ps -a -q)` with nothing to stop", 7, r"%docker stop \$\(docker ps -a -q"),
    ("LABEL `mantainer`", 5, r"Config\.Labels\.mantainer"),
    ("`CMD flask run …` (shell form)", 5, r"CMD flask run --host=0\.0\.0\.0 --port=5000"),
    ("`CMD flask run …` (shell form)", 7, r"%%predict forms"),
    ("`RUN mkdir /app`, then WORKDIR", 5, r"RUN mkdir /app\nWORKDIR /app"),
    ("`python:2.7-alpine`", 5, r"FROM python:2\.7-alpine"),
    ("`redis:3.2-alpine`", 9, r"redis:3\.2-alpine"),
    ("compose `version: '3'`", 9, r"%%compose .*config -q\nversion: '3'"),
    ("`depends_on` as a list", 9, r"depends_on:\n +- redis"),
    ("`depends_on` as a list", 9, r"condition: service_healthy"),
    ("`env_file: .env`", 9, r"env_file:\n +- '\.env'"),
    ("Docker Daemon -> Rest API -> Docker CLI", 2, r"%lab requests run"),
)

COMMANDS = (
    *("FROM ", "RUN ", "WORKDIR ", "COPY ", "LABEL ", "CMD ", "VOLUME "),
    *(" -it ", " -p ", " -e ", " --rm ", " -d ", " --restart ", " -v "),
    "docker image build -t",
    "docker container run",
    "docker stop $(docker ps -a -q",
    "docker rm -f $(docker ps -a -q",
    "docker container log ",
    "%container stats",
    "%volume create",
    "%compose ",
    "depends_on:",
)
"""What the notes' commands, flags and instructions look like in a lesson."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_notes_stands_in_a_lesson(command: str) -> None:
    lessons = [nbformat.read(path, as_version=4) for path in sorted((PROJECT / "notebooks").glob("*.ipynb"))]
    assert any(command in cell.source for lesson in lessons for cell in lesson.cells)


@pytest.mark.parametrize(("words", "lesson", "code"), CELLS, ids=lambda value: str(value)[:40])
def test_a_correction_is_met_by_running_it(words: str, lesson: int, code: str) -> None:
    assert lesson in lessons_of(words)
    (path,) = (PROJECT / "notebooks").glob(f"{lesson:02}-*.ipynb")
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert any(re.search(code, cell) for cell in cells), f"no cell of {path.name} has {code}"


def test_every_row_of_the_course_page_is_looked_at() -> None:
    looked_at = {(words, lesson) for words, lesson, _ in CELLS}
    for row, lessons in table():
        for lesson in lessons:
            assert any(words in row and lesson == at for words, at in looked_at), (row, lesson)


def lessons_of(words: str) -> set[int]:
    """The lessons of all rows of the course page's table of corrections that have these words."""
    return {lesson for row, lessons in table() if words in row for lesson in lessons}


def table() -> list[tuple[str, list[int]]]:
    page = (PROJECT / "docs" / "course.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+) \| ([\d, ]+) \|$", page.partition("## Where the notes are corrected")[2], re.MULTILINE)
    return [(words, [int(number) for number in numbers.split(",")]) for words, numbers in rows]
