"""Stay with a process in the foreground: its terminal shown on ours, our signals passed on, its status ours.

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

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def attend(pid: int, master: int) -> int:
    """Wait for a child; return its exit status, 128 + signal where one ended it.

    Args:
        pid: A child of this process.
        master: Of its pty, or -1 where it has our stdio.
    """
    pidfd = syscalls.pidfd_open(pid)

    def forward(signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, signum)

    for signum in FORWARDED:
        signal.signal(signum, forward)
    if master >= 0:
        with _raw(master):
            _relay(master, pidfd)
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
