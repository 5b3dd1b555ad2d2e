"""Layers: directories of changes, stacked by chain_id, and their tars.

A layer is stored once, unpacked, in the form overlayfs wants (whiteouts are 0:0
character devices, opaque directories carry an xattr). Source: OCI image-spec
layer.md and config.md (chain_id).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.trace import Trace


@dataclass(frozen=True)
class Layer:
    """One unpacked layer.

    Attributes:
        chain_id: `sha256:…` of the stack up to and including this layer.
        diff_id: `sha256:…` of this layer's uncompressed tar.
        parent: chain_id of the layer below, or None.
        path: Absolute directory holding the changes.
        size: Bytes of regular file content, as Docker counts a layer's size.
    """

    chain_id: str
    diff_id: str
    parent: str | None
    path: Path
    size: int


@dataclass(frozen=True)
class Change:
    """One path that a layer adds (A), changes (C) or deletes (D); `path` absolute in the rootfs."""

    kind: str
    path: str
    size: int


class LayerStore:
    """All layers of one data root."""

    def __init__(self, root: Path, database: Database, trace: Trace, *, rootless: bool = False) -> None:
        self.root = root

    def get(self, chain_id: str) -> Layer:
        """Return a layer. Raises NotFound."""
        raise NotImplementedError

    def apply(self, tar: IO[bytes], parent: str | None, *, diff_id: str | None = None) -> Layer:
        """Unpack an uncompressed layer tar on top of `parent`; verify `diff_id` where it is given."""
        raise NotImplementedError

    def adopt(self, upper: Path, parent: str | None) -> Layer:
        """Make a layer of a container's upperdir by moving it (no copy); the caller's upper is gone."""
        raise NotImplementedError

    def snapshot(self, upper: Path, parent: str | None) -> Layer:
        """Make a layer of an upperdir that stays in use (commit): a copy."""
        raise NotImplementedError

    def tar(self, chain_id: str) -> Iterator[bytes]:
        """Yield the layer's uncompressed tar; its sha256 is diff_id."""
        raise NotImplementedError

    def lower_paths(self, chain_id: str | None) -> list[Path]:
        """Return the diff directories of a stack, topmost first: overlay's lowerdir."""
        raise NotImplementedError

    def changes(self, chain_id: str) -> list[Change]:
        """Return what one layer does to the stack below it."""
        raise NotImplementedError

    def diff(self, upper: Path, parent: str | None) -> list[Change]:
        """Return what an upperdir does to its image (`docker diff`)."""
        raise NotImplementedError

    def hold(self, chain_id: str, holder: str) -> None:
        """Keep a stack from being collected for the sake of an image, container or cache entry."""
        raise NotImplementedError

    def release(self, holder: str) -> int:
        """Give up all that `holder` held; remove layers nobody holds; return bytes freed."""
        raise NotImplementedError
