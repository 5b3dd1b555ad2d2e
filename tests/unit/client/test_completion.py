"""What Tab offers, without an engine; with one: tests/api/test_cli_commands.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.client.commands.completion.files import complete_compose, complete_dockerfile
from pydock_lab.client.commands.completion.words import complete
from pydock_lab.client.connection import Connection

DOCKERFILE = "FROM python:3 AS base\nARG VERSION=1\nENV PORT=80 HOST=x\n"


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setenv("PYDOCK_EXEC_ROOT", str(tmp_path))
    return Connection(environment={"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("con", ["config", "container", "context"]),
        ("container pr", ["prune"]),
        ("container li", ["list"]),
        ("run --na", ["--name"]),
        ("container run --pull=", ["--pull=always", "--pull=missing", "--pull=never"]),
        ("run --rm --restart on", ["on-failure"]),
        ("run -d --cap-add NET_R", ["NET_RAW"]),
        ("run -e HO", ["HOME"]),
        ("run -it alpine --na", []),  # after the image it's the command's
        ("stop -s SIGK", ["SIGKILL"]),
        ("volume ls --filter na", ["name="]),
        ("run --network h", ["host"]),
        ("-H unix:///x imag", ["image", "images"]),
        ("nonsense x", []),
        ("run --nonsense=", []),
    ],
)
def test_words_of_the_grammar(nobody: Connection, line: str, expected: list[str]) -> None:
    assert complete(line, connection=nobody, environment={"HOME": "/root"}) == expected


def test_only_what_stands_before_the_cursor_counts(nobody: Connection) -> None:
    assert complete("run --na alpine", 8, connection=nobody) == ["--name"]


def test_no_engine_is_started_for_names(nobody: Connection, tmp_path: Path) -> None:
    assert complete("rm ", connection=nobody) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FR", ["FROM"]),
        ("fr", ["from"]),
        (DOCKERFILE + "COPY --fr", ["--from="]),
        (DOCKERFILE + "COPY --from=b", ["--from=base"]),
        (DOCKERFILE + "RUN echo ${V", ["${VERSION"]),
        (DOCKERFILE + "RUN echo a$HO", ["a$HOST"]),
        (DOCKERFILE + "RUN --mount=type=c", ["--mount=type=cache"]),
        (DOCKERFILE + "RUN echo a && \\\n  RU", []),
        (DOCKERFILE + "FROM ba", ["base"]),
        (DOCKERFILE + "FROM x A", ["AS"]),
        ("ONBUILD ru", ["run"]),
    ],
)
def test_dockerfiles(nobody: Connection, text: str, expected: list[str]) -> None:
    assert complete_dockerfile(text, connection=nobody) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ser", ["services:"]),
        ("services:\n  web:\n    ima", ["image:"]),
        ("services:\n  web:\n    image: x\n    build:\n      dockerfile_", ["dockerfile_inline:"]),
        ("services:\n  web:\n    depends_on:\n      db:\n        con", ["condition:"]),
        ("services:\n  web:\n    image: al", []),
    ],
)
def test_compose_keys(text: str, expected: list[str]) -> None:
    assert complete_compose(text) == expected


def test_files_where_a_command_takes_them(nobody: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    for name in ("site/index.html", "site/.hidden", "notes.md"):
        (tmp_path / name).touch()
    for line, found in (
        ("build s", ["site/"]),
        ("cp ./site/", ["./site/index.html"]),
        ("cp site/.", ["site/.hidden"]),
        ("run -v ./n", ["./notes.md"]),
        ("build --file=site/i", ["--file=site/index.html"]),
        ("stop n", []),
    ):
        assert complete(line, connection=nobody) == found
