"""Learn that a file has grown or that another has come, without asking again and again.

One descriptor serves a whole process: users may have only 128 instances
(/proc/sys/fs/inotify/max_user_instances), but thousands of watches.

Source: inotify(7). Not for trees: a watch sees the entries of one directory.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_IGNORED = 0x8000

_EVENT = struct.Struct("iIII")  # wd, mask, cookie, len
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """One inotify instance; `fd` is readable when something has happened."""

    def __init__(self) -> None:
        self.fd = _check(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def add(self, path: str, mask: int) -> int:
        """Watch a file or directory; return the watch's number. The same path has the same number."""
        return _check(_libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask)), path)

    def remove(self, watch: int) -> None:
        """Watch it no more; no error where it is gone."""
        _libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> Iterator[tuple[int, int]]:
        """Yield (watch, mask) of what has happened."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, offset)
            yield watch, mask
            offset += _EVENT.size + length

    def close(self) -> None:
        """Let go of all watches."""
        os.close(self.fd)


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
