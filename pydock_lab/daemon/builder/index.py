"""A context's tar read once: what is in it, with digests, before anything is unpacked.

A cached build needs nothing else of its context, so that ten thousand files
cost a pass over the tar and not ten thousand files made. A tar that an index
can't describe (hard links, a path named twice or through a link) is unpacked
at once instead.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pydock_lab.daemon.builder.digests import metadata_digest
from pydock_lab.daemon.builder.rootfs import Place, Rootfs
from pydock_lab.daemon.store.archive import Limits
from pydock_lab.daemon.store.tree import clean
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry, TarReader

KEPT_BYTES = 16 << 20
_KINDS = {
    tarformat.REGULAR: stat.S_IFREG,
    tarformat.DIRECTORY: stat.S_IFDIR,
    tarformat.SYMLINK: stat.S_IFLNK,
    tarformat.FIFO: stat.S_IFIFO,
}
_DIRECTORY = stat.S_IFDIR | 0o755


class UnplainTarError(Exception):
    """The tar has to be unpacked to know what it holds."""


class TarIndex(Rootfs):
    """The files of a context, looked at without being there.

    Args:
        root: Where the tar is unpacked once somebody needs the files themselves.
    """

    def __init__(self, root: Path) -> None:
        super().__init__([root])
        self.kept: dict[str, bytes] = {}
        self._modes: dict[str, int] = {"": _DIRECTORY}
        self._digests: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._names: dict[str, list[str]] = {"": []}

    @classmethod
    def read(cls, tar: IO[bytes], root: Path, keep: Callable[[str], bool], limits: Limits | None = None) -> TarIndex:
        """Read a plain tar to its end.

        Args:
            tar: Not compressed; `read(n)` returns less than n only at the end.
            root: See the class.
            keep: Whether a file's content is kept in memory, by its path.
            limits: What the tar may unpack to; the defaults where None.

        Raises:
            InvalidParameter: the tar is malformed, leads out of the context, or breaks a limit.
            UnplainTarError: it can't be described without being unpacked.
        """
        index, reader, limits = cls(root), TarReader(tar), limits or Limits()
        content_bytes = 0
        for entries, entry in enumerate(reader, 1):
            content_bytes += entry.size
            if entries > limits.entries or content_bytes > limits.content_bytes:
                raise InvalidParameter("archive is larger than the engine's limit for unpacking")
            index._add(entry, reader, keep)
        reader.finish()
        return index

    @property
    def root(self) -> Place:
        """The root directory."""
        return self._place("")

    def child(self, directory: Place, name: str) -> Place | None:
        """Return one entry of a directory, not following a link."""
        path = f"{directory.path.lstrip('/')}/{name}".lstrip("/")
        return self._place(path) if path in self._modes else None

    def entries(self, directory: Place) -> list[Place]:
        """Return what a directory holds, by name."""
        inside = directory.path.lstrip("/")
        prefix = f"{inside}/" if inside else ""
        return [self._place(prefix + name) for name in sorted(self._names.get(inside, ()))]

    def link_target(self, place: Place) -> str:
        """Return what a link says."""
        return self._links[place.path.lstrip("/")]

    def digests(self, place: Place, *, with_owner: bool) -> dict[str, str]:
        """Return the digests of a path and all below it; the owner is never part of a context's."""
        top = place.path.lstrip("/")
        if not place.is_directory or not top:
            return dict(self._digests) if not top else {"": self._digests[top]}
        below = len(top) + 1
        found = {path[below:]: digest for path, digest in self._digests.items() if path.startswith(f"{top}/")}
        return {"": self._digests[top], **found}

    def enter(self, path: str, mode: int, digest: str, link: str = "") -> None:
        """Enter what is known of a path without a tar.

        Args:
            path: Below the root, links resolved; its directories come before it.
            mode: Kind and permissions.
            digest: See digests.py.
            link: Where a symbolic link leads to.
        """
        self._link_up(path)
        self._modes[path], self._digests[path] = mode, digest
        if link:
            self._links[path] = link

    def remove(self, path: str) -> None:
        """Hide a file."""
        self._drop(path)
        self._unlist(path)

    def below(self, top: str) -> TarIndex:
        """Return a directory as an index of its own."""
        part, prefix = TarIndex(self.layers[0] / top), f"{top}/"
        for path in (path for path in self._modes if path == top or path.startswith(prefix)):
            own = path[len(prefix) :]
            part._modes[own], part._digests[own] = self._modes[path], self._digests[path]
            if path in self._links:
                part._links[own] = self._links[path]
            if path in self._names:
                part._names[own] = self._names[path]
        return part

    def take(self, top: str, root: Path) -> TarIndex:
        """Return a directory as an index of its own, to be found at `root` once unpacked, and hide it here."""
        part = self.below(top)
        part.layers = (root,)
        for path in [path for path in self._modes if path == top or path.startswith(f"{top}/")]:
            self._drop(path)
        self._unlist(top)
        return part

    def _drop(self, path: str) -> None:
        del self._modes[path], self._digests[path]

    def _unlist(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self._names[directory].remove(name)

    def __contains__(self, path: str) -> bool:
        return path in self._modes

    def _place(self, path: str) -> Place:
        mode = self._modes[path]
        status = os.stat_result((mode, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        return Place(f"/{path}", status, (self.layers[0] / path,))

    def _add(self, entry: Entry, reader: TarReader, keep: Callable[[str], bool]) -> None:
        path, kind = clean(entry.name), _KINDS.get(entry.type)
        if kind is None or entry.data is not None:
            raise UnplainTarError(entry.name)
        mode = kind | (0o777 if kind == stat.S_IFLNK else entry.mode & 0o7777)
        there = self._modes.get(path)
        if there is None:
            self._link_up(path)
        elif not (stat.S_ISDIR(there) and kind == stat.S_IFDIR):
            raise UnplainTarError(entry.name)
        self._modes[path] = mode
        digest = metadata_digest(mode)
        if kind == stat.S_IFREG:
            self._digest_content(digest, path, reader, keep(path))
        elif kind == stat.S_IFLNK:
            self._links[path] = entry.linkname
            digest.update(os.fsencode(entry.linkname))
        self._digests[path] = f"sha256:{digest.hexdigest()}"

    def _digest_content(self, digest: hashlib._Hash, path: str, reader: TarReader, keep: bool) -> None:
        kept: list[bytes] = []
        size = 0
        for chunk in reader.content():
            digest.update(chunk)
            size += len(chunk)
            if keep and size <= KEPT_BYTES:
                kept.append(chunk)
        if keep and size <= KEPT_BYTES:
            self.kept[path] = b"".join(kept)

    def _link_up(self, path: str) -> None:
        """Enter a new path in its directory, making those that the tar uses without naming them."""
        directory, _, name = path.rpartition("/")
        there = self._modes.get(directory)
        if there is None:
            self._link_up(directory)
            self._modes[directory] = _DIRECTORY
            self._digests[directory] = f"sha256:{metadata_digest(_DIRECTORY).hexdigest()}"
        elif not stat.S_ISDIR(there):
            raise UnplainTarError(path)
        self._names.setdefault(directory, []).append(name)

    def complete(self) -> None:
        """Give the root a digest where the tar does not name it."""
        self._digests.setdefault("", f"sha256:{metadata_digest(self._modes['']).hexdigest()}")
