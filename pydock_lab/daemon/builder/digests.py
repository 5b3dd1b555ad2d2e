"""Content digests of what a step reads: the part of a cache key that mtimes can't fool.

A digest covers a file's kind, mode, link target and content, and its owner
where the copy keeps it; never its times. Source: Docker's cache rules
("the cache for ADD and COPY").
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20
_MEMO_ENTRIES = 200_000


def metadata_digest(mode: int, owner: str = "") -> hashlib._Hash:
    """Begin a file's digest; content or link target are to be added."""
    bits = 0 if stat.S_ISLNK(mode) else stat.S_IMODE(mode)
    return hashlib.sha256(f"{stat.S_IFMT(mode):o} {bits:o} {owner}\0".encode())


def file_digest(path: Path, status: os.stat_result, *, with_owner: bool) -> str:
    """Return `sha256:…` of one file, link or directory entry (not of what a directory holds)."""
    kind = stat.S_IFMT(status.st_mode)
    digest = metadata_digest(status.st_mode, f"{status.st_uid}:{status.st_gid}" if with_owner else "")
    if kind == stat.S_IFREG:
        _add_content(digest, path)
    elif kind == stat.S_IFLNK:
        digest.update(os.fsencode(path.readlink()))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        digest.update(str(status.st_rdev).encode())
    return f"sha256:{digest.hexdigest()}"


def _add_content(digest: hashlib._Hash, path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
    finally:
        os.close(fd)


def combined_digest(items: Iterable[tuple[str, str]]) -> str:
    """Return `sha256:…` over (name, digest) pairs, whatever their order."""
    digest = hashlib.sha256()
    for name, value in sorted(items):
        digest.update(os.fsencode(name) + b"\0" + value.encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


class DigestMemo:
    """Digests of stacks of layers: they never change, so what was read once stays true."""

    def __init__(self) -> None:
        self._stacks: OrderedDict[str, dict[str, dict[str, str]]] = OrderedDict()

    def of(self, chain_id: str) -> dict[str, dict[str, str]]:
        """Return what is known of a stack: path → relative path → digest; to be added to."""
        known = self._stacks.setdefault(chain_id, {})
        self._stacks.move_to_end(chain_id)
        while len(self._stacks) > 1 and self._count() > _MEMO_ENTRIES:
            self._stacks.popitem(last=False)
        return known

    def _count(self) -> int:
        return sum(len(digests) for paths in self._stacks.values() for digests in paths.values())
