"""The Docker notes from the build to the page, word for word, on stand-ins alone."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root

# The notes' own text, its tabs and misspelling included.
DOCKERFILE = """\
FROM python:2.7-alpine

RUN mkdir /app
WORKDIR /app

COPY requirements.txt requirements.txt
RUN pip install -r requirements.txt

COPY . .

LABEL mantainer="Juan Daza <email@email.com>"\\
\t  version="1.0"

VOLUME ["/app/public"]
\t\x20\x20
CMD flask run --host=0.0.0.0 --port=5000
"""

APP = """\
from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    return "Hello from the notes"
"""


@pytest.fixture
def context(daemon: Daemon, tmp_path: Path) -> Iterator[Path]:
    with contextlib.closing(daemon.client()) as client:
        answer = client.api.post(f"{client.api.base_url}/lab/catalog/python:2.7-alpine/build")
        assert answer.status_code == 201, answer.text
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text(APP)
    yield tmp_path
    daemon.docker("rm", "-f", "-v", "notes")
    daemon.docker("rmi", "-f", "notes_app")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.status == 200
            return str(answer.read().decode())
        time.sleep(0.1)
    raise AssertionError("no page in 30 s")


def test_from_the_dockerfile_to_the_page(daemon: Daemon, context: Path) -> None:
    built = daemon.docker("image", "build", "-t", "notes_app", ".", cwd=context)
    assert built.returncode == 0, built.stdout + built.stderr
    label = daemon.docker(
        "image", "inspect", "-f", "{{.Config.Labels.mantainer}} {{.Config.Labels.version}}", "notes_app"
    )
    assert label.stdout == "Juan Daza <email@email.com> 1.0\n"

    wrong = daemon.docker(
        *(
            "container",
            "run",
            "-p",
            "5000:5000",
            "-e",
            "FLASK_APP=app.py",
            "FLASK_DEBUG=1",
            "-v",
            f"{context}:/app",
            "notes_app",
        )
    )
    assert wrong.returncode == 125
    assert "must be lowercase" in wrong.stderr

    port = free_port()
    right = ["-d", "-p", f"{port}:5000", "-e", "FLASK_APP=app.py", "-e", "FLASK_DEBUG=1", "-v", f"{context}:/app"]
    started = daemon.docker("container", "run", "--name", "notes", *right, "notes_app")
    assert started.returncode == 0, started.stderr
    assert page(port) == "Hello from the notes"
    assert "Running on" in "".join(daemon.docker("container", "logs", "notes").stderr)

    # The bind mount is the host's directory: an edit is served without a new build (FLASK_DEBUG reloads).
    (context / "app.py").write_text(APP.replace("Hello", "Changed"))
    deadline = time.monotonic() + 30
    while page(port) != "Changed from the notes":
        assert time.monotonic() < deadline, "the edit was not served in 30 s"
        time.sleep(0.2)

    names = daemon.docker("ps", "-a", "-q", "--filter", "name=notes").stdout.split()
    assert len(names) == 1
    assert daemon.docker("stop", "-t", "1", *names).returncode == 0
    assert daemon.docker("rm", *names).returncode == 0
