"""What one step of an image does to its files, directory by directory.

Directories that a step only passes through stand in the tree too, so that sizes
and counts add up to the root. Nothing is built in advance: changes are kept in
path order, where all that lies below a directory stands side by side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.store.layers import Change

_AFTER_SLASH = chr(ord("/") + 1)


@dataclass
class Entry:
    """One name in a directory, with all that is below it.

    Attributes:
        name: Without the directory's path.
        kind: A, C or D; empty for a directory that is only passed through.
        directory: Whether others are below it, or may be.
        size: Bytes that the step stores here.
        wasted: Of these, bytes that a later step replaces or removes.
        by: The step that does so, for a file.
        counts: How many paths are added, changed and deleted, this one included.
    """

    name: str
    kind: str = ""
    directory: bool = False
    size: int = 0
    wasted: int = 0
    by: int | None = None
    counts: tuple[int, int, int] = (0, 0, 0)

    def document(self) -> dict[str, Any]:
        """Return it as the API tells it; what is nothing is left out."""
        told = {"name": self.name, "kind": self.kind, "directory": self.directory, "size": self.size}
        told |= {"wasted": self.wasted, "by": self.by}
        told |= dict(zip(("added", "changed", "deleted"), self.counts, strict=True)) if self.directory else {}
        return {key: value for key, value in told.items() if value or key in ("name", "kind", "size")}


class LayerTree:
    """The changes of one step.

    Args:
        changes: Of all its layers, lowest first.
        hidden: For a path, bytes that a later step makes useless, and the index of that step.
    """

    def __init__(self, changes: Iterable[Change], hidden: Mapping[str, tuple[int, int]]) -> None:
        self.changes = sorted(changes, key=lambda change: change.path)
        self._paths = [change.path for change in self.changes]
        self._hidden = hidden
        self.counts = tuple(sum(change.kind == kind for change in self.changes) for kind in "ACD")
        self.wasted = sum(size for size, _ in hidden.values())

    def entries(self, directory: str) -> list[Entry]:
        """Return what a directory holds: directories first, then by name.

        Args:
            directory: Absolute in the rootfs; "" is the root.
        """
        first = bisect_left(self._paths, f"{directory}/")
        end = bisect_left(self._paths, f"{directory}{_AFTER_SLASH}")
        found: dict[str, list[Change]] = {}
        cut = len(directory) + 1
        for change in self.changes[first:end]:
            found.setdefault(change.path[cut:].partition("/")[0], []).append(change)
        entries = [self._entry(directory, name, changes) for name, changes in found.items()]
        return sorted(entries, key=lambda entry: (not entry.directory, entry.name))

    def _entry(self, directory: str, name: str, changes: list[Change]) -> Entry:
        path = f"{directory}/{name}"
        own = next((change for change in reversed(changes) if change.path == path), None)
        hidden = [self._hidden[change.path] for change in changes if change.path in self._hidden]
        below = any(change.path != path for change in changes)
        return Entry(
            name,
            own.kind if own else "",
            below or bool(own and own.directory),
            sum(change.size for change in changes),
            sum(size for size, _ in hidden),
            hidden[0][1] if hidden and not below else None,
            (
                sum(change.kind == "A" for change in changes),
                sum(change.kind == "C" for change in changes),
                sum(change.kind == "D" for change in changes),
            ),
        )

    def page(self, directory: str, offset: int, limit: int) -> dict[str, Any]:
        """Return some entries of a directory and how many there are."""
        entries = self.entries(directory)
        return {"entries": [each.document() for each in entries[offset : offset + limit]], "total": len(entries)}

    def beginning(self, most: int, limit: int) -> dict[str, dict[str, Any]]:
        """Return the first pages of the directories nearest to the root, by path: about `most` entries in all."""
        pages: dict[str, dict[str, Any]] = {}
        waiting = deque([""])
        while waiting:
            directory = waiting.popleft()
            page = self.page(directory, 0, limit)
            if directory and len(page["entries"]) > most:
                continue
            most -= len(page["entries"])
            pages[directory] = page
            waiting += [f"{directory}/{each['name']}" for each in page["entries"] if each.get("directory")]
        return pages

    def worst_first(self) -> list[Change]:
        """Return deleted and changed paths first, then the largest files."""
        return sorted(self.changes, key=lambda change: ("DCA".index(change.kind), -change.size, change.path))

    def search(self, text: str) -> list[dict[str, Any]]:
        """Return the changes whose path has `text` in it, in any case: entries named by their whole path."""
        text = text.lower()
        found = [change for change in self.changes if text in change.path.lower()]
        return [self._found(change).document() for change in found]

    def _found(self, change: Change) -> Entry:
        size, by = self._hidden.get(change.path, (0, None))
        return Entry(change.path, change.kind, size=change.size, wasted=size, by=by)
