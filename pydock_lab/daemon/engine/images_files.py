"""The files of an image across its layers: what is wasted, and how two images differ.

A file that a later layer replaces or removes is still pulled and stored: its bytes
are wasted. Efficiency is the part of all bytes that a container can see. Blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Change, Layer, LayerStore

_LISTED = 200


class File(NamedTuple):
    """What an image shows at a path, and the layer it comes from."""

    size: int
    layer: Layer


class Hidden(NamedTuple):
    """A version of a file that no container sees.

    Attributes:
        size: In bytes.
        layer: chain_id of the layer that holds it.
        by: chain_id of the layer that replaces or removes it.
    """

    size: int
    layer: str
    by: str


@dataclass(frozen=True)
class Merged:
    """An image's layers laid over one another.

    Attributes:
        files: What shows, by path.
        hidden: What does not, by path, lowest layer first.
        size: Bytes of both.
    """

    files: dict[str, File]
    hidden: dict[str, list[Hidden]]
    size: int


class ImageFiles:
    """Reads images file by file.

    Args:
        layers: Of this daemon.
        changes: Reads what a layer (chain_id) changes; by default from the disk, each time.
    """

    def __init__(self, layers: LayerStore, changes: Callable[[str], list[Change]] | None = None) -> None:
        self._layers = layers
        self._changes = changes or layers.changes

    def waste(self, image: Image) -> dict[str, Any]:
        """Return the bytes of an image that are stored for nothing, worst paths first."""
        return waste(image, self.merge(image))

    def compare(self, one: Image, other: Image) -> dict[str, Any]:
        """Return what two images share and how the second differs from the first."""
        stacks = [self._layers.stack(image.chain_id)[::-1] for image in (one, other)]
        ids = [{layer.chain_id for layer in stack} for stack in stacks]
        shared = ids[0] & ids[1]
        before, after = self.merge(one).files, self.merge(other).files
        changes: list[tuple[str, str, int, int]] = []
        for path in sorted(before.keys() | after.keys()):
            old, new = before.get(path), after.get(path)
            if old is None and new is not None:
                changes.append(("A", path, 0, new.size))
            elif new is None and old is not None:
                changes.append(("D", path, old.size, 0))
            elif old is not None and new is not None and not _same(path, old, new):
                changes.append(("C", path, old.size, new.size))
        counts = {kind: sum(change[0] == kind for change in changes) for kind in "ACD"}
        biggest = sorted(changes, key=lambda change: -abs(change[3] - change[2]))[:_LISTED]
        return {
            "a": {"id": one.id, "size": one.size, "layers": [_layer(layer, shared) for layer in stacks[0]]},
            "b": {"id": other.id, "size": other.size, "layers": [_layer(layer, shared) for layer in stacks[1]]},
            "shared_bytes": sum(layer.size for layer in stacks[0] if layer.chain_id in shared),
            "added": counts["A"],
            "changed": counts["C"],
            "deleted": counts["D"],
            "files": [
                {"kind": kind, "path": path, "before": was, "after": now}
                for kind, path, was, now in sorted(biggest, key=lambda change: change[1])
            ],
            "settings": _settings(one.config, other.config),
        }

    def merge(self, image: Image) -> Merged:
        """Lay the layers over one another."""
        files: dict[str, File] = {}
        hidden: dict[str, list[Hidden]] = {}
        total = 0
        for layer in self._layers.stack(image.chain_id)[::-1]:

            def hide(path: str, by: str = layer.chain_id) -> None:
                if file := files.pop(path, None):
                    hidden.setdefault(path, []).append(Hidden(file.size, file.layer.chain_id, by))

            changes = self._changes(layer.chain_id)
            # A file where a directory was takes away what was below it.
            gone = {
                change.path for change in changes if change.kind == "D" or (change.kind == "C" and not change.directory)
            }
            for path in [path for path in files if _is_below(path, gone)] if gone else []:
                hide(path)
            for change in changes:
                if change.kind != "D":
                    hide(change.path)
                    files[change.path] = File(change.size, layer)
                    total += change.size
        return Merged(files, hidden, total)


def waste(image: Image, merged: Merged) -> dict[str, Any]:
    """Sum up what is stored for nothing: per path the bytes, and how often it was replaced or removed."""
    sizes = [(path, [each.size for each in versions if each.size]) for path, versions in merged.hidden.items()]
    worst = sorted(((sum(each), path, len(each)) for path, each in sizes if each), key=lambda item: (-item[0], item[1]))
    lost = sum(size for size, _, _ in worst)
    return {
        "id": image.id,
        "bytes": merged.size,
        "wasted_bytes": lost,
        "efficiency": round(1 - lost / merged.size, 4) if merged.size else 1.0,
        "wasted": [{"path": path, "size": size, "times": times} for size, path, times in worst[:_LISTED]],
        "wasted_paths": len(worst),
    }


def _is_below(path: str, gone: set[str]) -> bool:
    while path:
        if path in gone:
            return True
        path = path.rpartition("/")[0]
    return False


def _same(path: str, one: File, other: File) -> bool:
    """Whether two files are one: from one layer, or alike in everything that a tar says of them."""
    if one.layer.chain_id == other.layer.chain_id:
        return True
    try:
        a, b = (os.lstat(f"{file.layer.path}{path}") for file in (one, other))
    except OSError:
        return False
    directory = a.st_mode & 0o170000 == 0o040000
    same = (a.st_mode, a.st_uid, a.st_gid) == (b.st_mode, b.st_uid, b.st_gid)
    return same and (directory or (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime)))


def _layer(layer: Layer, shared: set[str]) -> dict[str, Any]:
    return {
        "chain_id": layer.chain_id,
        "diff_id": layer.diff_id,
        "size": layer.size,
        "shared": layer.chain_id in shared,
    }


def _settings(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The settings of a config that differ, each as (before, after)."""
    before, after = one.get("config") or {}, other.get("config") or {}
    pairs = {key: [before.get(key) or None, after.get(key) or None] for key in sorted(before.keys() | after.keys())}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
