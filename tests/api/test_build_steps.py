"""Going back to a step of a build: by its number, or to the state before a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_build_mounts import newest
from tests.api.test_cli import pydock
from tests.conftest import Daemon

pytestmark = pytest.mark.usefixtures("busybox")

STEPS = """FROM busybox
RUN echo first > /a && echo base > /b
RUN rm /a && echo more >> /b
ENV SEEN=1
RUN echo last > /c
"""


@pytest.fixture
def stepped(daemon: Daemon) -> Iterator[str]:
    """An image of four steps above the base."""
    done = daemon.docker("build", "-t", "stepped", "-", stdin=STEPS)
    assert done.returncode == 0, done.stderr
    yield "stepped"
    daemon.docker("rmi", "stepped")


def said(daemon: Daemon, *words: str, status: int = 0, stdin: str | None = None) -> str:
    done = pydock(daemon, *words, stdin=stdin)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def base_steps(daemon: Daemon, image: str) -> int:
    return len(said(daemon, "image", "at", image).splitlines()) - 1 - 4


def test_the_steps_of_an_image(daemon: Daemon, stepped: str) -> None:
    table = said(daemon, "image", "at", stepped).splitlines()
    assert table[0].split() == ["STEP", "CREATED", "BY", "SIZE", "IMAGE", "ID"]
    assert "rm /a" in table[-3]
    assert " - " in table[-2], "ENV makes no layer"
    first = base_steps(daemon, stepped) + 1
    assert said(daemon, "image", "at", stepped, str(first), "cat", "/a") == "first\n"
    assert said(daemon, "image", "at", stepped, "-i", "", status=125).startswith("pydock: no step")
    assert said(daemon, "image", "at", "-i", stepped, str(first + 1), "sh", stdin="ls /a; cat /b") == "base\nmore\n"
    image = said(daemon, "image", "at", stepped, str(first)).strip()
    assert said(daemon, "run", "--rm", image, "cat", "/a") == "first\n"
    assert "there is no step 99" in said(daemon, "image", "at", stepped, "99", status=1)


def test_what_steps_changed(daemon: Daemon, stepped: str) -> None:
    first = base_steps(daemon, stepped) + 1

    def diff(*ranges: str) -> list[str]:
        return said(daemon, "image", "at", "--diff", stepped, *ranges).splitlines()

    assert diff(str(first)) == ["A /a", "A /b"]
    assert diff(str(first + 1)) == ["D /a", "C /b"]
    assert diff(f"{first}..{first + 3}") == ["A /b", "A /c"]
    assert diff(str(first), f"{first + 1}..{first + 3}")[1:] == [
        "/a     A 6B      D",
        "/b     A 5B      C 10B",
        "/c     -         A 5B",
    ]
    assert "no step and no range" in said(daemon, "image", "at", "--diff", stepped, "3..2", status=125)


def test_a_shell_in_the_state_before_the_failure(daemon: Daemon, tmp_path: Path) -> None:
    failing = (
        'FROM busybox\nARG WHO=me\nENTRYPOINT ["false"]\nWORKDIR /app\nRUN echo 1 > one\nRUN echo 2 > two; exit 7\n'
    )
    done = pydock(daemon, "build", "-", stdin=failing)
    assert done.returncode == 7
    assert "run --from-failed-step" in done.stderr
    assert said(daemon, "run", "--rm", "--from-failed-step", "ls") == "one\n"
    assert said(daemon, "run", "--rm", "-i", "--from-failed-step", stdin="pwd; echo $WHO") == "/app\nme\n"
    done = pydock(daemon, "run", "--rm", "--from-failed-step", "true")
    assert "step 6 (line 6), which failed with status 7" in done.stderr
    record = newest(daemon)
    assert isinstance(record["failure"], dict)
    assert isinstance(record["steps"], list)
    assert said(daemon, "run", "--rm", "--entrypoint", "cat", record["failure"]["after"], "two") == "2\n"
    assert daemon.docker("inspect", record["steps"][-1]["container"]).returncode == 1


def test_in_another_containers_network(daemon: Daemon, busybox: str) -> None:
    container = daemon.docker("run", "-d", "--rm", "--network", "none", busybox, "sleep", "600").stdout.strip()
    idle = daemon.docker("create", busybox).stdout.strip()
    dockerfile = "FROM busybox\nRUN ls /sys/class/net; hostname\n"

    def build(name: str) -> str:
        done = daemon.docker("build", "--no-cache", "--network", f"container:{name}", "-", stdin=dockerfile)
        return done.stdout + done.stderr

    try:
        assert f"\nlo\n{container[:12]}\n" in build(container[:12])
        assert f"cannot join network of a non running container: {idle}" in build(idle)
        assert "No such container: nobody" in build("nobody")
    finally:
        daemon.docker("rm", "-f", container, idle)
