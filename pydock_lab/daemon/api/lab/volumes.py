"""A volume from every side: the host's path, and the same files through each container's own mounts.

A container's view is read through its init process's root (`/proc/PID/root`,
proc(5)), that is, from inside its mount namespace: device and inode numbers then
prove that nobody has a copy. The shape is what notebook/widgets/volume.js draws.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from pydock_lab.daemon.engine.engine import Engine

_FILES = 100
_DEPTH = 4
_PEEK_BYTES = 160
_SMALL_BYTES = 4096

Look = Callable[[], dict[str, Any]]


class VolumeReader:
    """Reads volumes for the volume view.

    Args:
        engine: Of this daemon.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(self, name: str) -> Look:
        """Find out who mounts the volume (in the event loop); return what then reads files (in a thread).

        Raises:
            NotFound: there is no such volume.
        """
        volume = self._engine.volumes.inspect(name)
        host = {
            "key": "host",
            "kind": "host",
            "title": "this host",
            "image": "",
            "state": "",
            "path": volume["Mountpoint"],
            "writable": True,
        }
        observers: list[tuple[dict[str, Any], str]] = [(host, "/")]
        for container in self._engine.containers.table:
            record = container.record
            for mount in record.mounts:
                if mount.type != "volume" or mount.name != name:
                    continue
                running = record.state.running and record.state.pid
                observer = {
                    "key": f"{container.id}:{mount.destination}",
                    "kind": "container",
                    "title": container.name,
                    "image": record.config.get("Image", ""),
                    "state": record.state.status,
                    "path": mount.destination,
                    "writable": mount.rw,
                }
                observers.append((observer, f"/proc/{record.state.pid}/root" if running else ""))
        return lambda: {
            "volume": name,
            "path": volume["Mountpoint"],
            "created": volume.get("CreatedAt", ""),
            "observers": [{**observer, "files": _files(root, observer["path"])} for observer, root in observers],
        }


def _files(root: str, path: str) -> list[dict[str, Any]] | None:
    """List the files below `path` as seen from `root`; None where nobody can look (a stopped container)."""
    if not root:
        return None
    try:
        directory = open_below(root, path)
    except OSError:
        return None  # the container ended meanwhile, or the way there leads over a link
    found: list[dict[str, Any]] = []
    try:
        _collect(directory, "", found)
    finally:
        os.close(directory)
    return sorted(found, key=lambda file: file["path"])


def open_below(root: str, path: str) -> int:
    """Open a directory step by step without following links: an absolute one would lead out of `root`."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for part in (part for part in path.split("/") if part):
        above = directory
        try:
            directory = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    finally:
        os.close(directory)


def _collect(directory: int, prefix: str, found: list[dict[str, Any]]) -> None:
    names = sorted(os.listdir(directory))
    for name in names:
        if len(found) >= _FILES:
            return
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_directory = stat.S_ISDIR(status.st_mode)
        found.append(
            {
                "path": prefix + name,
                "size": status.st_size,
                "directory": is_directory,
                "identity": f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}:{status.st_ino}",
                "text": _peek(directory, name, status),
            }
        )
        if is_directory and prefix.count("/") < _DEPTH - 1:
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            except OSError:
                continue
            try:
                _collect(below, f"{prefix}{name}/", found)
            finally:
                os.close(below)


def _peek(directory: int, name: str, status: os.stat_result) -> str:
    """The beginning of a small text file, else ""."""
    if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _SMALL_BYTES:
        return ""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return ""
    try:
        data = os.read(file, _PEEK_BYTES)
    finally:
        os.close(file)
    text = data.decode("utf-8", "replace").rstrip("�")
    return text.rstrip() if all(char.isprintable() or char in "\n\t" for char in text) else ""
