"""A stack of layer directories read as one file system, without mounting it.

COPY, ADD and WORKDIR work on an image's files and need no container. Reading
merges the directories as overlayfs does (whiteouts, opaque directories);
writing goes to the topmost one, `upper`, which becomes the step's layer. Paths
are resolved inside the stack: symlinks and `..` never lead out of it.

Source: Documentation/filesystems/overlayfs.rst; path_resolution(7).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.daemon.builder.digests import file_digest
from pydock_lab.daemon.store.archive import PRIVATE_XATTRS, is_whiteout, opaque_xattr
from pydock_lab.daemon.store.owners import note_owner, noted_owner

_MAX_LINKS = 255


@dataclass(frozen=True)
class Place:
    """Something that exists in the merged file system.

    Attributes:
        path: Absolute in the rootfs, links resolved.
        status: Its lstat.
        real: Where it is on the host; of a directory every one that is merged, topmost first.
    """

    path: str
    status: os.stat_result
    real: tuple[Path, ...]

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory (a link to one is not)."""
        return stat.S_ISDIR(self.status.st_mode)


class Rootfs:
    """A merged view of layer directories.

    Args:
        layers: Absolute directories, topmost first.
        rootless: Opaque directories carry the attribute that a user namespace may set.
    """

    def __init__(self, layers: Sequence[Path], *, rootless: bool = False) -> None:
        self._opaque = opaque_xattr(rootless)
        self.rootless = rootless
        self.layers = tuple(layers)

    @property
    def root(self) -> Place:
        """The root directory."""
        return Place("/", self.layers[0].stat(), self.layers)

    def child(self, directory: Place, name: str) -> Place | None:
        """Return one entry of a directory, not following a link."""
        found: list[Path] = []
        status: os.stat_result | None = None
        for real in directory.real:
            candidate = real / name
            try:
                there = os.lstat(candidate)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue
                raise
            if is_whiteout(there):
                break
            if not stat.S_ISDIR(there.st_mode):
                if status is None:
                    return Place(_join(directory.path, name), there, (candidate,))
                break
            found.append(candidate)
            status = status or there
            if self._is_opaque(candidate):
                break
        return None if status is None else Place(_join(directory.path, name), status, tuple(found))

    def resolve(self, path: str, *, follow: bool = True) -> Place | None:
        """Find a path; None where nothing is there.

        Args:
            path: Absolute in the rootfs.
            follow: Follow a link in the last component as well.

        Raises:
            OSError: ELOOP for links that never end, ENOTDIR for a path through a file.
        """
        place, rest = self.descend(path, follow=follow)
        return None if rest else place

    def descend(self, path: str, *, follow: bool = True) -> tuple[Place, list[str]]:
        """Go down a path as far as it exists; return the last place and the names that are missing."""
        steps = deque(name for name in path.split("/") if name not in ("", "."))
        stack = [self.root]
        links = 0
        while steps:
            name = steps.popleft()
            if name == "..":
                if len(stack) > 1:
                    stack.pop()
                continue
            entry = self.child(stack[-1], name)
            if entry is None:
                return stack[-1], _normal([name, *steps])
            if stat.S_ISLNK(entry.status.st_mode) and (steps or follow):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = self.link_target(entry)
                if target.startswith("/"):
                    del stack[1:]
                steps.extendleft(reversed([part for part in target.split("/") if part not in ("", ".")]))
                continue
            if steps and not entry.is_directory:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), entry.path)
            stack.append(entry)
        return stack[-1], []

    def entries(self, directory: Place) -> list[Place]:
        """Return what a directory holds, by name."""
        names: set[str] = set()
        for real in directory.real:
            names.update(path.name for path in real.iterdir())
        places = (self.child(directory, name) for name in sorted(names))
        return [place for place in places if place is not None]

    def walk(self, top: Place) -> Iterator[Place]:
        """Yield everything below a directory, parents first, by name; links are not followed."""
        pending = [iter(self.entries(top))]
        while pending:
            place = next(pending[-1], None)
            if place is None:
                pending.pop()
                continue
            yield place
            if place.is_directory:
                pending.append(iter(self.entries(place)))

    def link_target(self, place: Place) -> str:
        """Return what a link says."""
        return str(place.real[0].readlink())

    def digests(self, place: Place, *, with_owner: bool) -> dict[str, str]:
        """Return the digests of a path ("") and all below it, by their relative paths."""
        own = {"": file_digest(place.real[0], place.status, with_owner=with_owner)}
        if place.is_directory:
            below = len(place.path.rstrip("/")) + 1
            for entry in self.walk(place):
                own[entry.path[below:]] = file_digest(entry.real[0], entry.status, with_owner=with_owner)
        return own

    def _is_opaque(self, path: Path) -> bool:
        try:
            return os.getxattr(path, self._opaque, follow_symlinks=False) == b"y"
        except OSError:
            return False


