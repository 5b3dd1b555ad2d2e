"""Directories of clients, kept from build to build so that only what has changed is sent again.

Each is known by the key that its client shares among its builds. One that a build uses is not
touched by another: that one receives all of it into a directory of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder import usage
from pydock_lab.daemon.builder.mirror import Mirror

_KEPT = 16
_BLOCK = 512  # of st_blocks, whatever the file system's are


class Mirrors:
    """All that are kept below one data root.

    Args:
        root: Absolute; made when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used: set[str] = set()

    @contextlib.asynccontextmanager
    async def use(self, shared_key: str, name: str, scratch: Path) -> AsyncIterator[Mirror]:
        """Use a mirror for the time of a build.

        Args:
            shared_key: Of the session; "" keeps nothing.
            name: Of the directory in the session.
            scratch: An existing directory of this build alone.
        """
        key = hashlib.sha256(f"{name}\0{shared_key}".encode()).hexdigest()[:32]
        if not shared_key or key in self._used:
            mirror = Mirror(Path(tempfile.mkdtemp(prefix="context-", dir=scratch)))
            mirror.open()
            yield mirror
            return
        self._used.add(key)
        try:
            yield await asyncio.to_thread(self._open, self._root / key)
        finally:
            self._used.discard(key)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of what is kept, by its key; blocks."""
        return {key: _size(self._root / key) for key in self._keys()}

    def used_ns(self, key: str) -> int:
        """Return when one was used last, nanoseconds since the epoch."""
        try:
            return (self._root / key).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def documents(self) -> list[dict[str, Any]]:
        """Return them as `docker system df` lists them: Docker's BuildCache; blocks."""
        documents = []
        for key, size in self.sizes().items():
            used_ns = self.used_ns(key)
            documents.append(
                usage.document(usage.LOCALS, key, size, in_use=key in self._used, created_ns=used_ns, used_ns=used_ns)
            )
        return documents

    def prune(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Remove those of some that no build uses; return their keys and bytes; blocks."""
        gone = {key: size for key, size in sizes.items() if key not in self._used}
        for key in gone:
            shutil.rmtree(self._root / key, ignore_errors=True)
        return gone

    def _keys(self) -> list[str]:
        try:
            return [path.name for path in self._root.iterdir()]
        except FileNotFoundError:
            return []

    def _open(self, place: Path) -> Mirror:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(place)
        oldest_first = sorted((key for key in self._keys() if key not in self._used), key=self.used_ns)
        for key in oldest_first[: max(0, len(oldest_first) + len(self._used) - _KEPT)]:
            shutil.rmtree(self._root / key, ignore_errors=True)
        mirror = Mirror(place)
        mirror.open()
        return mirror


def _size(place: Path) -> int:
    return sum(path.lstat().st_blocks * _BLOCK for path in place.rglob("*"))
