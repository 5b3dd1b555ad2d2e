"""Pseudo-terminals: open the slave by its master, set the size, become the controlling terminal.

Source: pty(7), ioctl_tty(2).
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios

TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x40045431


def open_peer(master: int) -> int:
    """Unlock a master and return its slave, whatever is mounted at /dev/pts here; close-on-exec."""
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    return fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set the window size; the foreground process group gets SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def make_controlling(fd: int) -> None:
    """Make `fd` the controlling terminal of this session (whose leader is the caller)."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
