"""`pydock` on a real pseudo-terminal: -it, its size, Ctrl-C, the detach keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import import_image
from tests.conftest import Daemon


class Typist:
    """A pydock on a terminal of 40 rows and 100 columns, and someone who types."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "pydock_lab.client.cli", "-H", daemon.host, *words]
            time.sleep(0.1)  # the size is set by then
            os.execv(sys.executable, command)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, text: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.terminal, 65536)

    def end(self, timeout_s: float = 30) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.terminal, 65536)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                os.close(self.terminal)
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(self.seen)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.terminal)


@pytest.fixture(autouse=True, scope="module")
def image(daemon: Daemon, rootfs_tar: Path) -> None:
    import_image(daemon, rootfs_tar)


@pytest.fixture
def typist(daemon: Daemon) -> Iterator[list[Typist]]:
    """Typists to be closed when the test is over."""
    started: list[Typist] = []
    yield started
    for one in started:
        one.close()


def begin(typist: list[Typist], daemon: Daemon, *words: str) -> Typist:
    typist.append(Typist(daemon, *words))
    return typist[-1]


def test_a_shell_at_work(daemon: Daemon, typist: list[Typist]) -> None:
    shell = begin(typist, daemon, "run", "--rm", "-it", "busybox", "sh")
    shell.type("stty size; echo ab$((1+1))c; exit 4\n")
    assert shell.end() == 4
    assert b"40 100" in shell.seen and b"ab2c" in shell.seen


def test_control_c_reaches_the_process_not_pydock(daemon: Daemon, typist: list[Typist]) -> None:
    shell = begin(typist, daemon, "run", "--rm", "-it", "busybox", "sh")
    shell.type("trap 'echo caught-$((2+3))' INT; echo rea''dy\n")
    shell.wait_for("ready")
    shell.type("\x03")
    shell.wait_for("caught-5")
    shell.type("exit\n")
    assert shell.end() in (0, 130)


def test_detach_keys_leave_it_running_and_attach_comes_back(daemon: Daemon, typist: list[Typist]) -> None:
    shell = begin(typist, daemon, "run", "-it", "--name", "cli-detach", "busybox", "sh")
    try:
        shell.type("echo on''e\n")
        shell.wait_for("one")
        shell.type("\x10\x11")
        assert shell.end() == 0
        assert daemon.docker("inspect", "-f", "{{.State.Running}}", "cli-detach").stdout.strip() == "true"
        again = begin(typist, daemon, "attach", "cli-detach")
        time.sleep(0.5)
        again.type("echo tw''o; exit\n")
        again.wait_for("two")
        assert again.end() == 0
    finally:
        daemon.docker("rm", "-f", "cli-detach")


def test_exec_on_a_terminal(daemon: Daemon, typist: list[Typist]) -> None:
    daemon.docker("run", "-d", "--name", "cli-exec", "busybox", "sleep", "1000")
    try:
        shell = begin(typist, daemon, "exec", "-it", "cli-exec", "sh", "-c", "tty; stty size; exit 3")
        assert shell.end() == 3
        assert b"/dev/pts/" in shell.seen and b"40 100" in shell.seen
    finally:
        daemon.docker("rm", "-f", "cli-exec")


def test_interrupting_a_foreground_run_is_the_containers_affair(daemon: Daemon, typist: list[Typist]) -> None:
    script = "trap 'echo got-it; exit 9' INT; echo up; while :; do sleep 0.1; done"
    run = begin(typist, daemon, "run", "--rm", "busybox", "sh", "-c", script)
    run.wait_for("up")
    run.type("\x03")
    assert run.end() == 9
    assert b"got-it" in run.seen
