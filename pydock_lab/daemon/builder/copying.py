"""Carry out COPY and ADD: sources into the upper directory of a step.

No container is started; the rootfs is the merged view of rootfs.py. Files are
copied by the kernel (reflinks where the file system has them). Source: the
Dockerfile reference, "COPY" and "ADD"; moby's classic builder for the details
it leaves open (a link at the destination is followed, one inside a copied
directory is replaced).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.daemon.builder.rootfs import Place, Rootfs, WritableRootfs, copy_xattrs
from pydock_lab.daemon.builder.sources import Source
from pydock_lab.daemon.store.owners import noted_owner
from pydock_lab.dockerfile.filemode import FileMode
from pydock_lab.errors import InvalidParameter

_COPY_CHUNK = 1 << 30


@dataclass(frozen=True)
class Ownership:
    """What the copies get.

    Attributes:
        owner: uid and gid, or None to keep the source's.
        mode: What `--chmod` makes of the source's permissions, or None to keep them.
    """

    owner: tuple[int, int] | None = (0, 0)
    mode: FileMode | None = None


class Copier:
    """Copies into one step's upper directory.

    Args:
        target: Where to.
        ownership: For all that is made.
        lent: The sources are files of this build alone that nobody writes to again, such as an unpacked
            context: where a copy would be the same in everything it shares their bytes (a hard link).
            They go away with the build, so that the layer's file has one name again.
    """

    def __init__(self, target: WritableRootfs, ownership: Ownership, *, lent: bool = False) -> None:
        self.target = target
        self.ownership = ownership
        self._lent = lent
        self._linked: dict[tuple[int, int], Path] = {}
        self._touched: list[tuple[Path, os.stat_result]] = []

    def copy(self, source: Source, tree: Rootfs, destination: str) -> None:
        """Copy one source.

        Args:
            source: A file or a directory, whose contents are copied.
            tree: The tree it lies in, its files being there.
            destination: Absolute in the rootfs; a trailing slash means a directory.
        """
        place = tree.resolve(source.place.path, follow=False)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source.name)
        if place.is_directory:
            self._copy_directory(source, place, tree, destination)
        else:
            directory, name = self.locate(destination, source.name.rpartition("/")[2])
            self._copy_one(place, directory, name)
        self._restore_times()

    def write(self, content: bytes, name: str, destination: str) -> None:
        """Make a file of given content: a here-document of COPY."""
        directory, last = self.locate(destination, name)
        real = self.target.replace(directory, last)
        real.write_bytes(content)
        real.chmod(self._mode(0o644))
        self.target.own(real, *(self.ownership.owner or (0, 0)))

    def locate(self, destination: str, name: str) -> tuple[Path, str]:
        """Return the directory of `upper` and the name that a file is to be made under."""
        place, missing = self.target.descend(destination)
        if not missing and place.is_directory:
            return self._directory(place.path), name
        if not missing:
            directory, _, last = place.path.rpartition("/")
            if destination.endswith("/"):
                raise InvalidParameter(f"cannot copy to directory {destination}: it is a file")
            return self._directory(directory or "/"), last
        if not place.is_directory:
            raise InvalidParameter(f"cannot create {destination}: {place.path} is not a directory")
        path = "/".join([place.path.rstrip("/"), *missing])
        if destination.endswith("/"):
            return self._directory(path), name
        directory, _, last = path.rpartition("/")
        return self._directory(directory or "/"), last

    def _directory(self, path: str) -> Path:
        return self.target.real_directory(path, owner=self.ownership.owner or (0, 0))

    def _copy_directory(self, source: Source, place: Place, tree: Rootfs, destination: str) -> None:
        there = self.target.resolve(destination)
        if there is not None and not there.is_directory:
            # As the classic builder: the file gives way to the directory.
            self.target.replace(self._directory(there.path.rpartition("/")[0] or "/"), there.path.rpartition("/")[2])
            there = None
        top = self._directory(destination)
        if there is None:
            self._finish(place, top)
        wanted = source.digests
        below = len(place.path.rstrip("/")) + 1
        made = {"": top}
        for entry in tree.walk(place):
            relative = entry.path[below:]
            if relative not in wanted:
                continue
            head, _, name = relative.rpartition("/")
            parent = made.get(head)
            if parent is None:
                parent = made[head] = self._directory(f"{destination.rstrip('/')}/{head}")
            if entry.is_directory:
                made[relative] = self._make_directory(entry, parent, name)
            else:
                self._copy_one(entry, parent, name)

    def _make_directory(self, entry: Place, parent: Path, name: str) -> Path:
        """Make or take over a directory below one that is being copied; a link in its place is replaced."""
        real = parent / name
        virtual = "/" + str(real.relative_to(self.target.upper))
        there = self.target.resolve(virtual, follow=False)
        if there is None or not there.is_directory:
            real = self.target.replace(parent, name)
            real.mkdir(0o700)
        else:
            self._directory(virtual)
        self._finish(entry, real)
        return real

    def _copy_one(self, place: Place, directory: Path, name: str) -> None:
        source = place.real[0]
        kind = stat.S_IFMT(place.status.st_mode)
        real = self.target.replace(directory, name)
        inode = (place.status.st_dev, place.status.st_ino)
        if place.status.st_nlink > 1 and kind == stat.S_IFREG and inode in self._linked:
            os.link(self._linked[inode], real, follow_symlinks=False)
            return
        if kind == stat.S_IFREG:
            if self._takes_over(place, source, real):
                self._linked[inode] = real
                return
            _copy_content(source, real)
            self._linked[inode] = real
        elif kind == stat.S_IFLNK:
            real.symlink_to(source.readlink())
        elif kind == stat.S_IFIFO:
            os.mkfifo(real)
        elif kind == stat.S_IFSOCK:
            return
        else:
            os.mknod(real, place.status.st_mode, place.status.st_rdev)
        self._finish(place, real)

    def _mode(self, mode: int) -> int:
        """The permission bits of a copy of something with the mode `mode`."""
        bits = stat.S_IMODE(mode)
        wanted = self.ownership.mode
        return bits if wanted is None else wanted.apply(bits, is_directory=stat.S_ISDIR(mode))

    def _takes_over(self, place: Place, source: Path, real: Path) -> bool:
        """Link a lent file instead of copying it, if owner and mode stay as they are; return whether that was done."""
        status = place.status
        same_owner = self.ownership.owner in (None, (status.st_uid, status.st_gid)) and not noted_owner(source)
        same_mode = self._mode(status.st_mode) == stat.S_IMODE(status.st_mode)
        if not (self._lent and same_owner and same_mode and status.st_nlink == 1):
            return False
        try:
            os.link(source, real, follow_symlinks=False)
        except OSError:  # another file system, or one without links
            return False
        return True

    def _finish(self, place: Place, real: Path) -> None:
        """Owner, attributes, mode and times of a copy; chown comes first, it clears bits."""
        status = place.status
        kept = noted_owner(place.real[0]) or (status.st_uid, status.st_gid)
        self.target.own(real, *(self.ownership.owner or kept))
        copy_xattrs(place.real[0], real)
        if not stat.S_ISLNK(status.st_mode):
            real.chmod(self._mode(status.st_mode))
        os.utime(real, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
        if place.is_directory:
            self._touched.append((real, status))

    def _restore_times(self) -> None:
        """Set directory times again: filling them has changed them."""
        for real, status in self._touched:
            os.utime(real, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._touched.clear()


def _copy_content(source: Path, target: Path) -> None:
    """Copy a file's bytes inside the kernel."""
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while os.copy_file_range(read, write, _COPY_CHUNK):
                pass
        finally:
            os.close(write)
    except OSError:
        # Not every file system copies by itself (EXDEV, EOPNOTSUPP, EINVAL); none loses data by trying.
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
    finally:
        os.close(read)


