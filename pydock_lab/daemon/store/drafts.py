"""Layers in the making: a tar unpacked before it is known what will lie below it.

A pull unpacks all its layers at once, a load those of an archive whose table of
contents comes last. What depends on the layers below is done at the end: where
a tar uses a directory without naming it, that directory becomes like the one it
covers. Used by layers.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydock_lab.daemon.store.archive import Limits, unpack
from pydock_lab.daemon.store.recipe import RecipeWriter
from pydock_lab.daemon.store.tree import Tree, remove_path

_BUFFER = 1 << 20


class LayerDraft:
    """One unpacked tar that is no layer yet; leaving its `with` drops what has not been admitted.

    Attributes:
        directory: Of the changes, in overlayfs' form.
        diff_id: `sha256:…` of the tar.
        size: Bytes of its files, as Docker counts a layer's size.
        tar_size: Bytes of the tar.
        entries: Number of its members.
    """

    def __init__(self, temporary: Path) -> None:
        self.directory = temporary / secrets.token_hex(8)
        self.directory.mkdir(mode=0o755)
        self.directory.chmod(0o755)
        self.recipe = RecipeWriter(temporary / f"{self.directory.name}.recipe")
        self.diff_id = ""
        self.size = self.tar_size = self.entries = 0
        self._implied: frozenset[str] = frozenset()

    def __enter__(self) -> LayerDraft:
        return self

    def __exit__(self, *exception: object) -> None:
        self.drop()

    def fill(self, tar: IO[bytes], *, rootless: bool, limits: Limits) -> None:
        """Unpack an uncompressed tar and read it to its end. Raises InvalidParameter."""
        digesting = DigestReader(tar)
        stream = io.BufferedReader(digesting, _BUFFER)
        unpacked = unpack(stream, self.directory, layer=True, rootless=rootless, limits=limits, recipe=self.recipe)
        self.recipe.close()
        self.diff_id, self.tar_size = digesting.digest, digesting.count
        self.size, self.entries, self._implied = unpacked.size, unpacked.entries, unpacked.implied

    def settle(self, lowers: Sequence[Path]) -> None:
        """Make the directories that the tar does not name like those they cover.

        Args:
            lowers: Directories of the layers below, topmost first.
        """
        if not lowers or not self._implied:
            return
        with contextlib.ExitStack() as stack:
            own = stack.enter_context(Tree(self.directory))
            below = [stack.enter_context(Tree(lower)) for lower in lowers]
            for path in self._implied:
                own.trim()
                self._settle_one(own, below, path)

    def drop(self) -> None:
        """Remove what is still here; nothing, once the draft has become a layer."""
        self.recipe.abandon()
        remove_path(self.directory)

    def _settle_one(self, own: Tree, below: Sequence[Tree], path: str) -> None:
        for tree in below:
            tree.trim()
            there = tree.stat(path)
            if there is None:
                continue
            if stat.S_ISDIR(there.st_mode):
                parent, name = own.locate(path) if path else (own.fd, ".")
                with contextlib.suppress(PermissionError):  # rootless: an owner that is not mapped
                    os.chown(name, there.st_uid, there.st_gid, dir_fd=parent)
                os.chmod(name, stat.S_IMODE(there.st_mode), dir_fd=parent)
                if not path:  # the root of the mount; other directories were changed by what is new in them
                    os.utime(name, ns=(there.st_atime_ns, there.st_mtime_ns), dir_fd=parent)
            return


class DigestReader(io.RawIOBase):
    """Reads through to another stream and digests what passes."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        data = self._source.read(len(buffer))
        self._sha256.update(data)
        self.count += len(data)
        buffer[: len(data)] = data
        return len(data)

    @property
    def digest(self) -> str:
        """Of what has been read so far."""
        return f"sha256:{self._sha256.hexdigest()}"


class ChunkReader(io.RawIOBase):
    """An iterator of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return 0
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
