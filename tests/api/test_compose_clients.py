"""Our engine under other people's docker-compose, `watch`, and a daemon that dies in the middle of `up`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.test_compose import Project
from tests.conftest import Daemon, start_daemon

pytestmark = pytest.mark.root

TEN = "version: '3'\nservices:\n" + "".join(
    f"  s{number}: {{image: busybox, command: sh -c 'echo said; exec sleep 1000', stop_signal: SIGKILL"
    + (", depends_on: [s0, s1]" if number > 6 else ", volumes: ['shared:/data']")
    + "}\n"
    for number in range(10)
)
TEN += "volumes: {shared: }\n"


@pytest.fixture
def ten(daemon: Daemon, busybox: str, tmp_path: Path) -> Project:
    found = Project(daemon, tmp_path)
    found.write(TEN, "docker-compose.yml")
    return found


class Theirs:
    """Another docker-compose in a project's directory, against our engine."""

    def __init__(self, program: str, project: Project) -> None:
        self._program = program
        self._project = project

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"DOCKER_HOST": self._project.engine.host}
        done = subprocess.run(
            [self._program, *words],
            env=environment,
            cwd=self._project.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done

    def out(self, *words: str) -> str:
        return self.run(*words).stdout

    def ids(self, *words: str) -> list[str]:
        return sorted(self.out("ps", "-q", *words).split())


COMPOSE_1, COMPOSE_2 = shutil.which("docker-compose"), Path(sys.executable).with_name("docker-compose-2")
_HAS_1 = pytest.mark.skipif(not COMPOSE_1, reason="machine: no docker-compose")
_HAS_2 = pytest.mark.skipif(not COMPOSE_2.exists(), reason="machine: no Compose 2 (tools/trixie fetches it)")


@pytest.mark.parametrize(
    "program", [pytest.param(COMPOSE_1, marks=_HAS_1, id="1.29"), pytest.param(str(COMPOSE_2), marks=_HAS_2, id="2")]
)
def test_another_docker_compose_on_our_engine(ten: Project, program: str) -> None:
    theirs = Theirs(program, ten)
    try:
        theirs.run("-p", "theirs", "up", "-d")
        first = theirs.out("-p", "theirs", "ps", "-q").split()
        assert len(first) == 10
        assert theirs.out("-p", "theirs", "exec", "-T", "s0", "echo", "hello").strip() == "hello"
        theirs.run("-p", "theirs", "up", "-d")
        assert sorted(theirs.out("-p", "theirs", "ps", "-q").split()) == sorted(first)
        theirs.run("-p", "theirs", "stop", "-t", "0", "s9")
        theirs.run("-p", "theirs", "up", "-d", "--scale", "s9=2")
        assert len(theirs.out("-p", "theirs", "ps", "-q").split()) == 11
        assert "said" in theirs.out("-p", "theirs", "logs", "--no-color", "s0")
    finally:
        theirs.run("-p", "theirs", "down", "-v", "-t", "0")
    assert "theirs" not in ten.engine.docker("volume", "ls", "-q").stdout
    assert "theirs" not in ten.engine.docker("ps", "-a").stdout + ten.engine.docker("network", "ls").stdout


@_HAS_2
def test_compose_2_and_ours_take_over_each_others_project(ten: Project) -> None:
    theirs = Theirs(str(COMPOSE_2), ten)
    assert theirs.out("config") == ten.run("config").stdout
    assert sorted(theirs.out("config", "--hash", "*").split("\n")) == sorted(
        ten.run("config", "--hash", "*").stdout.split("\n")
    )
    for first, second in ((theirs, ten), (ten, theirs)):
        first.run("up", "-d", "--scale", "s5=2")
        made = sorted(first.ids())
        assert len(made) == 11
        said = second.run("up", "-d", "--scale", "s5=2").stderr
        assert "Creat" not in said and "Recreate" not in said
        assert sorted(second.ids()) == made
        assert second.run("exec", "-T", "s0", "echo", "hello").stdout.strip() == "hello"
        second.run("down", "-v", "-t", "0")
        assert first.ids("-a") == []
        assert ten.engine.docker("volume", "ls", "-q").stdout == ""


@_HAS_2
def test_dry_run_says_what_compose_2_says_and_changes_nothing(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    project = Project(daemon, tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    project.write("""
name: dry
services:
  web: {build: ., command: sleep 1000, stop_signal: SIGKILL, depends_on: [db]}
  db: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [cache]}
  cache: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
""")
    theirs = Theirs(str(COMPOSE_2), project)

    def said(who: Theirs | Project, words: str) -> list[str]:
        done = who.run("--dry-run", *words.split())
        text = done.stdout + done.stderr
        return sorted(re.sub(r"dryRun-[0-9a-f]+|\b[0-9a-f]{12}_", "", text).splitlines())

    def there() -> str:
        listed = [("ps", "-aq", "--no-trunc"), ("network", "ls", "-q"), ("volume", "ls", "-q"), ("images", "-q")]
        return "".join(daemon.docker(*words).stdout for words in listed)

    before = there()
    for words in ("up", "up -d", "create", "build", "down"):
        assert said(project, words) == said(theirs, words), words
    assert there() == before
    project.run("up", "-d")
    try:
        before = there()
        for words in ("up -d --force-recreate", "stop", "restart", "kill"):
            assert said(project, words) == said(theirs, words), words
        assert " DRY-RUN MODE -  Network dry_default  Removed" in said(project, "down -v --rmi all")
        assert " DRY-RUN MODE -  cache Pulled " in said(project, "pull")
        assert "interactive exec is not supported" in project.run("--dry-run", "exec", "db", "true", code=1).stderr
        assert "interactive run is not supported" in project.run("--dry-run", "run", "db", "true", code=1).stderr
        assert there() == before
    finally:
        project.run("down", "-t", "0", "--rmi", "local")


def test_watch_syncs_what_changes(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.txt").write_text("one")
    project = Project(daemon, tmp_path)
    project.write("""
name: watched
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    develop: {watch: [{path: ./src, action: sync, target: /app}]}
""")
    process = project.popen("watch")
    try:
        assert process.stdout is not None
        assert next(line for line in process.stdout if line.startswith("Watch")) == "Watch enabled\n"
        (tmp_path / "src" / "b.txt").write_text("two")
        deadline = time.monotonic() + 30
        while daemon.docker("exec", "watched-web-1", "cat", "/app/b.txt").stdout != "two":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.terminate()
        process.communicate(timeout=30)
        project.run("down", "-t", "0")


def test_up_watch_syncs_restarts_runs_and_rebuilds(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    for name in ("src", "conf", "data"):
        (tmp_path / name).mkdir()
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM busybox\nCMD echo first; exec sleep 1000\n")
    project = Project(daemon, tmp_path)
    project.write("""
name: watching
services:
  web:
    build: .
    stop_signal: SIGKILL
    develop:
      watch:
        - {path: ./src, action: sync, target: /app, ignore: [skip/]}
        - {path: ./conf, action: sync+restart, target: /conf}
        - {path: ./data, action: sync+exec, target: /data, exec: {command: [touch, /ran]}}
        - {path: ./Dockerfile, action: rebuild}
""")

    def inside(*words: str) -> str:
        return daemon.docker("exec", "watching-web-1", *words).stdout

    def until(true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def started() -> str:
        return daemon.docker("inspect", "-f", "{{.State.StartedAt}}", "watching-web-1").stdout

    process = project.popen("up", "--watch", "-t", "0")
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        until(lambda: "Watch enabled\n" in said)
        (tmp_path / "src" / "skip").mkdir()
        (tmp_path / "src" / "skip" / "x").write_text("ignored")
        (tmp_path / "src" / "b").write_text("two")
        until(lambda: inside("cat", "/app/b") == "two")
        assert inside("ls", "/app") == "b\n"
        (tmp_path / "src" / "b").unlink()
        until(lambda: inside("ls", "/app") == "")
        before = started()
        (tmp_path / "conf" / "c").write_text("three")
        until(lambda: started() != before)
        assert inside("cat", "/conf/c") == "three"
        (tmp_path / "data" / "d").write_text("four")
        until(lambda: inside("ls", "/ran") == "/ran\n")
        assert inside("cat", "/data/d") == "four"
        dockerfile.write_text("FROM busybox\nNONSENSE\n")  # an edit half done: it goes on
        time.sleep(1)
        dockerfile.write_text("FROM busybox\nCMD echo second; exec sleep 1000\n")
        until(lambda: any("second" in line for line in said))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        reader.join(timeout=10)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        left = daemon.docker("ps", "-q", "--filter", "name=watching-").stdout
        project.run("down", "-t", "0", "--rmi", "all")
    assert left == ""


def test_up_watch_needs_rules_and_the_foreground(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    project = Project(daemon, tmp_path)
    project.write("services: {web: {image: busybox}}")
    assert "none of the selected services is configured for watch" in project.run("up", "--watch", code=1).stderr
    assert "--detach cannot be combined" in project.run("up", "--watch", "-d", code=1).stderr
    assert project.ids("-a") == []


@pytest.fixture
def root() -> Iterator[Path]:
    """A scratch root for daemons that come one after the other."""
    path = Path(tempfile.mkdtemp(prefix="pd-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_a_daemon_killed_in_the_middle_of_up(root: Path, tmp_path: Path) -> None:
    first = start_daemon(root)
    assert first.docker("pull", "busybox").returncode == 0
    project = Project(first, tmp_path)
    text = """
name: killed
services:
  db:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    healthcheck: {test: 'false', interval: 100ms, retries: 10000}
  web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {db: {condition: service_healthy}}}
"""
    project.write(text)
    process = project.popen("up", "-d")
    assert process.stderr is not None
    for line in process.stderr:
        if "killed-db-1  Waiting" in line:
            first.kill()
            break
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "daemon" in said or "engine" in said
    second = start_daemon(root)
    try:
        project = Project(second, tmp_path)
        project.write(text.replace("service_healthy", "service_started"))
        project.run("up", "-d")
        assert len(project.ids()) == 2
        project.run("down", "-v", "-t", "0")
        assert project.ids("-a") == []
    finally:
        assert second.stop() == 0
