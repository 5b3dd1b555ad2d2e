"""The directories behind `RUN --mount=type=cache`: kept from build to build, shared as each mount asks.

One directory per id. `locked` ones wait for each other, `private` ones get a
directory of their own where the kept one is in use. Source: the Dockerfile
reference, "RUN --mount=type=cache".
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder import usage

_TEMPORARY = ".private-"


class CacheMounts:
    """All cache mounts of one data root.

    Args:
        root: Absolute; made when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._users: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    @contextlib.asynccontextmanager
    async def use(self, cache_id: str, sharing: str) -> AsyncIterator[tuple[Path, bool]]:
        """Use a cache; yield its directory and whether it is new.

        Args:
            cache_id: As the mount names it.
            sharing: shared, private or locked.
        """
        name = hashlib.sha256(cache_id.encode()).hexdigest()[:32]
        async with contextlib.AsyncExitStack() as stack:
            if sharing == "locked":
                await stack.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
            if sharing == "private" and self._users[name]:
                name = f"{_TEMPORARY}{secrets.token_hex(8)}"
                stack.push_async_callback(asyncio.to_thread, shutil.rmtree, self._root / name, ignore_errors=True)
            self._users[name] += 1
            stack.callback(self._leave, name)
            directory = self._root / name
            new = not directory.is_dir()
            directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # it may belong to another user (`uid=`)
                os.utime(directory, ns=(time.time_ns(), directory.stat().st_mtime_ns))
            yield directory, new

    def clean(self) -> None:
        """Remove what a daemon that was killed left in use by one build alone; blocks."""
        for path in self._root.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every cache; blocks."""
        if not self._root.is_dir():
            return {}
        return {path.name: _size(path) for path in self._root.iterdir()}

    def used_ns(self, name: str) -> int:
        """Return when a cache was last given to a step, nanoseconds since the epoch."""
        try:
            return (self._root / name).stat().st_atime_ns
        except FileNotFoundError:
            return 0

    def documents(self) -> list[dict[str, Any]]:
        """Return the caches as `docker system df` lists them: Docker's BuildCache; blocks."""
        documents = []
        for name, size in self.sizes().items():
            with contextlib.suppress(FileNotFoundError):  # a private one goes with its build
                status = (self._root / name).stat()
                times = {"created_ns": status.st_ctime_ns, "used_ns": status.st_atime_ns}
                documents.append(usage.document(usage.MOUNTS, name, size, in_use=self._users[name] > 0, **times))
        return documents

    def prune(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Remove those of some caches that no build uses; return their names and bytes; blocks."""
        removed: dict[str, int] = {}
        for name, size in sizes.items():
            if not self._users[name]:
                shutil.rmtree(self._root / name, ignore_errors=True)
                removed[name] = size
        return removed

    def _leave(self, name: str) -> None:
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name]


def _size(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            total += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return total
