"""Content digests of what a step reads: the part of a cache key that mtimes can't fool.

A digest covers a file's kind, mode, link target and content, and its owner
where the copy keeps it; never its times. Source: Docker's cache rules
("the cache for ADD and COPY").
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20


def file_digest(path: Path, status: os.stat_result, *, with_owner: bool) -> str:
    """Return `sha256:…` of one file, link or directory entry (not of what a directory holds)."""
    kind = stat.S_IFMT(status.st_mode)
    owner = f"{status.st_uid}:{status.st_gid}" if with_owner else ""
    mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
    digest = hashlib.sha256(f"{kind:o} {mode:o} {owner}\0".encode())
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
