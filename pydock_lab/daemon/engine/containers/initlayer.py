"""The layer between an image and its containers: the places that every container mounts on.

Without it /proc, /dev and the files of /etc that are mounted over would appear
in every container's own layer, in `docker diff` and in every commit. One per
image, made with the first container. Source: moby daemon/initlayer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pydock_lab.daemon.builder.rootfs import WritableRootfs

_DIRECTORIES = ("/dev/pts", "/dev/shm", "/proc", "/sys")
# Many programs tell by .dockerenv that they run in a container.
_FILES = ("/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
_LINKS = {"/etc/mtab": "/proc/mounts"}


class InitLayers:
    """The init layers of one data root.

    Args:
        home: Absolute directory that holds them.
        rootless: This process is root in a user namespace only.
    """

    def __init__(self, home: Path, *, rootless: bool) -> None:
        self._home = home
        self._rootless = rootless

    def path(self, chain_id: str | None) -> Path:
        """Return where the init layer of a stack of layers is, or will be."""
        return self._home / (chain_id or "scratch").removeprefix("sha256:")

    def provide(self, chain_id: str | None, layers: list[Path]) -> None:
        """Make the init layer of a stack if it is not there.

        Args:
            chain_id: Of the image's top layer.
            layers: Its layer directories, topmost first.
        """
        target = self.path(chain_id)
        if target.is_dir():
            return
        scratch = target.with_name(f".{target.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o755)
        rootfs = WritableRootfs(scratch, layers, rootless=self._rootless)
        for path in _DIRECTORIES:
            rootfs.real_directory(path)
        for path in _FILES:
            if place := _missing(rootfs, path):
                place.touch(mode=0o755)
        for path, aim in _LINKS.items():
            if place := _missing(rootfs, path):
                place.symlink_to(aim)
        scratch.rename(target)

    def sweep(self, used: Iterable[str | None]) -> None:
        """Remove the init layers of stacks that no container uses any more."""
        kept = {self.path(chain_id).name for chain_id in used}
        for directory in self._home.glob("*"):
            if directory.name not in kept:
                shutil.rmtree(directory, ignore_errors=True)


def _missing(rootfs: WritableRootfs, path: str) -> Path | None:
    """Return where to make a path that the image does not have; None where it has it."""
    head, _, name = path.rpartition("/")
    try:
        if rootfs.resolve(path, follow=False) is not None:
            return None
    except OSError:  # through a file
        return None
    return rootfs.real_directory(head or "/") / name
