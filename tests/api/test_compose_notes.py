"""The notes' Compose file, word for word: a real Redis and a Flask app that counts its visits in it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_catalog_notes import DOCKERFILE, free_port
from tests.conftest import Daemon

pytestmark = pytest.mark.root

COMPOSE = """\
version: '3'

services:
  redis:
    image: 'redis:3.2-alpine'
    ports:
      - '{redis}:6379'
    volumes:
      - 'redis:/data'

  web:
    build: .
    depends_on:
      - 'redis'
    env_file:
      - '.env'
    ports:
      - '{web}:5000'
    volumes:
      - '.:/app'

volumes:
  redis: {{}}
"""

APP = """\
import os

from flask import Flask
from redis import Redis

app = Flask(__name__)
redis = Redis(host=os.environ["REDIS_HOST"])


@app.route("/")
def index():
    return f"Visits: {redis.incr('visits')}"
"""


@pytest.fixture
def notes(daemon: Daemon, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    with contextlib.closing(daemon.client()) as client:
        for image in ("python:2.7-alpine", "redis:3.2-alpine"):
            answer = client.api.post(f"{client.api.base_url}/lab/catalog/{image}/build")
            assert answer.status_code == 201, answer.text
    directory = tmp_path / "notes"
    directory.mkdir()
    port = free_port()
    (directory / "docker-compose.yml").write_text(COMPOSE.format(web=port, redis=free_port()))
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "requirements.txt").write_text("flask\nredis\n")
    (directory / "app.py").write_text(APP)
    (directory / ".env").write_text("FLASK_APP=app.py\nREDIS_HOST=redis\n")
    yield directory, port
    compose(daemon, directory, "down", "-v", "-t", "0", "--rmi", "local")


def compose(daemon: Daemon, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pydock_lab.client.cli", "compose", *words],
        env=os.environ | {"DOCKER_HOST": daemon.host},
        cwd=directory,
        text=True,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def visits(port: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return int(re.findall(r"Visits: (\d+)", answer.read().decode())[0])
        time.sleep(0.1)
    raise AssertionError("no page in 30 s")


def test_one_command_brings_the_notes_up_and_the_volume_keeps_the_count(
    daemon: Daemon, notes: tuple[Path, int]
) -> None:
    directory, port = notes
    said = compose(daemon, directory, "up", "-d")
    assert "the attribute `version` is obsolete" in said.stderr
    assert [visits(port) for _ in range(3)] == [1, 2, 3]
    names = compose(daemon, directory, "ps", "--format", "{{.Name}}").stdout.split()
    assert names == ["notes-redis-1", "notes-web-1"]
    compose(daemon, directory, "stop", "redis")  # on SIGTERM it saves; what runs flask waits for no one
    compose(daemon, directory, "down", "-t", "0")
    compose(daemon, directory, "up", "-d")
    assert visits(port) == 4
    compose(daemon, directory, "down", "-v", "-t", "0")
    compose(daemon, directory, "up", "-d")
    assert visits(port) == 1
