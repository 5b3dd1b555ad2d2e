"""Each correction of the notes is met in a cell of the lesson that docs/course.md names: by running what the notes say.

What the cell shows is looked for in the committed outputs: test_lessons.py holds these to what a run shows. So the
cell must not be one that is about this machine, whose outputs are not compared.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.notebooks.test_lessons import OF_THIS_MACHINE

PROJECT = Path(__file__).parent.parent.parent
SOON = 8
"""So many cells may come until what was predicted is scored."""

LOWER = r"repository name \(library/FLASK_DEBUG=1\) must be lowercase"

CELLS = (
    # The words of the course page's table; the lesson; what a code cell there runs; what is shown there or soon after.
    ("`-e FLASK_APP=app.py FLASK_DEBUG=1`", 5, r"%docker container run .*-e FLASK_APP=app\.py FLASK_DEBUG=1 ", LOWER),
    ("`-e FLASK_APP=app.py FLASK_DEBUG=1`", 6, r"%container run .*-e FLASK_APP=app\.py FLASK_DEBUG=1 ", LOWER),
    ("each layer creates a new layer", 5, r"%%reveal layers", r"LABEL makes a layer: you said yes; .* says no"),
    ("each layer creates a new layer", 4, r"%%reveal layers", r"LABEL: you said yes; the engine says no"),
    ("each actionable step becomes a layer", 5, r"%%reveal layers", r"new layers: you said 8; the engine says 4"),
    ("each actionable step becomes a layer", 4, r"%%reveal layers", r"WORKDIR: you said yes; the engine says yes"),
    ("Containers are immutable", 3, r"%%container run -i --name rooms-notes-2 alpine sh\nls /file", r"No such file"),
    ("Containers are immutable", 3, r"%%container start -ai rooms-notes\n", r"written in the first"),
    ("Only changed layers are updated", 4, r"%%reveal change", r"RUN is built anew: you said no; the engine says yes"),
    ("FROM must be first", 5, r"# escape=\\\nARG BASE=\S+\nFROM \$\{BASE\}", r"Built notes-arg:latest: 3 steps"),
    ("files above the Dockerfile", 5, r"COPY \.\./", r"forbidden path outside the build context"),
    ("files above the Dockerfile", 5, r"--context apps\n", r"Built notes-wider"),
    ('VOLUME "exposes a path"', 5, r"%container create --name notes-plain", r"volume at /app/public with a name of 64"),
    ('VOLUME "exposes a path"', 8, r"VOLUME /keep\nRUN echo after", r"written after VOLUME: .*the engine says yes"),
    ('`-v <local directory>` "mounts a volume"', 6, r"-v \./\$here/sight:/www", r"'sight', 'site'"),
    ('`-v <local directory>` "mounts a volume"', 8, r"-v \./\$desk/empty:/www", r"bind mount\): .* says no"),
    ('`-v <local directory>` "mounts a volume"', 8, r"-v data-new:/www", r"new, empty volume: .* says yes"),
    (
        '`-it` "Unix symbols and colours"',
        6,
        r"%%reveal input",
        r"with -i alone, the program has a terminal: .* says no",
    ),
    ('`-it` "Unix symbols and colours"', 6, r"%%container run --rm -it alpine sh", r"the input device is not a TTY"),
    ("`--restart` e.g. on-failure", 6, r"--restart on-failure:3", r"exited with 7 after 3 restarts"),
    ("`--restart` e.g. on-failure", 6, r"--rm --restart always", r"cannot specify both --restart and --rm"),
    ("`--rm` removes after stop", 6, r"--rm -v /scratch -v flags-kept:/kept", r"without a name, more than before: 0"),
    ("`--rm` removes after stop", 6, r"--rm -v flags-kept:/kept alpine ls", r"^b$"),
    ("`docker container log`", 7, r"%docker container log \S+ -f", r"unknown command: docker container log\b"),
    ("`docker stop $(docker ps -a -q)` with nothing to stop", 7, r"%docker stop \$\(docker ps", r"at least 1 argument"),
    ("LABEL `mantainer`", 5, r"Config\.Labels\.mantainer", r"Juan Daza <email@email\.com>, 1\.0"),
    ("LABEL `mantainer`", 5, r"MAINTAINER", r"Maintainer instruction is deprecated"),
    ("`CMD flask run …` (shell form)", 5, r"CMD flask run", r"Note: CMD as a line runs under /bin/sh"),
    ("`CMD flask run …` (shell form)", 7, r"%%reveal forms", r"shellform closes by itself: .* says no"),
    ("`RUN mkdir /app`, then WORKDIR", 5, r"RUN mkdir /app\nWORKDIR /app", r"WORKDIR /app makes the directory itself"),
    ("`RUN mkdir /app`, then WORKDIR", 4, r"%%reveal layers", r"WORKDIR: you said yes; the engine says yes"),
    ("`python:2.7-alpine`", 5, r"FROM python:2\.7-alpine", r"Python 2 ended on 2020-01-01"),
    ("`redis:3.2-alpine`", 9, r"redis:3\.2-alpine", r"Redis 3\.2 ended in 2018"),
    ("compose `version: '3'`", 9, r"%%compose .*config -q\nversion: '3'", r"the attribute `version` is obsolete"),
    ("`depends_on` as a list", 9, r"%%reveal waiting", r"web is running, .*: you said yes; the engine says no"),
    (
        "`depends_on` as a list",
        9,
        r"condition: service_healthy",
        r"State\.Health\.Status\}\} counter-redis-1 gives healthy",
    ),
    ("`env_file: .env`", 9, r"env_file:\n +- '\.env'", r"\.env not found"),
    ("Docker Daemon -> Rest API -> Docker CLI", 2, r"%%reveal child", r"descends from this notebook: .* says no"),
    ("Docker Daemon -> Rest API -> Docker CLI", 2, r"%image pull 127\.0\.0\.1:1/", r"daemon: Get \"http://127"),
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


@pytest.mark.parametrize(("words", "lesson", "code", "shows"), CELLS, ids=lambda value: str(value)[:40])
def test_a_correction_is_met_by_running_it(words: str, lesson: int, code: str, shows: str) -> None:
    assert lesson in lessons_of(words)
    (path,) = (PROJECT / "notebooks").glob(f"{lesson:02}-*.ipynb")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    runs = [at for at, cell in enumerate(cells) if re.search(code, cell.source)]
    assert runs, f"no cell of {path.name} has {code}"
    shown = ["\n".join(map(shown_by, cells[at : at + SOON])) for at in runs]
    assert any(re.search(shows, text, re.MULTILINE) for text in shown), f"{path.name} does not show {shows}: {shown}"


def shown_by(cell: NotebookNode) -> str:
    """What a cell shows as text and what a run of it is compared with."""
    if OF_THIS_MACHINE in cell.metadata.get("tags", ()):
        return ""
    texts = [output.get("text") or output.get("evalue") or output.data["text/plain"] for output in cell.outputs]
    return "\n".join(texts)


def test_every_row_of_the_course_page_is_looked_at() -> None:
    looked_at = {(words, lesson) for words, lesson, *_ in CELLS}
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
