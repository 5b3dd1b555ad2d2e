"""Garbage collection of the embedded registry: what no manifest names any longer goes.

Deleting a tag or a manifest leaves its layers behind, since another manifest may
need them. Collecting marks what the manifests reach, then sweeps the rest, as
`registry garbage-collect` of distribution/distribution does. Unlike there the
registry may go on serving: what came within the grace period stays, because a
push brings the layers first and the manifest that names them last. A push that
finds a layer by HEAD brings no bytes: asking makes the blob young again. Blocks.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.daemon.registry.server_storage import digest_of

GRACE_S = 3600


@dataclass
class Collected:
    """What was swept, or would be.

    Attributes:
        manifests: `NAME@sha256:…` of manifests without a tag.
        blobs: Digests of blobs whose bytes went.
        freed_bytes: Of those blobs.
    """

    manifests: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    freed_bytes: int = 0


@dataclass
class _Repository:
    """One repository's files, and which of them are needed."""

    name: str
    directory: Path
    manifests: dict[str, dict[str, Any]]
    tagged: set[str]
    kept: set[str] = field(default_factory=set)
    blobs: set[str] = field(default_factory=set)

    def mark(self, roots: set[str]) -> None:
        """Follow indexes to their manifests, manifests to their blobs and to what refers to them."""
        referrers: dict[str, list[str]] = {}
        for value, document in self.manifests.items():
            if isinstance(subject := document.get("subject"), dict):
                referrers.setdefault(_hex(subject), []).append(value)
        left = list(roots)
        while left:
            value = left.pop()
            if value not in self.manifests or value in self.kept:
                continue
            self.kept.add(value)
            document = self.manifests[value]
            left += referrers.get(value, [])
            left += [_hex(part) for part in document.get("manifests") or []]
            config = [document["config"]] if isinstance(document.get("config"), dict) else []
            self.blobs.update(_hex(part) for part in (*config, *(document.get("layers") or [])))


def collect(root: Path, *, delete_untagged: bool = False, dry_run: bool = False, grace_s: float = GRACE_S) -> Collected:
    """Delete the blobs that no manifest names.

    Args:
        root: The registry's directory, see server_storage.py.
        delete_untagged: Also delete manifests that no tag leads to, not even through an index or as a referrer.
        dry_run: Delete nothing, only tell.
        grace_s: Seconds for which a file stays in any case.
    """
    found, swept = Collected(), Counter[str]()
    born_before = time.time() - grace_s
    doomed: list[Path] = []
    for repository in _repositories(root / "repositories"):
        young = {path.name for path in _files(repository.directory / "_manifests") if not _is_old(path, born_before)}
        repository.mark(repository.tagged | young if delete_untagged else set(repository.manifests))
        for value in sorted(repository.manifests.keys() - repository.kept):
            found.manifests.append(f"{repository.name}@{digest_of(value)}")
            if not dry_run:
                _delete_manifest(repository, value)
        for path in _files(repository.directory / "_blobs"):
            if path.name not in repository.blobs and _is_old(path, born_before):
                swept[path.name] += 1
                doomed.append(path)
    # Not before all are known: unlinking one renews the time of the blob's other links.
    for path in doomed:
        if _is_wanted(path, born_before):
            swept[path.name] -= 1
        elif not dry_run:
            path.unlink(missing_ok=True)
    for path in _files(root / "blobs"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            # A blob that was swept just now has a new time for that reason alone.
            links = status.st_nlink - (swept[path.name] if dry_run else 0)
            gone = swept[path.name] > 0 and status.st_mtime < born_before
            if links == 1 and (gone or _is_old(path, born_before)):
                found.blobs.append(digest_of(path.name))
                found.freed_bytes += status.st_size
                if not dry_run:
                    path.unlink()
    return found


def _repositories(root: Path) -> Iterator[_Repository]:
    for directory in sorted({path.parent for path in root.rglob("_*") if path.name in ("_manifests", "_blobs")}):
        manifests = {path.name: msgspec.json.decode(path.read_bytes()) for path in _files(directory / "_manifests")}
        tagged = {path.read_text().partition(":")[2] for path in _files(directory / "_tags")}
        yield _Repository(str(directory.relative_to(root)), directory, manifests, tagged)


def _delete_manifest(repository: _Repository, value: str) -> None:
    subject = repository.manifests[value].get("subject")
    if isinstance(subject, dict):
        (repository.directory / "_referrers" / _hex(subject) / value).unlink(missing_ok=True)
    (repository.directory / "_manifests" / value).unlink(missing_ok=True)


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _is_old(path: Path, born_before: float) -> bool:
    """By the inode's time: it is new as well where a repository took the blob from another."""
    try:
        return path.stat().st_ctime < born_before
    except FileNotFoundError:
        return False


def _is_wanted(path: Path, born_before: float) -> bool:
    """Whether a client has asked for it since it was found to be old; unlinking another link leaves this time alone."""
    try:
        return path.stat().st_mtime >= born_before
    except FileNotFoundError:
        return False


def _hex(descriptor: dict[str, Any]) -> str:
    return str(descriptor.get("digest") or "").partition(":")[2]