class WritableRootfs(Rootfs):
    """A rootfs whose topmost directory takes what is written.

    Args:
        upper: Absolute directory; holds only what this step changes.
        lowers: The image's layers, topmost first.
    """

    def __init__(self, upper: Path, lowers: Sequence[Path], *, rootless: bool = False) -> None:
        super().__init__((upper, *lowers), rootless=rootless)
        self.upper = upper

    def real_directory(self, path: str, *, owner: tuple[int, int] = (0, 0)) -> Path:
        """Return the directory in `upper` for a path, making it and its parents where they are missing.

        A directory that exists in the image keeps its mode, owner, times and attributes; a new one is
        0755 and belongs to `owner`. Links on the way are followed inside the rootfs.

        Raises:
            OSError: ENOTDIR where a file is in the way.
        """
        place, missing = self.descend(path)
        if not place.is_directory:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        real = self._copy_up(place)
        for name in missing:
            real = self.replace(real, name)
            real.mkdir(0o755)
            real.chmod(0o755)
            self.own(real, *owner)
        return real

    def ensure_directory(self, path: str) -> None:
        """Make a directory that the image does not have; where it is there, nothing is written.

        So WORKDIR makes a layer only if it has to create.

        Raises:
            OSError: ENOTDIR where a file is in the way.
        """
        place, missing = self.descend(path)
        if missing or not place.is_directory:
            self.real_directory(path)

    def replace(self, directory: Path, name: str) -> Path:
        """Return where `name` may be made in a directory of `upper`; what stood there is gone."""
        real = directory / name
        try:
            there = os.lstat(real)
        except FileNotFoundError:
            return real
        if stat.S_ISDIR(there.st_mode):
            shutil.rmtree(real)
        else:
            real.unlink()
        return real

    def own(self, real: Path, uid: int, gid: int) -> None:
        """Give a path to an owner; what a user namespace may not is noted for the layer's tar."""
        try:
            os.chown(real, uid, gid, follow_symlinks=False)
        except OSError as error:
            # A user namespace knows only the ids that are mapped; the store keeps to the same rule.
            if not (self.rootless and error.errno in (errno.EPERM, errno.EINVAL)):
                raise
            note_owner(real, uid, gid)

    def _copy_up(self, place: Place) -> Path:
        """Make the directories of `upper` that lead to an existing directory, like those below them."""
        real = self.upper
        current = self.root
        if not any(self.upper.iterdir()) and len(self.layers) > 1:
            self.like(real, self.layers[1])
        for name in place.path.split("/")[1:] if place.path != "/" else []:
            below = self.child(current, name)
            if below is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), place.path)
            real = real / name
            if below.real[0] != real:
                real.mkdir(0o700)
                self.like(real, below.real[0])
            current = Place(below.path, below.status, below.real)
        return real

    def like(self, real: Path, model: Path) -> None:
        """Give a path the owner, mode, attributes and times of another."""
        status = os.lstat(model)
        self.own(real, *(noted_owner(model) or (status.st_uid, status.st_gid)))
        copy_xattrs(model, real)
        if not stat.S_ISLNK(status.st_mode):
            real.chmod(stat.S_IMODE(status.st_mode))
        os.utime(real, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def copy_xattrs(source: Path, target: Path) -> None:
    """Copy extended attributes, except overlayfs' own."""
    try:
        names = os.listxattr(source, follow_symlinks=False)
    except OSError:
        return
    for name in names:
        if name.startswith(PRIVATE_XATTRS):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def _join(directory: str, name: str) -> str:
    return f"/{name}" if directory == "/" else f"{directory}/{name}"


def _normal(names: list[str]) -> list[str]:
    """Take `..` out of names that don't exist yet."""
    done: list[str] = []
    for name in names:
        if name != "..":
            done.append(name)
        elif done:
            done.pop()
    return done
