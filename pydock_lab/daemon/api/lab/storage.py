"""Where a container's files live: its image's layers, its own writable layer, and what is mounted over them.

    GET /lab/containers/{name}/storage    read when it is asked for; drawn by notebook/views/storage.py

The writable layer is overlayfs's upperdir: a file there that a layer below has too
was copied up when it was first written, a 0:0 character device hides one below
(whiteout). Source: Documentation/filesystems/overlayfs.rst in the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.lab.volumes import open_below
from pydock_lab.daemon.engine.containers.record import MountPoint
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.store.archive import is_whiteout

_FILES = 40
_NAMES = 12
_COUNTED = 20_000

Look = Callable[[], dict[str, Any]]


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route."""

    async def get_storage(request: web.Request) -> web.StreamResponse:
        """One container's storage."""
        look = plan(engine, request.match_info["name"])
        return json_response(await asyncio.to_thread(look))

    return [web.get("/lab/containers/{name}/storage", get_storage)]


def plan(engine: Engine, name: str) -> Look:
    """Ask the engine where the files are (in the event loop); return what then reads them (in a thread).

    Raises:
        NotFound: there is no such container.
    """
    container = engine.containers.table.get(name)
    record, root = container.record, engine.containers.launcher.overlay(container)
    lowers = list(root.lower)
    tmpfs = [MountPoint("tmpfs", destination) for destination in record.host_config.get("Tmpfs") or {}]
    mounts = [*record.mounts, *tmpfs]
    document = {
        "id": container.id,
        "name": container.name,
        "image": record.config.get("Image", ""),
        "state": record.state.status,
        "layers": len(engine.layers.lower_paths(record.chain_id)),
        "auto_remove": bool(record.host_config["AutoRemove"]),
    }
    return lambda: (
        document
        | {
            "upper": {"path": root.upper, **_upper(root.upper, lowers)},
            "mounts": [_mount(mount, lowers) for mount in mounts],
        }
    )


def _upper(upper: str, lowers: list[str]) -> dict[str, Any]:
    """What a container wrote: `A` is new, `C` was copied up, `D` is a whiteout; deepest first come last."""
    files: list[dict[str, Any]] = []
    size = count = 0
    for directory, _, names in os.walk(upper):
        for name in names:
            path = Path(directory, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            inside = f"/{path.relative_to(upper)}"
            kind = "D" if is_whiteout(status) else "C" if _is_below(inside, lowers) else "A"
            size += 0 if kind == "D" else status.st_size
            count += 1
            if len(files) < _FILES:
                files.append({"kind": kind, "path": inside, "size": 0 if kind == "D" else status.st_size})
    return {"size": size, "count": count, "files": sorted(files, key=lambda file: file["path"])}


def _is_below(path: str, lowers: list[str]) -> bool:
    parent, _, name = path.rpartition("/")
    for lower in lowers:
        with contextlib.suppress(OSError):
            directory = open_below(lower, parent)
            try:
                return not is_whiteout(os.stat(name, dir_fd=directory, follow_symlinks=False))
            except FileNotFoundError:
                continue
            finally:
                os.close(directory)
    return False


def _mount(mount: MountPoint, lowers: list[str]) -> dict[str, Any]:
    below = _names_below(mount.destination, lowers)
    return {
        "type": mount.type,
        "name": mount.name,
        "source": mount.source,
        "destination": mount.destination,
        "writable": mount.rw,
        "anonymous": mount.anonymous,
        "image_has": below[:_NAMES],
        "image_has_count": len(below),
        "copied": bool(below) and mount.type == "volume" and mount.copy,
        **_content(mount.source),
    }


def _names_below(destination: str, lowers: list[str]) -> list[str]:
    """What the image has at a path: the names in the topmost layers' directories there."""
    names: dict[str, bool] = {}
    for lower in lowers:
        with contextlib.suppress(OSError):
            directory = open_below(lower, destination)
            try:
                for name in os.listdir(directory):  # noqa: PTH208  # a descriptor
                    names.setdefault(name, not is_whiteout(os.stat(name, dir_fd=directory, follow_symlinks=False)))
            finally:
                os.close(directory)
    return sorted(name for name, is_there in names.items() if is_there)


def _content(source: str) -> dict[str, Any]:
    """How many files lie at a mount's source, and how much; None where that is not to be counted (a tmpfs)."""
    if not source or not Path(source).is_dir():
        single = Path(source).is_file() if source else False
        return {"files": 1 if single else None, "size": Path(source).stat().st_size if single else None, "names": []}
    files = size = 0
    for directory, _, names in os.walk(source):
        for name in names:
            with contextlib.suppress(OSError):
                status = Path(directory, name).lstat()
                files += 1
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        if files >= _COUNTED:
            break
    return {"files": files, "size": size, "names": sorted(path.name for path in Path(source).iterdir())[:_NAMES]}
