"""The content of one layer before it is a tar: paths, where their bytes come from, and the links between.

A tree stands on the trees of the layers below it, so that `/lib/x` lands in
`/usr/lib/x` where a lower layer made `/lib` a link, and so that directories keep
the mode they have there. The tar it writes depends on nothing but the content:
same host, same digest. Source: OCI image-spec layer.md.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_MAX_LINKS = 40  # as many as the kernel follows, path_resolution(7)


@dataclass(frozen=True)
class Entry:
    """One path of a layer: a directory, a link, or a file with its bytes here or on the host.

    Attributes:
        mode: Permission bits.
        mtime: Seconds since the epoch.
        link: Target of a symbolic link, or None.
        content: The bytes of a file made here, or None.
        source: Absolute host path of a file that is copied, or None.
        size: Bytes of the file.
    """

    mode: int
    mtime: int = 0
    uid: int = 0
    gid: int = 0
    link: str | None = None
    content: bytes | None = None
    source: Path | None = None
    size: int = 0

    @property
    def is_directory(self) -> bool:
        """Neither a link nor a file."""
        return self.link is None and self.content is None and self.source is None


class RootTree:
    """The paths that one layer adds, all absolute inside the image's root."""

    def __init__(self, below: RootTree | None = None) -> None:
        self._below = below
        self._entries: dict[str, Entry] = {}
        self._deferred: list[tuple[str, Callable[[], None]]] = []

    def __contains__(self, path: str) -> bool:
        return self.entry(self._resolve_parent(path)) is not None

    def entry(self, path: str) -> Entry | None:
        """Return what stands at a normal path, here or in a layer below."""
        tree: RootTree | None = self
        while tree is not None:
            if (found := tree._entries.get(path)) is not None:
                return found
            tree = tree._below
        return None

    def directory(self, path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> None:
        """Add a directory, or set the mode and owner of one."""
        self._add(path, Entry(mode, uid=uid, gid=gid))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, Entry(0o777, link=target))

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Add a file made here."""
        raw = content.encode() if isinstance(content, str) else content
        self._add(path, Entry(mode, content=raw, size=len(raw)))

    def copy(self, path: str, source: Path) -> None:
        """Add a copy of a host's file, readable by all; set-user-id bits and owners stay behind."""
        status = source.stat()
        mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        self._add(path, Entry(mode, mtime=int(status.st_mtime), source=source, size=status.st_size))

    def defer(self, fingerprint: str, fill: Callable[[], None]) -> None:
        """Put off costly additions until the layer is written; `fingerprint` says what they depend on."""
        self._deferred.append((fingerprint, fill))

    def _add(self, path: str, entry: Entry) -> None:
        path = self._resolve_parent(path)
        self._make_parents(path)
        self._entries[path] = entry

    def _make_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent != "/" and parent not in self._entries:
            self._make_parents(parent)
            # A layer repeats the directories above its files; they keep the look they have below.
            self._entries[parent] = self.entry(parent) or Entry(0o755)

    def _resolve_parent(self, path: str) -> str:
        """Follow the links in all but the last part of a path."""
        parts = [part for part in posixpath.normpath(path).split("/") if part]
        done = "/"
        followed = 0
        while len(parts) > 1:
            done = posixpath.join(done, parts.pop(0))
            entry = self.entry(done)
            if entry is not None and entry.link is not None:
                followed += 1
                if followed > _MAX_LINKS:
                    raise ValueError(f"too many links in {path}")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(done), entry.link))
                parts = [part for part in target.split("/") if part] + parts
                done = "/"
        return posixpath.join(done, *parts)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Yield (path, entry) in the order of the tar: parents first."""
        return iter(sorted(self._entries.items(), key=lambda item: item[0].split("/")))

    @property
    def newest(self) -> int:
        """Modification time of the newest host file, seconds since the epoch; 0 without any."""
        return max((entry.mtime for entry in self._entries.values()), default=0)

    def fingerprint(self) -> str:
        """Digest of all that the layer depends on, without reading the host's files.

        Compiled Python is left out: the interpreter adds some as it runs, and the layer is none the worse.
        """
        digest = hashlib.sha256()
        for path, entry in self.entries():
            if "/__pycache__" not in path:
                content = hashlib.sha256(entry.content).hexdigest() if entry.content is not None else ""
                known = (path, entry.mode, entry.mtime, entry.uid, entry.gid, entry.link, content, entry.size)
                digest.update(repr(known).encode())
        for known_later, _ in self._deferred:
            digest.update(known_later.encode())
        return digest.hexdigest()

    def write_tar(self, target: IO[bytes]) -> None:
        """Carry out what was put off and write the layer's uncompressed tar."""
        while self._deferred:
            self._deferred.pop(0)[1]()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, entry in self.entries():
                member = tarfile.TarInfo(path.removeprefix("/"))
                member.mode, member.mtime, member.uid, member.gid = entry.mode, entry.mtime, entry.uid, entry.gid
                if entry.link is not None:
                    member.type, member.linkname = tarfile.SYMTYPE, entry.link
                    tar.addfile(member)
                elif entry.is_directory:
                    member.type = tarfile.DIRTYPE
                    tar.addfile(member)
                elif entry.source is not None:
                    with entry.source.open("rb") as source:
                        member.size = entry.size
                        tar.addfile(member, source)
                else:
                    member.size = entry.size
                    tar.addfile(member, io.BytesIO(entry.content or b""))
