"""What works and still surprises is said in one line; what is plain is not commented on."""

from __future__ import annotations

import pytest

from pydock_lab.client.commands.advice import compose_notes, dockerfile_notes, notes_for
from pydock_lab.client.commands.arguments import parse
from pydock_lab.client.commands.grammar import find

COMMANDS = {
    "run -v /home/me/app:/app alpine": "bind mount",
    "run --rm -v /data alpine": "--rm removes it",
    "run -t alpine sh": "-it",
    "run python:2.7-alpine": "2020-01-01",
    "rm web": "writable layer",
    "pull redis:3.2-alpine": "redis:7",
}
DOCKERFILES = {
    "FROM python:2.7-alpine": "2020-01-01",
    "FROM x\nMAINTAINER me": 'LABEL maintainer="me"',
    'FROM x\nLABEL mantainer="me"': "`maintainer`",
    'FROM x\nLABEL a="b" \\\n\tc="d"': "joined labels save nothing",
    "FROM x\nRUN mkdir /app\nWORKDIR /app": "WORKDIR /app makes the directory itself",
    "FROM x\nVOLUME /data": "anonymous volume",
    "FROM x\nCMD migrate && serve": "a script whose last command begins with exec",
    "FROM x\nCMD flask run --host=0.0.0.0": 'CMD ["flask", "run", "--host=0.0.0.0"]',
}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line: str) -> None:
    command, rest = find(line.split())
    (note,) = notes_for(parse(command, rest))
    assert COMMANDS[line] in note and "\n" not in note


@pytest.mark.parametrize(
    "line", ["run --rm -it -v data:/data python:3 sh", "run -d redis:7", "pull python:2048", "stop web"]
)
def test_nothing_to_say(line: str) -> None:
    command, rest = find(line.split())
    assert notes_for(parse(command, rest)) == []


@pytest.mark.parametrize("text", DOCKERFILES)
def test_dockerfiles(text: str) -> None:
    (note,) = dockerfile_notes(text)
    assert DOCKERFILES[text] in note and "\n" not in note


def test_a_good_dockerfile_gets_no_notes() -> None:
    text = 'FROM python:3\nLABEL maintainer="me"\nWORKDIR /app\nCOPY . .\nCMD ["flask", "run"]\n'
    assert dockerfile_notes(text) == []
    assert dockerfile_notes("NONSENSE") == []


def test_compose_files() -> None:
    """The notes' own file: its list of dependencies, its old Redis."""
    text = "services:\n  redis: {image: 'redis:3.2-alpine'}\n  web: {build: ., depends_on: [redis]}\n"
    old, order = compose_notes(text)
    assert "redis:7" in old and "service_healthy" in order
    assert compose_notes("services: {web: {depends_on: {db: {condition: service_healthy}}}}") == []
    assert compose_notes("services: [") == compose_notes("nonsense") == compose_notes("") == []
