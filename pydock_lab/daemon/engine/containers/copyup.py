"""Filling an empty volume with what the image has at its place, owners and modes included.

Reads the merged view of the layers, so no container has to run for it.
Source: moby daemon/volumes_unix.go, container/container_unix.go (CopyImagePathContent).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from pydock_lab.daemon.builder.rootfs import Place, Rootfs, WritableRootfs


def copy_up(layers: Sequence[Path], path: str, target: Path, *, rootless: bool) -> bool:
    """Copy a directory of an image into an empty one; nothing happens where the image has none (blocking).

    Args:
        layers: The image's layer directories, topmost first.
        path: Absolute in the image; links are followed inside it.
        target: Absolute on the host; takes the owner and mode of the image's directory too.
        rootless: Owners that are not mapped are left out.

    Returns:
        Whether the image has a directory there.
    """
    image = Rootfs(layers, rootless=rootless)
    try:
        top = image.resolve(path) if layers else None
    except OSError:
        return False
    if top is None or not top.is_directory:
        return False
    copies = WritableRootfs(target, (), rootless=rootless)
    directories = [(target, top)]
    linked: dict[tuple[int, int], Path] = {}
    for place in image.walk(top):
        real = target / os.path.relpath(place.path, top.path)
        inode = (place.status.st_dev, place.status.st_ino)
        if inode in linked:
            os.link(linked[inode], real, follow_symlinks=False)
            continue
        if place.is_directory:
            real.mkdir()
            directories.append((real, place))
            continue
        _make(place, real)
        copies.like(real, place.real[0])
        if place.status.st_nlink > 1:
            linked[inode] = real
    for real, place in reversed(directories):
        # Last, because filling a directory changes its times.
        copies.like(real, place.real[0])
    return True


def _make(place: Place, real: Path) -> None:
    source, kind = place.real[0], stat.S_IFMT(place.status.st_mode)
    if kind == stat.S_IFREG:
        shutil.copyfile(source, real, follow_symlinks=False)
    elif kind == stat.S_IFLNK:
        real.symlink_to(source.readlink())
    elif kind == stat.S_IFIFO:
        os.mkfifo(real)
    else:
        os.mknod(real, place.status.st_mode, place.status.st_rdev)
