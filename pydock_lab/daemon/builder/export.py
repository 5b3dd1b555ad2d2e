"""A stack of layers as one tar: the root file system that `build --output type=local` and `tar` write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.daemon.builder.rootfs import Place, Rootfs
from pydock_lab.daemon.store.owners import noted_owner
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import BLOCK, END, Entry

_CHUNK = 1 << 20
_TYPES = {
    stat.S_IFREG: tarformat.REGULAR,
    stat.S_IFDIR: tarformat.DIRECTORY,
    stat.S_IFLNK: tarformat.SYMLINK,
    stat.S_IFIFO: tarformat.FIFO,
    stat.S_IFCHR: tarformat.CHARACTER,
    stat.S_IFBLK: tarformat.BLOCK_DEVICE,
}


def merged_tar(layers: list[Path], *, rootless: bool = False) -> Iterator[bytes]:
    """Yield the tar of what the layers, topmost first, look like together; reads as it goes."""
    if layers:
        rootfs = Rootfs(layers, rootless=rootless)
        linked: dict[tuple[int, int], str] = {}
        for place in rootfs.walk(rootfs.root):
            yield from _member(place, linked)
    yield END


def _member(place: Place, linked: dict[tuple[int, int], str]) -> Iterator[bytes]:
    status, kind = place.status, stat.S_IFMT(place.status.st_mode)
    if kind not in _TYPES:
        return
    name = place.path.lstrip("/")
    owner = noted_owner(place.real[0]) or (status.st_uid, status.st_gid)
    entry = Entry(
        f"{name}/" if kind == stat.S_IFDIR else name,
        _TYPES[kind],
        mode=stat.S_IMODE(status.st_mode),
        uid=owner[0],
        gid=owner[1],
        mtime_ns=status.st_mtime_ns // 10**9 * 10**9,
    )
    if kind == stat.S_IFLNK:
        entry.linkname = str(place.real[0].readlink())
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind != stat.S_IFREG:
        yield tarformat.encode(entry)
        return
    inode = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and inode in linked:
        entry.type, entry.linkname = tarformat.LINK, linked[inode]
        yield tarformat.encode(entry)
        return
    linked[inode] = name
    entry.size = status.st_size
    yield tarformat.encode(entry)
    with place.real[0].open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
    yield bytes(-entry.size % BLOCK)
