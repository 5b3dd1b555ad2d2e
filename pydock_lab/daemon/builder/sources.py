"""What COPY and ADD read: files of the build context, of another stage, or written in the Dockerfile.

Finds what a source path or pattern means and takes its content digests; writes
nothing. Source: the Dockerfile reference, "COPY"; Go's path.Match for patterns.
"""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydock_lab.daemon.builder.digests import combined_digest
from pydock_lab.daemon.builder.rootfs import Place, Rootfs
from pydock_lab.dockerfile.ignore import Ignore, compile_pattern
from pydock_lab.errors import InvalidParameter

_WILDCARD = re.compile(r"(?<!\\)[*?\[]")


@dataclass(frozen=True)
class Source:
    """One thing to copy.

    Attributes:
        name: Relative to the root of the context or image, as the user named it; "" is the root.
        place: What it is, links resolved.
        digests: Relative path below it ("" for itself) → digest.
    """

    name: str
    place: Place
    digests: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """Docker's word for it in the history: `file:…` or `dir:…`."""
        if not self.place.is_directory:
            return "file:" + self.digests[""].removeprefix("sha256:")
        return "dir:" + combined_digest(self.digests.items()).removeprefix("sha256:")


@dataclass
class SourceTree:
    """A tree that sources are named in.

    Args:
        rootfs: The context's directory, or an image's layers.
        is_context: Owners don't count, and errors speak of the build context.
        unpack: Makes the files and returns them, where `rootfs` only knows of them; blocks.
        known: Path → digests that need not be taken again; is added to.
        kept: The files stay when the build has ended: nothing may share their bytes.
    """

    rootfs: Rootfs
    is_context: bool
    unpack: Callable[[], Rootfs] | None = None
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: bool = False

    def files(self) -> Rootfs:
        """Return the tree with its files really there; may block for long."""
        return self.rootfs if self.unpack is None else self.unpack()

    def find(self, word: str, exclude: Sequence[str] = ()) -> list[Source]:
        """Return what a source word means, patterns expanded.

        Raises:
            InvalidParameter: nothing is there, or the path leads out of the context.
        """
        if self.is_context:
            _check_inside(word)
        path = posixpath.normpath("/" + word).lstrip("/")
        ignore = Ignore(list(exclude)) if exclude else None
        if _WILDCARD.search(path):
            return [self._source(place.path.lstrip("/"), place, ignore) for place in self._matches(path)]
        try:
            place = self.rootfs.resolve(path or "/")
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            place = None
        if place is None:
            prefix = "file not found in build context or excluded by .dockerignore: " if self.is_context else ""
            raise InvalidParameter(f"{prefix}stat {path}: file does not exist", hint=self._nearby(path))
        return [self._source(path, place, ignore)]

    def _matches(self, pattern: str) -> list[Place]:
        """Expand a pattern level by level, so that only directories that can match are read."""
        places = [self.rootfs.root]
        parts = pattern.split("/")
        for number, part in enumerate(parts):
            if part == "**":
                places = [place for start in places for place in (start, *self.rootfs.walk(start))]
                continue
            regex = compile_pattern(part)
            last = number == len(parts) - 1
            places = [
                entry
                for place in places
                if place.is_directory
                for entry in self.rootfs.entries(place)
                if regex.match(posixpath.basename(entry.path)) and (last or entry.is_directory)
            ]
        return places

    def _source(self, name: str, place: Place, ignore: Ignore | None) -> Source:
        if place.path not in self.known:
            self.known[place.path] = self.rootfs.digests(place, with_owner=not self.is_context)
        digests = self.known[place.path]
        if ignore is not None:
            digests = {path: value for path, value in digests.items() if not path or not ignore.excludes(path)}
        return Source(name, place, digests)

    def _nearby(self, path: str) -> str | None:
        """A hint: what the directory does hold."""
        place, _ = self.rootfs.descend(posixpath.dirname("/" + path))
        if not place.is_directory:
            return None
        names = [posixpath.basename(entry.path) for entry in self.rootfs.entries(place)]
        where = "the build context" if self.is_context else "the source"
        more = ", …" if len(names) > 8 else ""
        return f"{where} holds: {', '.join(names[:8])}{more}" if names else f"{where} is empty"


def _check_inside(word: str) -> None:
    if posixpath.normpath(word.lstrip("/") or ".").startswith(".."):
        raise InvalidParameter(f"forbidden path outside the build context: {word} ()")
