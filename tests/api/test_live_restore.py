"""`--live-restore`: containers outlive their daemon, killed or stopped, and the next one takes them up as they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.wire import eventually
from tests.conftest import Daemon, Footprint, start_daemon

pytestmark = pytest.mark.root

FLAGS = ("--live-restore",)


def run(daemon: Daemon, *arguments: str) -> str:
    done = daemon.docker(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Life:
    """Daemons that come one after the other on the same roots."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = start_daemon(root, *FLAGS)

    def go(self, how: str) -> None:
        if how == "kill":
            self.now.kill()
        else:
            assert self.now.stop() == 0

    def again(self) -> Daemon:
        self.now = start_daemon(self.root, *FLAGS)
        return self.now


@pytest.fixture
def life() -> Iterator[Life]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    made = Life(root)
    try:
        run(made.now, "pull", "-q", "busybox")
        yield made
        ids = run(made.now, "ps", "-aq").split()
        if ids:
            run(made.now, "rm", "-f", *ids)
        made.now.stop()
        # One that does not live on leaves nothing.
        assert start_daemon(root).stop() == 0
        assert Footprint.of(root) == Footprint()
    finally:
        if made.now.process.poll() is None:
            made.now.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_container_goes_on(life: Life, how: str) -> None:
    script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"
    run(life.now, "run", "-d", "--name", "chatty", "-p", "127.0.0.1::8000", "busybox", "sh", "-c", script)
    facts = "{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}} {{json .NetworkSettings.Ports}}"
    before = run(life.now, "inspect", "-f", facts, "chatty")
    life.go(how)
    assert Path(f"/proc/{before.split()[0]}").exists()
    second = life.again()
    assert run(second, "inspect", "-f", facts, "chatty") == before
    eventually(lambda: int(run(second, "logs", "--tail", "1", "chatty").split()[1]) > 1)
    numbers = [int(line.split()[1]) for line in run(second, "logs", "chatty").splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert run(second, "exec", "chatty", "cat", "/proc/1/comm") == "sh"
    assert int(run(second, "stats", "--no-stream", "--format", "{{.PIDs}}", "chatty")) >= 1
    run(second, "kill", "chatty")
    assert run(second, "wait", "chatty") == "137"
    assert run(second, "inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", "chatty") == "137 exited"


def test_a_published_port_answers_again(life: Life) -> None:
    serve = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 8000; done"
    run(life.now, "run", "-d", "--name", "web", "-p", "127.0.0.1::8000", "busybox", "sh", "-c", serve)
    port = run(life.now, "port", "web", "8000").rpartition(":")[2]

    def answer() -> bool:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2) as response:
                return bool(response.read() == b"hello")
        return False

    eventually(answer)
    life.go("kill")
    life.again()
    eventually(answer)


def test_what_ended_meanwhile_is_known(life: Life) -> None:
    wait = "while [ ! -e /gate/open ]; do sleep 0.02; done"
    gate = life.root / "gate"
    gate.mkdir()
    mount = ("-v", f"{gate}:/gate")
    run(life.now, "run", "-d", "--name", "ended", *mount, "busybox", "sh", "-c", f"{wait}; echo last words; exit 7")
    run(life.now, "run", "-d", "--rm", "--name", "gone", *mount, "busybox", "sh", "-c", wait)
    run(life.now, "run", "-d", "--restart", "always", "--name", "again", *mount, "busybox", "sh", "-c",
        f"echo up; {wait}; rm /gate/closed 2>/dev/null && exit 1; sleep 1000")  # fmt: skip
    run(life.now, "run", "-d", "--restart", "on-failure", "--name", "tries", "busybox", "sh", "-c", "echo x; exit 3")
    state = "{{.State.Status}} {{.State.ExitCode}}"
    # It waits for its next start when the daemon ends.
    eventually(lambda: int(run(life.now, "inspect", "-f", "{{.RestartCount}}", "tries")) > 3)
    eventually(lambda: run(life.now, "inspect", "-f", state, "tries") == "restarting 3")
    tries = len(run(life.now, "logs", "tries"))
    pids = run(life.now, "inspect", "-f", "{{.State.Pid}}", "ended", "gone").split()
    (gate / "closed").touch()
    life.go("stop")
    (gate / "open").touch()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    second = life.again()
    assert run(second, "inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", "ended") == "7 exited"
    assert run(second, "logs", "ended") == "last words"
    assert second.docker("inspect", "gone").returncode == 1
    eventually(lambda: run(second, "inspect", "-f", "{{.State.Status}}", "again") == "running")
    eventually(lambda: run(second, "logs", "again") == "up\nup")
    eventually(lambda: run(second, "inspect", "-f", state, "tries") == "restarting 3")
    assert len(run(second, "logs", "tries")) > tries


def test_an_exit_is_kept_when_the_keeper_has_ended_too(life: Life) -> None:
    run(life.now, "run", "-d", "--name", "ended", "busybox", "sh", "-c", "sleep 0.5; exit 9")
    life.go("kill")
    # With no daemon and nothing to keep, the keeper ends after a while.
    socket = life.root / "exec" / "keeper.sock"
    eventually(lambda: not listening(socket))
    second = life.again()
    assert run(second, "inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", "ended") == "9 exited"


def listening(socket: Path) -> bool:
    return str(socket) in Path("/proc/net/unix").read_text()
