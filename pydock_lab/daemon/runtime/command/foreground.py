"""Stay with a process in the foreground: its terminal or pipes shown on ours, our signals passed on, its status ours.

A process without a terminal gets pipes, not our own stdio: they can be given to
its user, who may then open /dev/stdout again, and nothing of the caller's changes hands.

Source: what `runc run` does without `--detach`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

from pydock_lab.daemon.linux import pty, syscalls
from pydock_lab.daemon.runtime.channel import close_all
from pydock_lab.daemon.runtime.command.launch import Console

_CHUNK_BYTES = 65536
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Pipes:
    """The pipes of a process without a terminal."""

    def __init__(self) -> None:
        self._input, self._output, self._errors = (os.pipe2(os.O_CLOEXEC) for _ in range(3))

    @property
    def theirs(self) -> tuple[int, int, int]:
        """What are to be the process's fds 0, 1 and 2."""
        return self._input[0], self._output[1], self._errors[1]

    def copy(self) -> None:
        """Copy our stdin in, and its output out, until nobody holds the other ends of stdout and stderr."""
        close_all(self.theirs)
        stdin, pending = self._input[1], b""
        os.set_blocking(stdin, False)
        outputs = {self._output[0]: 1, self._errors[0]: 2}
        while outputs:
            reads = [*outputs, *([0] if stdin >= 0 and not pending else [])]
            readable, writable, _ = select.select(reads, [stdin] if pending else [], [])
            if 0 in readable and not (pending := _read(0)):
                close_all([stdin])
                stdin = -1
            if writable:
                try:
                    pending = pending[os.write(stdin, pending) :]
                except OSError:  # EPIPE: it reads no more
                    close_all([stdin])
                    stdin, pending = -1, b""
            for fd in outputs.keys() & readable:
                if not (chunk := _read(fd)) or not _write(outputs[fd], chunk):
                    os.close(fd)
                    del outputs[fd]
        close_all([stdin])


def _read(fd: int) -> bytes:
    """Read a chunk; nothing where there is no such fd."""
    try:
        return os.read(fd, _CHUNK_BYTES)
    except OSError:
        return b""


def _write(fd: int, data: bytes) -> bool:
    """Write it all; False where nobody reads it."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except OSError:
            return False
    return True


def attend(pid: int, console: Console, pipes: Pipes | None) -> int:
    """Wait for a child; return its exit status, 128 + signal where one ended it.

    Args:
        pid: A child of this process.
        console: Its terminal, if it has one.
        pipes: Else its stdio.
    """
    pidfd = syscalls.pidfd_open(pid)

    def forward(signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signum)

    for signum in FORWARDED:
        signal.signal(signum, forward)
    if console.master >= 0:
        with _raw(console.master):
            _relay(console.master, pidfd)
    elif pipes is not None:
        pipes.copy()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _raw(master: int) -> Iterator[None]:
    """Put our terminal, if we have one, into raw mode, and keep the master at its size."""
    if not sys.stdin.isatty():
        yield
        return

    def resize(signum: int = 0, frame: FrameType | None = None) -> None:
        size = os.get_terminal_size(0)
        pty.set_size(master, size.lines, size.columns)

    resize()
    signal.signal(signal.SIGWINCH, resize)
    saved = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def _relay(master: int, pidfd: int) -> None:
    """Copy between our stdio and a pty until nobody holds its other side."""
    sources = [master, 0, pidfd]
    while True:
        ready = select.select(sources, [], [])[0]
        if master in ready:
            try:
                os.write(1, os.read(master, 65536))
            except OSError:  # EIO: the last holder of the other side has closed it
                return
        elif pidfd in ready:
            return
        if 0 in ready:
            data = os.read(0, 65536)
            if data:
                os.write(master, data)
            else:
                sources.remove(0)
