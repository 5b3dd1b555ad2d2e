"""The files of a container: `docker cp`, `export`, `diff`, and how much it wrote.

Paths are resolved by the runtime from inside the container's root; here are
only Docker's words around it. Source: moby daemon/archive.go, export.go, changes.go.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.containers import sources
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import InvalidParameter, NotFound

_KINDS = {"C": 0, "A": 1, "D": 2}


class ContainerFiles:
    """Reads and writes inside containers, running or not."""

    def __init__(self, launcher: Launcher, layers: LayerStore, runtime: Runtime) -> None:
        self._launcher = launcher
        self._layers = layers
        self._runtime = runtime

    async def stat(self, container: Container, path: str) -> dict[str, Any]:
        """Return Docker's PathStat. Raises NotFound."""
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            return await self._archive(container, "stat", nothing, path)
        finally:
            os.close(nothing)

    async def get(self, container: Container, path: str, fd: int) -> dict[str, Any]:
        """Write a tar of `path` to fd. Raises NotFound."""
        return await self._archive(container, "get", fd, path)

    async def put(self, container: Container, path: str, fd: int, *, no_overwrite: bool, copy_uid_gid: bool) -> None:
        """Unpack a tar read from fd into the directory `path`. Raises NotFound / InvalidParameter."""
        _check_writable(container, path)
        options: dict[str, object] = {"no_overwrite_dir_non_dir": no_overwrite, "copy_uid_gid": copy_uid_gid}
        await self._archive(container, "put", fd, path, options)

    async def export(self, container: Container, fd: int) -> None:
        """Write a tar of the whole root to fd."""
        await self._archive(container, "export", fd, "/")

    async def changes(self, container: Container) -> list[dict[str, Any]]:
        """Return what the container did to its image, as `docker diff` shows it."""
        upper = self._launcher.upper(container.id)
        changes = await asyncio.to_thread(self._layers.diff, upper, container.record.chain_id)
        return [{"Path": change.path, "Kind": _KINDS[change.kind]} for change in changes]

    async def size_rw(self, container: Container) -> int:
        """Return the bytes in its writable layer."""
        return await asyncio.to_thread(_tree_size, self._launcher.upper(container.id))

    async def size_root(self, container: Container, size_rw: int) -> int:
        """Return the bytes of its image and its writable layer together."""

        def below() -> int:
            total, chain_id = 0, container.record.chain_id
            while chain_id is not None:
                layer = self._layers.get(chain_id)
                total, chain_id = total + layer.size, layer.parent
            return total

        return size_rw + await asyncio.to_thread(below)

    async def _archive(
        self, container: Container, operation: str, fd: int, path: str, options: dict[str, object] | None = None
    ) -> dict[str, Any]:
        if not path:
            raise InvalidParameter("path cannot be empty")
        absolute = path if path.startswith("/") else f"/{path}"
        pid = container.state.pid if container.state.running else None
        if pid is None:
            for point in container.record.mounts:
                sources.resolve(point)
        try:
            return await self._runtime.archive(
                operation,
                fd,
                self._launcher.request(container, []),
                pid=pid,
                path=absolute,
                options=options,
            )
        except NotFound as error:
            raise NotFound(f"Could not find the file {path} in container {container.name}", hint=error.hint) from None


def _check_writable(container: Container, path: str) -> None:
    """Refuse to write to a read-only volume or root. Raises InvalidParameter."""
    absolute = posixpath.normpath("/" + path.lstrip("/")) + "/"
    inside = [point for point in container.record.mounts if absolute.startswith(f"{point.destination}/")]
    if inside:
        if not max(inside, key=lambda point: len(point.destination)).rw:
            raise InvalidParameter("mounted volume is marked read-only")
    elif container.record.host_config["ReadonlyRootfs"]:
        raise InvalidParameter("container rootfs is marked read-only")


def _tree_size(top: Path) -> int:
    total = 0
    for directory, _, files in os.walk(top):
        for name in files:
            try:
                total += Path(directory, name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
