"""What is left of containers when a daemon ends well, badly, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.wire import UPGRADE, Wire, eventually, frames
from tests.conftest import Daemon, Footprint, start_daemon

pytestmark = pytest.mark.root


@pytest.fixture
def root() -> Iterator[Path]:
    """A scratch root for daemons that come one after the other."""
    path = Path(tempfile.mkdtemp(prefix="pd-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def state(daemon: Daemon, name: str) -> str:
    done = daemon.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)
    return done.stdout.strip()


def run(daemon: Daemon, *arguments: str) -> str:
    done = daemon.docker(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_kill_9_of_the_daemon(root: Path) -> None:
    first = start_daemon(root)
    run(first, "pull", "busybox")
    run(first, "run", "-d", "--name", "plain", "busybox", "sleep", "600")
    run(first, "run", "-d", "--name", "again", "--restart", "always", "busybox", "sh", "-c", "echo x; sleep 600")
    run(first, "run", "-d", "--name", "halted", "--restart", "unless-stopped", "busybox", "sleep", "600")
    run(first, "stop", "-t", "0", "halted")
    run(first, "run", "-d", "--rm", "--name", "gone", "-v", "/data", "busybox", "sleep", "600")
    first.docker("run", "--name", "done", "busybox", "sh", "-c", "echo kept; exit 3")
    first.kill()

    second = start_daemon(root)
    try:
        assert state(second, "plain") == "exited 137"
        assert state(second, "halted") == "exited 137"
        assert state(second, "done") == "exited 3"
        assert run(second, "logs", "done") == "kept"
        assert second.docker("inspect", "gone").returncode == 1
        assert run(second, "volume", "ls", "-q") == ""
        eventually(lambda: state(second, "again") == "running 0")
        eventually(lambda: run(second, "logs", "again") == "x\nx")
        run(second, "start", "plain")
        assert state(second, "plain") == "running 0"
        assert run(second, "exec", "plain", "echo", "hi") == "hi"
        run(second, "rm", "-f", "plain", "again", "halted", "done")
    finally:
        assert second.stop() == 0
    assert Footprint.of(root) == Footprint((), (), (), ())


def test_a_directory_without_a_record_is_swept(root: Path) -> None:
    first = start_daemon(root)
    first.kill()
    half_made = root / "data" / "containers" / ("f" * 64)
    (half_made / "diff").mkdir(parents=True)
    second = start_daemon(root)
    try:
        eventually(lambda: not half_made.exists())
        trash = root / "data" / "containers" / ".trash"
        eventually(lambda: list(trash.iterdir()) == [])
    finally:
        second.stop()


def test_a_daemon_that_ends_well_stops_its_containers(root: Path) -> None:
    first = start_daemon(root)
    run(first, "pull", "busybox")
    script = "trap 'exit 9' TERM; echo up; while true; do sleep 0.05; done"
    run(first, "run", "-d", "--name", "polite", "--restart", "unless-stopped", "busybox", "sh", "-c", script)
    eventually(lambda: run(first, "logs", "polite") == "up")
    assert first.stop() == 0
    assert Footprint.of(root) == Footprint((), (), (), ())
    second = start_daemon(root)
    try:
        # It was running when the daemon ended, and nobody stopped it by hand.
        eventually(lambda: state(second, "polite") == "running 0")
        run(second, "rm", "-f", "polite")
    finally:
        second.stop()


def test_live_restore(root: Path) -> None:
    first = start_daemon(root, "--live-restore")
    run(first, "pull", "busybox")
    script = "read x; echo got $x; exit 6"
    run(first, "run", "-d", "-i", "--name", "survivor", "busybox", "sh", "-c", script)
    pid = run(first, "inspect", "-f", "{{.State.Pid}}", "survivor")
    first.kill()
    assert Path(f"/proc/{pid}").exists()
    second = start_daemon(root, "--live-restore")
    with contextlib.ExitStack() as stack:
        stack.callback(second.stop)
        stack.callback(lambda: second.docker("rm", "-f", "survivor"))
        assert run(second, "inspect", "-f", "{{.State.Pid}}", "survivor") == pid
        assert run(second, "exec", "survivor", "echo", "hi") == "hi"
        with contextlib.closing(Wire(second)) as wire:
            wire.send("POST", "/containers/survivor/attach?stream=1&stdin=1&stdout=1", *UPGRADE, then=b"one\n")
            wire.head()
            assert frames(wire.rest()) == {1: b"got one\n"}
        assert run(second, "wait", "survivor") == "6"
        assert run(second, "logs", "survivor") == "got one"


def test_a_keeper_that_dies_is_replaced(root: Path) -> None:
    """Its containers are gone with it; everything else goes on, and a restart policy holds."""
    daemon = start_daemon(root)
    try:
        run(daemon, "pull", "busybox")
        started = ("run", "-d", "--stop-timeout", "0")
        run(daemon, *started, "--name", "plain", "busybox", "sleep", "600")
        run(daemon, *started, "--name", "again", "--restart", "always", "busybox", "sleep", "600")
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
        (keeper,) = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "pydock-keeper\n"]
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: state(daemon, "plain") == "exited 137")
        eventually(lambda: state(daemon, "again") == "running 0")
        assert run(daemon, "exec", "again", "echo", "here") == "here"
        assert run(daemon, "run", "--rm", "busybox", "echo", "on") == "on"
        run(daemon, "start", "plain")
        assert state(daemon, "plain") == "running 0"
        assert "the keeper has ended" in daemon.log
    finally:
        daemon.stop()
    assert Footprint.of(root) == Footprint()
