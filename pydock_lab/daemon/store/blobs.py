"""Blobs: files named by the digest of their bytes.

Holds what came from a registry or an archive and must leave byte for byte the
same: compressed layers and manifests. (Image configs are in the database;
layers are unpacked, layers.py.) A blob is complete or absent: it is written
under a temporary name, verified, fsynced and renamed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydock_lab.daemon.store.tree import remove_path
from pydock_lab.errors import InvalidParameter, NotFound


class BlobStore:
    """All blobs of one data root.

    Args:
        root: Absolute directory; made if it is not there. What an earlier process left half-written
            is removed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._directory = root / "sha256"
        self._temporary = root / "tmp"
        self._pinned: set[str] = set()
        for directory in (self._directory, self._temporary):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._temporary.iterdir():
            remove_path(left)

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be. Raises InvalidParameter for what is no sha256 digest."""
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or value.strip("0123456789abcdef"):
            raise InvalidParameter(f"unsupported digest: {digest}")
        return self._directory / value

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).exists()

    def open(self, digest: str) -> IO[bytes]:
        """Open a blob for reading. Raises NotFound."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"blob {digest} not found") from None

    def size(self, digest: str) -> int:
        """Bytes of a blob. Raises NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"blob {digest} not found") from None

    def put(self, data: bytes) -> str:
        """Keep a small blob; return its digest."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()

    def writer(self) -> BlobWriter:
        """Begin a new blob; leaving the `with` without `commit` drops it."""
        return BlobWriter(self, self._temporary / secrets.token_hex(8))

    def pin(self, digest: str) -> None:
        """Keep a blob from `keep_only` as long as the process lives: it was fetched, its layer is not there yet."""
        self._pinned.add(digest)

    def unpin(self, digest: str) -> None:
        """Undo `pin`."""
        self._pinned.discard(digest)

    def keep_only(self, digests: set[str]) -> None:
        """Remove every other blob that is not pinned."""
        names = {digest.removeprefix("sha256:") for digest in digests | self._pinned}
        for path in self._directory.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory on the store's file system, gone afterwards (or when the daemon starts again)."""
        directory = self._temporary / secrets.token_hex(8)
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            remove_path(directory)

    def remove(self, digest: str) -> None:
        """Forget a blob; no error if there is none."""
        self.path(digest).unlink(missing_ok=True)


class BlobWriter:
    """A blob in the making; from one thread at a time.

    Attributes:
        path: Where it is until it counts.
        size: Bytes written so far.
    """

    def __init__(self, store: BlobStore, path: Path) -> None:
        self._store = store
        self.path = path
        self._file = path.open("xb", buffering=0)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append."""
        self._sha256.update(data)
        written = self._file.write(data)
        while written < len(data):
            written += self._file.write(data[written:])
        self.size += len(data)

    @property
    def digest(self) -> str:
        """Of what has been written so far."""
        return f"sha256:{self._sha256.hexdigest()}"

    def commit(self, expected: str | None = None) -> str:
        """Make the blob count; return its digest.

        Raises:
            InvalidParameter: the digest is not the one expected; nothing is kept.
        """
        if expected is not None and self.digest != expected:
            raise InvalidParameter(f"filesystem layer verification failed for digest {expected}")
        os.fsync(self._file.fileno())
        self.path.rename(self._store.path(self.digest))
        return self.digest
