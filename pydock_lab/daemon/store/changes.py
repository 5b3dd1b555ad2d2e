"""What a directory of changes does to the layers below it: added, changed, deleted.

Reads the overlayfs form directly, without mounting anything. Source:
overlayfs.rst in the kernel's Documentation/filesystems; the result is what
`docker diff` and `docker history` speak of (moby pkg/archive/changes.go).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pydock_lab.daemon.store.archive import is_whiteout, opaque_xattr
from pydock_lab.daemon.store.tree import Tree
from pydock_lab.daemon.store.tree import names as names_in


class Change(NamedTuple):
    """One path that a layer adds (A), changes (C) or deletes (D); `path` absolute in the rootfs."""

    kind: str
    path: str
    size: int
    directory: bool = False


def compare(upper: Path, lowers: Sequence[Path], *, rootless: bool = False) -> list[Change]:
    """Return the changes of `upper` against a stack of directories, topmost first, in path order."""
    with ExitStack() as stack:
        below = _Below([stack.enter_context(Tree(lower)) for lower in lowers], rootless)
        return sorted(_walk(upper, "", below, rootless), key=lambda change: change.path)


def _walk(upper: Path, prefix: str, below: _Below, rootless: bool) -> Iterator[Change]:
    # What is in a directory that the layers below don't have is new: no need to look there.
    pending = [(str(upper / prefix), prefix, False)]
    while pending:
        directory, prefix, new = pending.pop()
        names = set()
        with os.scandir(directory) as entries:
            for entry in entries:
                names.add(entry.name)
                path = f"{prefix}/{entry.name}"
                status = entry.stat(follow_symlinks=False)
                there = None if new else below.stat(path[1:])
                if is_whiteout(status):
                    if there is not None:
                        yield Change("D", path, 0)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    covers = there is not None and stat.S_ISDIR(there.st_mode)
                    pending.append((entry.path, path, not covers))
                    if there is None or not _same_directory(status, there):
                        yield Change("A" if there is None else "C", path, 0, directory=True)
                else:
                    yield Change("A" if there is None else "C", path, status.st_size)
        if prefix and not new and is_opaque(directory, rootless):
            for name in below.names(prefix.removeprefix("/")) - names:
                yield Change("D", f"{prefix}/{name}", 0)


def is_opaque(directory: str, rootless: bool) -> bool:
    """Whether a directory hides the one it covers."""
    try:
        return os.getxattr(directory, opaque_xattr(rootless), follow_symlinks=False) == b"y"
    except OSError:
        return False


def _same_directory(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        stat.S_ISDIR(other.st_mode)
        and one.st_mode == other.st_mode
        and (one.st_uid, one.st_gid) == (other.st_uid, other.st_gid)
        and one.st_mtime_ns == other.st_mtime_ns
    )


class _Below:
    """The merged view of a stack of layers, as overlayfs would show it."""

    def __init__(self, trees: list[Tree], rootless: bool) -> None:
        self._trees = trees
        self._rootless = rootless

    def stat(self, path: str) -> os.stat_result | None:
        """Return what the stack shows at `path`, or None."""
        for tree in self._trees:
            tree.trim()
            found, final = self._look(tree, path)
            if final:
                return found
        return None

    def names(self, path: str) -> set[str]:
        """Return what the stack shows in a directory."""
        names: set[str] = set()
        for tree in self._trees:
            tree.trim()
            found, final = self._look(tree, path)
            if found is not None and stat.S_ISDIR(found.st_mode):
                fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=tree.directory(path))
                try:
                    names |= set(names_in(fd))
                finally:
                    os.close(fd)
                if is_opaque(f"/proc/self/fd/{tree.directory(path)}/.", self._rootless):
                    break
            elif final:
                break
        return {name for name in names if self.stat(f"{path}/{name}") is not None}

    def _look(self, tree: Tree, path: str) -> tuple[os.stat_result | None, bool]:
        """Look in one layer: what is there, and whether the layers below it don't matter any more."""
        done = ""
        parts = path.split("/")
        for number, name in enumerate(parts):
            done = f"{done}/{name}" if done else name
            found = tree.stat(done)
            if found is None:
                return None, False if not done.count("/") else self._opaque_above(tree, done)
            if is_whiteout(found):
                return None, True
            if number == len(parts) - 1:
                return found, True
            if not stat.S_ISDIR(found.st_mode):
                return None, True
        return None, False

    def _opaque_above(self, tree: Tree, path: str) -> bool:
        """Whether a directory that holds `path` in this layer hides the layers below."""
        while (path := path.rpartition("/")[0]) != "":
            if is_opaque(f"/proc/self/fd/{tree.directory(path)}/.", self._rootless):
                return True
        return False
