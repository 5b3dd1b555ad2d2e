"""The files of an image across its layers: what is wasted, and how two images differ.

A file that a later layer replaces or removes is still pulled and stored: its bytes
are wasted. Efficiency is the part of all bytes that a container can see. Blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Change, Layer, LayerStore

_LISTED = 200


@dataclass(frozen=True)
class File:
    """What an image shows at a path, and the layer it comes from."""

    size: int
    layer: Layer


@dataclass
class Waste:
    """Bytes at one path that no container sees.

    Attributes:
        size: Of all hidden versions together.
        times: How often it was replaced or removed.
    """

    size: int = 0
    times: int = 0


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
        _, wasted, total = self._merge(image)
        worst = sorted(wasted.items(), key=lambda item: (-item[1].size, item[0]))
        lost = sum(waste.size for waste in wasted.values())
        return {
            "id": image.id,
            "bytes": total,
            "wasted_bytes": lost,
            "efficiency": round(1 - lost / total, 4) if total else 1.0,
            "wasted": [{"path": path, "size": waste.size, "times": waste.times} for path, waste in worst[:_LISTED]],
            "wasted_paths": len(worst),
        }

    def compare(self, one: Image, other: Image) -> dict[str, Any]:
        """Return what two images share and how the second differs from the first."""
        stacks = [self._layers.stack(image.chain_id)[::-1] for image in (one, other)]
        ids = [{layer.chain_id for layer in stack} for stack in stacks]
        shared = ids[0] & ids[1]
        before, after = self._merge(one)[0], self._merge(other)[0]
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

    def _merge(self, image: Image) -> tuple[dict[str, File], dict[str, Waste], int]:
        """Lay the layers over one another; return what shows, what is hidden, and all bytes together."""
        files: dict[str, File] = {}
        wasted: dict[str, Waste] = {}
        total = 0
        for layer in self._layers.stack(image.chain_id)[::-1]:
            changes = self._changes(layer.chain_id)
            gone = {change.path for change in changes if change.kind == "D"}
            for path in [path for path in files if _is_below(path, gone)] if gone else []:
                _count(wasted, path, files.pop(path))
            for change in changes:
                if change.kind == "D":
                    continue
                if change.path in files:
                    _count(wasted, change.path, files[change.path])
                files[change.path] = File(change.size, layer)
                total += change.size
        return files, wasted, total


def _count(wasted: dict[str, Waste], path: str, hidden: File) -> None:
    if hidden.size:
        waste = wasted.setdefault(path, Waste())
        waste.size += hidden.size
        waste.times += 1


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