def resolve_owner(text: str, rootfs: Rootfs) -> tuple[int, int]:
    """Read `--chown`: names are looked up in the image's own /etc/passwd and /etc/group.

    Raises:
        InvalidParameter: there is no such name.
    """
    user, colon, group = text.partition(":")
    users = _accounts(rootfs, "/etc/passwd")
    uid = _identifier(user, users, "user")
    if not colon:
        # Docker gives the group the user's number.
        return uid, uid
    return uid, _identifier(group, _accounts(rootfs, "/etc/group"), "group")


def _identifier(word: str, accounts: dict[str, int], kind: str) -> int:
    if word.isdecimal() and word.isascii():
        return int(word)
    if word not in accounts:
        letter = "uid" if kind == "user" else "gid"
        raise InvalidParameter(
            f"unable to convert uid/gid chown string to host mapping: can't find {letter} for {kind} {word}: "
            f"no such {kind}: {word}"
        )
    return accounts[word]


def _accounts(rootfs: Rootfs, path: str) -> dict[str, int]:
    place = rootfs.resolve(path)
    if place is None or not stat.S_ISREG(place.status.st_mode):
        return {}
    rows = (line.split(":") for line in place.real[0].read_text(errors="replace").splitlines())
    return {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal()}


def clamp_times(upper: Path, epoch: int) -> None:
    """Make nothing in a directory tree newer than `epoch` (seconds): SOURCE_DATE_EPOCH."""
    limit = epoch * 10**9
    for path in upper.rglob("*"):
        if path.lstat().st_mtime_ns > limit:
            os.utime(path, ns=(limit, limit), follow_symlinks=False)
    os.utime(upper, ns=(limit, limit))
