"""What a container keeps on disk beside its image: its directory and its volumes.

An empty volume is filled with what the image has at its place (copy-up), read
from inside the container's root so that links can't lead out of it.
Source: moby daemon/volumes_unix.go, container_unix.go (CopyImagePathContent).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.record import Container, MountPoint
from pydock_lab.daemon.engine.volumes import Volumes
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store import archive
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import Conflict, NotFound


class ContainerStorage:
    """Makes, fills and removes what containers keep."""

    def __init__(
        self, config: DaemonConfig, launcher: Launcher, layers: LayerStore, volumes: Volumes, runtime: Runtime
    ) -> None:
        self._config = config
        self._launcher = launcher
        self._layers = layers
        self._volumes = volumes
        self._runtime = runtime
        self._trash = config.data_root / "containers" / ".trash"
        self._emptying: asyncio.Task[None] | None = None

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
        if point.copy and not point.subpath and self._image_has(container, point.destination):
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
        if self._emptying is not None:
            await self._emptying

    async def _empty_trash(self) -> None:
        while names := [entry.name for entry in self._trash.iterdir()]:
            await asyncio.to_thread(_remove_trees, self._trash, names)

    def _image_has(self, container: Container, path: str) -> bool:
        """Return whether any layer speaks of a path; links on the way are the copy's concern."""
        first, rest = path.lstrip("/").split("/", 1)[0], path.lstrip("/")
        for lower in self._layers.lower_paths(container.record.chain_id):
            if os.path.lexists(lower / rest) or (lower / first).is_symlink():
                return True
        return False

    async def _fill(self, container: Container, point: MountPoint, root: Path) -> None:
        """Copy the image's directory into an empty volume, its owner and mode included."""
        if any(root.iterdir()):
            return
        # Filled beside the volume and renamed into its place: a half-copied volume is never seen.
        scratch = root.parent / ".filling"
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        reader, writer = os.pipe()
        unpacking = asyncio.create_task(asyncio.to_thread(_unpack, reader, scratch, self._config.rootless))
        try:
            request = self._launcher.request(container, [])
            # Only the image is of interest, and the other mounts are not there yet.
            bare = replace(request, config={**request.config, "mounts": []})
            await self._runtime.archive("get", writer, bare, pid=None, path=point.destination)
        except NotFound:
            os.close(writer)
            await asyncio.wait([unpacking])
        else:
            os.close(writer)
            await unpacking
            for copied in scratch.iterdir():
                if copied.is_dir() and not copied.is_symlink():
                    root.rmdir()
                    copied.rename(root)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _unpack(reader: int, target: Path, rootless: bool) -> None:
    with os.fdopen(reader, "rb") as stream:
        archive.unpack(stream, target, rootless=rootless)


def _remove_trees(parent: Path, names: list[str]) -> None:
    for name in names:
        shutil.rmtree(parent / name, ignore_errors=True)
