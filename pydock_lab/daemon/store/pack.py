"""The tar of a directory of changes, the same bytes for the same files.

Entries come in the order of their names, without access times, user names or
fractions of a second, in the form OCI image-spec layer.md describes: overlayfs'
0:0 devices and opaque attribute become `.wh.` entries. The way back is archive.py.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.daemon.store.archive import OPAQUE, PRIVATE_XATTRS, WHITEOUT, is_whiteout, opaque_xattr
from pydock_lab.daemon.store.owners import read_note
from pydock_lab.daemon.store.tree import names as names_in
from pydock_lab.errors import SystemFailure
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry

_CHUNK = 256 << 10
_SECOND = 1_000_000_000
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SPECIAL = {
    stat.S_IFLNK: tarformat.SYMLINK,
    stat.S_IFCHR: tarformat.CHARACTER,
    stat.S_IFBLK: tarformat.BLOCK_DEVICE,
    stat.S_IFIFO: tarformat.FIFO,
}
# Attributes that travel with a layer; others (security.selinux, system.posix_acl_*) are the host's own.
_KEPT_XATTRS = ("security.capability", "user.")


class Packer:
    """Turns one directory into one tar.

    Args:
        root: Absolute; a process may change it meanwhile (a commit), no path is followed out of it.
        rootless: The opaque attribute is the user's, not the system's.

    Attributes:
        size: Bytes as Docker counts a layer's, once `chunks` is through.
    """

    def __init__(self, root: Path, *, rootless: bool = False) -> None:
        self._root = root
        self._opaque = opaque_xattr(rootless)
        self._linked: dict[tuple[int, int], str] = {}
        self.size = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar in pieces of some 256 KiB."""
        buffer = bytearray()
        for piece in self._pieces():
            buffer += piece
            if len(buffer) >= _CHUNK:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer + tarformat.END)

    def _pieces(self) -> Iterator[bytes]:
        """Walk depth first with an explicit stack: a container may nest deeper than Python recurses."""
        root = os.open(self._root, _OPEN | os.O_DIRECTORY)
        stack = [(root, "", iter(names_in(root)))]
        try:
            while stack:
                fd, prefix, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        below = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=fd)
                        stack.append((below, f"{prefix}{name}/", iter(names_in(below))))
                        yield from self._directory(below, f"{prefix}{name}/", status)
                    else:
                        yield from self._other(fd, prefix, name, status)
                except FileNotFoundError:
                    continue  # gone while a running container is committed
        finally:
            for fd, _, _ in stack:
                os.close(fd)

    def _directory(self, fd: int, path: str, status: os.stat_result) -> Iterator[bytes]:
        xattrs = _read_xattrs(fd)
        yield tarformat.encode(_entry(path, tarformat.DIRECTORY, status, xattrs))
        if xattrs.get(self._opaque) == b"y":
            yield tarformat.encode(_marker(path + OPAQUE, status))

    def _other(self, fd: int, prefix: str, name: str, status: os.stat_result) -> Iterator[bytes]:
        path = prefix + name
        if is_whiteout(status):
            yield tarformat.encode(_marker(prefix + WHITEOUT + name, status))
            return
        if stat.S_ISSOCK(status.st_mode):
            return  # a socket is nothing without its process
        if status.st_nlink > 1:
            first = self._linked.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                yield tarformat.encode(_entry(path, tarformat.LINK, status, {}, linkname=first))
                return
        self.size += status.st_size
        if stat.S_ISREG(status.st_mode):
            yield from self._regular(fd, path, name)
            return
        xattrs = _read_xattrs(f"/proc/self/fd/{fd}/{name}")
        link = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else ""
        yield tarformat.encode(_entry(path, _SPECIAL[stat.S_IFMT(status.st_mode)], status, xattrs, linkname=link))

    def _regular(self, parent: int, path: str, name: str) -> Iterator[bytes]:
        fd = os.open(name, _OPEN, dir_fd=parent)
        try:
            status = os.fstat(fd)
            yield tarformat.encode(_entry(path, tarformat.REGULAR, status, _read_xattrs(fd)))
            left = status.st_size
            while left:
                # What a running process cuts off meanwhile is zeros in the tar, as with GNU tar.
                data = os.read(fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK))
                left -= len(data)
                yield data
            yield bytes(-status.st_size % tarformat.BLOCK)
        finally:
            os.close(fd)


def _entry(path: str, kind: str, status: os.stat_result, xattrs: dict[str, bytes], *, linkname: str = "") -> Entry:
    uid, gid = read_note(xattrs) or (status.st_uid, status.st_gid)
    return Entry(
        name=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=uid,
        gid=gid,
        size=status.st_size if kind == tarformat.REGULAR else 0,
        mtime_ns=status.st_mtime_ns // _SECOND * _SECOND,
        linkname=linkname,
        major=os.major(status.st_rdev) if kind in (tarformat.CHARACTER, tarformat.BLOCK_DEVICE) else 0,
        minor=os.minor(status.st_rdev) if kind in (tarformat.CHARACTER, tarformat.BLOCK_DEVICE) else 0,
        xattrs={
            name: value
            for name, value in xattrs.items()
            if name.startswith(_KEPT_XATTRS) and not name.startswith(PRIVATE_XATTRS)
        },
    )


def _marker(path: str, status: os.stat_result) -> Entry:
    """A whiteout: an empty file whose name says it all."""
    return Entry(
        path, mode=0o600, uid=status.st_uid, gid=status.st_gid, mtime_ns=status.st_mtime_ns // _SECOND * _SECOND
    )


def _read_xattrs(target: int | str) -> dict[str, bytes]:
    """Read all attributes of a descriptor, or of a path whose last name is not followed.

    Raises:
        SystemFailure: overlayfs keeps part of the file elsewhere, so this is not all of it.
    """
    try:
        names = os.listxattr(target, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return {}
        raise
    xattrs: dict[str, bytes] = {}
    for name in names:
        if name.endswith((".overlay.redirect", ".overlay.metacopy")):
            option = name.rpartition(".")[2]
            raise SystemFailure(f"overlay was mounted with {option}: its upperdir can't become a layer")
        if name.startswith((*_KEPT_XATTRS, *PRIVATE_XATTRS)):
            xattrs[name] = os.getxattr(target, name, follow_symlinks=isinstance(target, int))
    return xattrs
