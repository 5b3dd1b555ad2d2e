"""Volumes as Docker's API knows them, and who uses them.

Source: moby volume/service (names, filters, errors), volume/local (options).
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.store import volume_mounts
from pydock_lab.daemon.store.volumes import Volume, VolumeStore
from pydock_lab.errors import Conflict, InvalidParameter, LabError, NotFound
from pydock_lab.spec import timestamps

log = logging.getLogger("pydock.engine")

ANONYMOUS = "com.docker.volume.anonymous"

_OPTIONS = frozenset(("type", "o", "device", "size"))
# An option and those that it is nothing without.
_REQUIRED = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_LIST_FILTERS = ("dangling", "driver", "label", "label!", "name")
_PRUNE_FILTERS = ("label", "label!", "all")

# Yields (container id, names of its volumes) for every container.
Users = Callable[[], Iterable[tuple[str, set[str]]]]


class Volumes:
    """The volumes of one daemon."""

    def __init__(self, store: VolumeStore, events: Events) -> None:
        self._store = store
        self._events = events
        self._users: Users = lambda: ()
        self._mounting = asyncio.Lock()

    def register_users(self, users: Users) -> None:
        """Let the containers say which volumes they use."""
        self._users = users

    def users(self, name: str) -> builtins.list[str]:
        """Return the ids of the containers that use a volume, running or not."""
        return [container_id for container_id, names in self._users() if name in names]

    async def create(self, options: dict[str, Any], *, anonymous: bool = False) -> dict[str, Any]:
        """Create a volume from Docker's VolumeCreateOptions; return its inspect document.

        Args:
            options: Name, Driver, DriverOpts, Labels; a volume of the name is returned as it is.
            anonymous: The name was made up for a container; a volume without a name is so anyway.

        Raises:
            InvalidParameter, NotFound: a bad name or option, an unknown driver, in Docker's words.
        """
        name = options.get("Name") or ""
        driver = options.get("Driver") or "local"
        labels = dict(options.get("Labels") or {})
        driver_options = dict(options.get("DriverOpts") or {})
        if not name or anonymous:
            labels[ANONYMOUS] = ""
            name = name or secrets.token_hex(32)
        if driver != "local":
            raise NotFound(
                f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found',
                hint="this engine has the `local` driver only",
            )
        _check_options(name, driver_options)
        if name in self._store:
            return self.inspect(name)
        volume = self._store.create(name, labels=labels, options=driver_options)
        self._events.publish("volume", "create", name, {"driver": "local"})
        return _document(volume)

    def resolve(self, name: str) -> dict[str, Any]:
        """Return the inspect document of a volume. Raises NotFound."""
        return _document(self._store.get(name))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the inspect document of a volume. Raises NotFound."""
        return self.resolve(name)

    async def attach(self, name: str) -> bool:
        """Mount a volume whose data is elsewhere, before a container uses it; return whether it is one.

        Raises:
            NotFound: there is no such volume.
            SystemFailure: the kernel refuses, in Docker's words.
        """
        volume = self._store.get(name)
        if not volume_mounts.is_elsewhere(volume):
            return False
        async with self._mounting:
            await asyncio.to_thread(volume_mounts.mount, volume)
        return True

    async def start(self) -> None:
        """Mount again what containers of an earlier daemon use."""
        for name in set().union(*(names for _, names in self._users())):
            if name in self._store:
                try:
                    await self.attach(name)
                except LabError as error:
                    log.warning("volume %s: %s", name, error.message)

    async def close(self) -> None:
        """Unmount everything."""
        for volume in self._store.list():
            if volume_mounts.is_elsewhere(volume):
                await asyncio.to_thread(volume_mounts.unmount, volume)

    def mountpoint(self, name: str) -> Path:
        """Return the directory on the host that holds a volume's data. Raises NotFound."""
        return self._store.get(name).mountpoint

    def list(self, filters: Filters | None = None) -> builtins.list[dict[str, Any]]:
        """Return the inspect documents that pass the filters, in the order of their names."""
        filters = filters or Filters()
        filters.check(_LIST_FILTERS)
        used = set().union(*(names for _, names in self._users()))
        wants_dangling = filters.flag("dangling", default=False)
        return [
            _document(volume)
            for volume in self._store.list()
            if filters.any("driver", "local".__eq__)
            and filters.any("name", volume.name.__contains__)
            and filters.labels(volume.labels)
            and ("dangling" not in filters or (volume.name not in used) == wants_dangling)
        ]

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and its data; `force`: no error where there is none.

        Raises:
            NotFound: `get NAME: no such volume`.
            Conflict: `remove NAME: volume is in use - [ID, …]`.
        """
        if force and name not in self._store:
            return
        volume = self._store.get(name)
        if users := self.users(name):
            raise Conflict(
                f"remove {name}: volume is in use - [{', '.join(users)}]",
                hint="remove the containers that use it first; a stopped container still does",
            )
        await asyncio.shield(asyncio.to_thread(_remove, self._store, volume))
        self._events.publish("volume", "destroy", name, {"driver": "local"})

    async def prune(self, filters: Filters | None = None, *, everything: bool = False) -> dict[str, Any]:
        """Remove volumes that no container uses; return Docker's VolumesPruneReport.

        Args:
            filters: `label`, `label!`, and `all` for named volumes too.
            everything: Named volumes too, as clients before API 1.42 expect.
        """
        filters = filters or Filters()
        filters.check(_PRUNE_FILTERS)
        everything = everything or filters.flag("all", default=False)
        used = set().union(*(names for _, names in self._users()))
        deleted: list[str] = []
        reclaimed = 0
        for volume in self._store.list():
            if volume.name in used or not filters.labels(volume.labels):
                continue
            if not everything and ANONYMOUS not in volume.labels:
                continue
            size = max(await asyncio.to_thread(_size, volume), 0)
            try:
                await self.remove(volume.name)
            except LabError:
                continue  # a container was created with it meanwhile
            deleted.append(volume.name)
            reclaimed += size
        self._events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return {"VolumesDeleted": deleted, "SpaceReclaimed": reclaimed}

    def usage(self) -> builtins.list[dict[str, Any]]:
        """Return all volumes with size and number of users (`docker system df`); blocks."""
        return [
            _document(volume) | {"UsageData": {"Size": _size(volume), "RefCount": len(self.users(volume.name))}}
            for volume in self._store.list()
        ]


def _size(volume: Volume) -> int:
    """The bytes of a volume, -1 for data that is elsewhere: as Docker does, a far file server is not searched."""
    return -1 if volume_mounts.is_elsewhere(volume) else directory_size(volume.mountpoint)


def _remove(store: VolumeStore, volume: Volume) -> None:
    volume_mounts.unmount(volume)  # what is mounted there is not ours to remove
    store.remove(volume.name)


def directory_size(directory: Path) -> int:
    """Return the bytes of the files below a directory, hard links once."""
    seen: set[int] = set()
    total = 0
    for _, _, files, fd in os.fwalk(directory, follow_symlinks=False, onerror=None):
        for name in files:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_size
    return total


def _check_options(name: str, options: dict[str, str]) -> None:
    for option in sorted(options):
        if option not in _OPTIONS:
            raise InvalidParameter(f'create {name}: invalid option: "{option}"')
        for needed in _REQUIRED.get(option, ()):
            if needed not in options:
                raise InvalidParameter(f'create {name}: missing required option: "{needed}"')
    if "size" in options:
        raise InvalidParameter(f"create {name}: quota size requested but no quota support")


def _document(volume: Volume) -> dict[str, Any]:
    return {
        "CreatedAt": timestamps.render(volume.created_ns // 10**9 * 10**9),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": str(volume.mountpoint),
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }
