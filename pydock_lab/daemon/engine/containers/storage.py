"""What a container keeps on disk beside its image: its directory and its volumes.

Source: moby daemon/volumes_unix.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine.containers.copyup import copy_up
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.record import Container, MountPoint
from pydock_lab.daemon.engine.volumes import Volumes
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import Conflict, NotFound

_LULL_S = 0.3
"""How long the trash waits: who removes ten containers should not have the disk busy with the first."""


class ContainerStorage:
    """Makes, fills and removes what containers keep."""

    def __init__(self, config: DaemonConfig, launcher: Launcher, layers: LayerStore, volumes: Volumes) -> None:
        self._config = config
        self._launcher = launcher
        self._layers = layers
        self._volumes = volumes
        self._trash = config.data_root / "containers" / ".trash"
        self._emptying: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def provide(self, container: Container, point: MountPoint) -> None:
        """Make the volume of a mount point if it is not there; fill it; write its path into the point.

        Raises:
            InvalidParameter: a bad name, an unknown driver, in Docker's words.
        """
        try:
            volume = self._volumes.resolve(point.name)
        except NotFound:
            volume = await self._volumes.create(
                {
                    "Name": point.name,
                    "Driver": point.driver,
                    "DriverOpts": point.driver_options,
                    "Labels": point.labels,
                },
                anonymous=point.anonymous,
            )
        root = Path(volume["Mountpoint"])
        point.driver = volume["Driver"]
        elsewhere = await self._volumes.attach(point.name)
        if point.copy and not point.subpath and not elsewhere:
            await self._fill(container, point, root)
        point.source = str(root / point.subpath) if point.subpath else str(root)

    def remove(self, container: Container) -> None:
        """Remove the container's directory and let its image's layers go."""
        directory = self._launcher.directory(container.id)
        try:
            # Renamed at once, emptied later: a client that waits for --rm should not wait for rmtree.
            directory.rename(self._trash / container.id)
        except FileNotFoundError:
            pass
        else:
            self.empty_trash()
        self._layers.release(container.id)

    async def remove_volumes(self, container: Container) -> None:
        """Remove the anonymous volumes of a container that is no longer in the table."""
        for point in container.record.mounts:
            if point.type == "volume" and point.anonymous:
                try:
                    await self._volumes.remove(point.name, force=True)
                except Conflict:
                    # Another container uses it (--volumes-from); Docker says nothing either.
                    continue

    def sweep(self, known: set[str]) -> None:
        """Remove the directories of containers that no record speaks of."""
        home = self._config.data_root / "containers"
        home.mkdir(mode=0o710, exist_ok=True)
        self._trash.mkdir(mode=0o700, exist_ok=True)
        for directory in home.iterdir():
            if directory.name not in known and directory != self._trash:
                directory.rename(self._trash / directory.name)
        self.empty_trash()

    def empty_trash(self) -> None:
        """Delete what was thrown away, in the background."""
        if self._emptying is None or self._emptying.done():
            self._emptying = asyncio.create_task(self._empty_trash())

    async def close(self) -> None:
        """Wait until the trash is empty."""
        self._closing.set()
        if self._emptying is not None:
            await self._emptying

    async def _empty_trash(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closing.wait(), _LULL_S)
        while names := [entry.name for entry in self._trash.iterdir()]:
            await asyncio.to_thread(_remove_trees, self._trash, names)

    async def _fill(self, container: Container, point: MountPoint, root: Path) -> None:
        """Copy the image's directory into an empty volume."""
        layers = self._layers.lower_paths(container.record.chain_id)
        await asyncio.to_thread(_fill_if_empty, layers, point.destination, root, self._config.rootless)


def _fill_if_empty(layers: list[Path], path: str, root: Path, rootless: bool) -> None:
    with _alone_with(root.parent):
        if any(root.iterdir()):
            return
        # Filled beside the volume, then moved: what a kill leaves half-copied is never taken for its content.
        # The volume's own directory stays, because a container may have it mounted already.
        scratch = root.with_name(".filling")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o755)
        try:
            if copy_up(layers, path, scratch, rootless=rootless):
                status = scratch.stat()
                for entry in scratch.iterdir():
                    entry.rename(root / entry.name)
                os.chown(root, status.st_uid, status.st_gid)
                shutil.copystat(scratch, root)
                os.utime(root, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _alone_with(directory: Path) -> Iterator[None]:
    """Keep other containers that are made at the same time out of a volume's directory (blocking)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_trees(parent: Path, names: list[str]) -> None:
    for name in names:
        shutil.rmtree(parent / name, ignore_errors=True)
