"""What `pydock compose` says and how it ends, beside Compose 2 on the same engine: one command after another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.test_compose_clients import COMPOSE_2
from tests.conftest import Daemon

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not COMPOSE_2.exists(), reason="machine: no Compose 2 (tools/trixie fetches it)"),
]

FILE = """
name: words
services:
  db: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ["127.0.0.1::80"]}
  web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, scale: 2}
  short: {image: busybox, command: "sh -c 'exit 3'", profiles: [once], scale: "${SCALE:-1}"}
  ready: {image: busybox, command: "true", profiles: [late]}
  waits:
    image: busybox
    command: "true"
    profiles: [late]
    depends_on: {ready: {condition: service_completed_successfully}}
  card:
    image: busybox
    profiles: [gpu]
    deploy: {resources: {reservations: {devices: [{driver: d, capabilities: [tpu, fast]}]}}}
"""
COMMANDS = """
config --variables
--profile once config --no-interpolate
config web
config --images db
config --hash *
--env-file nofile config
ps -q
images
down db
up -d
stats --no-stream --format {{.Name}}
images --format json
logs --no-color
ps --format {{.Name}}:{{.State}}
scale web
exec -T --index 2 web true
exec -T db sh
port db 81
port nothere 80
exec -T nothere true
exec -it nothere true
run -it nothere true
build --compress --force-rm nothere
pull --no-parallel nothere
rm -af nothere
pull -q db
push
up --nosuch
cp note.txt db:/tmp/
cp db:/tmp/note.txt copied.txt
cp db:/none copied.txt
cp note.txt web:/tmp/
cp note.txt nothere:/tmp/
cp web:/tmp/note.txt db:/tmp/
pause db
pause db
unpause db
unpause db
run -d --no-deps web sleep 1000
kill web
rm -f db
stop -t 0 db
cp note.txt db:/etc/
rm -f db
up -d
down db
up -d
--profile gpu up -d card
--profile gpu config
--profile gpu rm -fs card
--profile late run --rm -T waits
--profile late rm -fs ready
--profile once up --no-deps short
--profile once up -d short
--profile once down -t 0 --remove-orphans
""".strip().splitlines()


def _said(program: list[str], words: str, engine: Daemon, directory: Path) -> tuple[int, list[str], list[str]]:
    done = subprocess.run(
        [*program, *words.split()],
        env=os.environ | {"DOCKER_HOST": engine.host},
        cwd=directory,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    return done.returncode, _lines(done.stdout), _lines(done.stderr)


def _lines(text: str) -> list[str]:
    """The lines in an order of their own, without what differs from run to run and without our hints."""
    text = re.sub(r"\n*(Hint: |Usage: ).*", "", text, flags=re.DOTALL)
    text = re.sub(r"\x1b\[2K|\b[0-9a-f]{12,64}\b|\b\d{5}/tcp", "", text)
    return sorted(line.rstrip() for line in text.splitlines() if not line.startswith("Going to remove words-web"))


def test_each_command_says_what_compose_2_says(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    said = []
    for program in ([str(COMPOSE_2)], [sys.executable, "-m", "pydock_lab.client.cli", "compose"]):
        (tmp_path / "compose.yaml").write_text(FILE)
        (tmp_path / "note.txt").write_text("noted\n")
        try:
            said.append({f"{at} {words}": _said(program, words, daemon, tmp_path) for at, words in enumerate(COMMANDS)})
        finally:
            _said(program, "-p words down -v -t 0 --remove-orphans", daemon, tmp_path)
    theirs, ours = said
    assert ours == theirs
