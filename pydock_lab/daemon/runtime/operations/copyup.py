"""What lies in a directory, into the tmpfs that is mounted over it: podman's `tmpcopyup`.

By system calls alone: nothing may be imported where the container's files are seen.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

_CHUNK_BYTES = 1 << 20


def copy_below(source: int, target: int) -> None:
    """Copy the entries of a directory with owners, modes and times.

    Args:
        source: fd of a directory.
        target: fd of an empty one.
    """
    for name in os.listdir(source):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with _opened(name, os.O_DIRECTORY, source) as below, _opened(name, os.O_DIRECTORY, target) as there:
                copy_below(below, there)
        elif stat.S_ISREG(status.st_mode):
            with _opened(name, 0, source) as data, _opened(name, os.O_WRONLY | os.O_CREAT, target) as there:
                while chunk := os.read(data, _CHUNK_BYTES):
                    os.write(there, chunk)
        else:
            with contextlib.suppress(PermissionError):
                os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        _dress(name, target, status)


@contextlib.contextmanager
def _opened(name: str, flags: int, directory: int) -> Iterator[int]:
    fd = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _dress(name: str, directory: int, status: os.stat_result) -> None:
    """Give a copy what the original has; an owner who isn't mapped can't be given."""
    with contextlib.suppress(OSError):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=directory)
    with contextlib.suppress(FileNotFoundError):
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)
