"""The mode of a file as Go's os.FileMode has it, which is what fsutil sends, and as stat(2) has it.

Source: Go's io/fs, FileMode.
"""

from __future__ import annotations

import stat

_DIRECTORY, _LINK, _DEVICE, _PIPE, _SOCKET = (1 << bit for bit in (31, 27, 26, 25, 24))
_SETUID, _SETGID, _CHARACTER, _STICKY, _IRREGULAR = (1 << bit for bit in (23, 22, 21, 20, 19))
_KIND_BITS = _DIRECTORY | _LINK | _DEVICE | _PIPE | _SOCKET | _CHARACTER | _IRREGULAR
_KINDS = {_DIRECTORY: stat.S_IFDIR, _LINK: stat.S_IFLNK, _PIPE: stat.S_IFIFO, 0: stat.S_IFREG}
_SPECIAL = {_SETUID: stat.S_ISUID, _SETGID: stat.S_ISGID, _STICKY: stat.S_ISVTX}


def unix_mode(mode: int) -> int | None:
    """Turn Go's mode into that of stat(2); None for devices and sockets, which no build copies."""
    kind = _KINDS.get(mode & _KIND_BITS)
    if kind is None:
        return None
    return kind | sum(unix for go, unix in _SPECIAL.items() if mode & go) | mode & 0o777


def go_mode(mode: int) -> int | None:
    """Turn a mode of stat(2) into Go's; None for devices and sockets."""
    kind = next((go for go, unix in _KINDS.items() if unix == stat.S_IFMT(mode)), None)
    if kind is None:
        return None
    return kind | sum(go for go, unix in _SPECIAL.items() if mode & unix) | mode & 0o777
