"""With PYDOCK_SEED two runs on two fresh engines show the same, byte for byte and in every form.

The second run has an engine beside it whose containers take pids, ports and subnets, as others do on any machine.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import Daemon, scratch_daemon
from tools.lessons import settle

pytestmark = pytest.mark.root

# Each stage waits for the one before: of two at a time, chance decides which is the older image.
BUILT = """%%dockerfile -t notes:1
FROM busybox AS one
RUN echo one > /one
FROM one AS two
RUN echo two > /two
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
COPY hello.txt /
CMD ["sleep", "60"]"""
PROJECT = """
services:
  web:
    image: busybox
    command: sleep 60
    ports: ["80"]
    stop_grace_period: 0s"""

CELLS = (
    "%load_ext pydock_lab",
    "import pathlib; pathlib.Path('hello.txt').write_text('hello');",
    "%docker pull busybox",
    # What a build shows, and what it leaves.
    BUILT,
    "%%dockerfile -t notes:2\nFROM busybox\nCOPY hello.txt /\nRUN echo it fails; false",
    BUILT,
    "%image ls -a --no-trunc",
    "%image history notes:1",
    "%image inspect notes:1",
    "%lab layers notes:1",
    # Containers: with and without a name, with ports and volumes that nobody chose.
    "web = %container run -d -p 80 -v data:/data -v /nameless --name web notes:1\nweb",
    "%container run -d notes:1\n%container run -d -p 127.0.0.1::81 notes:1 sh -c 'sleep 100 & sleep 99'",
    "%container ls -s\n%container ps -a --no-trunc\n%docker ps -q",
    r"%docker ps --format 'table {{.ID}}\t{{.Names}}\t{{.Ports}}\t{{.RunningFor}}'",
    "%container inspect $web",
    "%container inspect -f '{{.State.Pid}} {{.NetworkSettings.IPAddress}} {{.GraphDriver.Data}}' web",
    "%container top web\n%container port web\n%container stats --no-stream",
    "%docker exec web sh -c 'echo hi > /data/x; echo more > /y; hostname; ip addr; mount | head -n 1'",
    "%container diff web\n%container run --name gone busybox true\n%container ls -a",
    # The views.
    "%container run --explain --name explained notes:1 true",
    "%lab explain web",
    "%lab requests run --rm busybox hostname",
    "%lab stacks",
    "%lab processes",
    "%lab stats",
    "%lab instances notes:1",
    "%lab storage web",
    "%lab volume data",
    "%lab doctor",
    "%lab source daemon/linux/syscalls.py:pivot_root",
    # Networks and volumes.
    "%network create net\n%docker run -d --name in --network net busybox sleep 60\n%network connect bridge in",
    "%network ls\n%network inspect net bridge",
    "%lab network",
    "%volume create\n%volume ls\n%volume inspect data",
    "%lab events",
    "%docker events --since 1h --until 0s",
    f"%%compose up -d{PROJECT}",
    f"%%compose ps{PROJECT}",
    "%lab compose",
    f"%%compose top{PROJECT}",
    f"%%compose down{PROJECT}",
    # The engine, a registry, and the end.
    "%docker info\n%docker version\n%system df\n%docker system df -v",
    "%registry up\n%docker tag busybox localhost:5000/b\n%registry down",
    "%container commit web notes:3\n%docker run missing:1",
    "%%predict p\nthe layers of notes 1: 3",
    "%check container web runs",
    "%lab checkpoint\n%container rm -f web\n%lab restore\n%container ls",
    "%lab reset",
)


def run(daemon: Daemon, directory: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Run the cells in a kernel of their own; return each with what it shows: streams in one piece, no widgets' ids."""
    directory.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    environment = os.environ | {"DOCKER_HOST": daemon.host, "PYDOCK_SEED": "same"}
    resources = {"metadata": {"path": str(directory)}}
    NotebookClient(notebook, timeout=120, allow_errors=True, resources=resources).execute(env=environment)
    return [(cell.source, cell.outputs) for cell in settle(notebook).cells]


def test_two_engines_show_the_same_byte_for_byte(tmp_path: Path) -> None:
    with scratch_daemon() as daemon:
        first = run(daemon, tmp_path / "one" / "lesson")
    with contextlib.ExitStack() as stack:
        other, daemon = stack.enter_context(scratch_daemon()), stack.enter_context(scratch_daemon())
        assert other.docker("pull", "busybox").returncode == 0
        for _ in range(2):
            assert other.docker("run", "-d", "-p", "80", "busybox", "sleep", "100").returncode == 0
        assert other.docker("network", "create", "elsewhere").returncode == 0
        second = run(daemon, tmp_path / "two" / "lesson")
    for (cell, before), (_, after) in zip(first, second, strict=True):
        assert before == after, cell
    assert all("Traceback" not in str(outputs) for _, outputs in first)
