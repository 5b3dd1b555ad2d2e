"""Unpacking tars that nobody vouches for: the one extractor of the engine.

Layers that are pulled or loaded, `ADD archive.tar`, build contexts and imports
all come through here. Nothing is written outside the root (tree.py), whiteouts
become what overlayfs understands, and limits stop a bomb before the disk is full.

Sources: OCI image-spec layer.md (whiteouts, hard links), overlayfs.rst in the
kernel's Documentation/filesystems. The way back is pack.py.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydock_lab.daemon.store.owners import note_owner
from pydock_lab.daemon.store.recipe import RecipeWriter
from pydock_lab.daemon.store.tree import Tree, clean, remove
from pydock_lab.errors import InvalidParameter, SystemFailure
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry, TarReader

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_WHITEOUT_META = ".wh..wh."

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNMAPPED = (errno.EPERM, errno.EINVAL)
_NO_XATTR = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)
# What overlayfs keeps about itself: from an archive it would rewire the mount.
PRIVATE_XATTRS = ("trusted.overlay.", "user.overlay.")


def opaque_xattr(rootless: bool) -> str:
    """The attribute that makes a directory hide what lies below it."""
    return "user.overlay.opaque" if rootless else "trusted.overlay.opaque"


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a path deletes what lies below it (a 0:0 character device)."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


@dataclass(frozen=True)
class Limits:
    """What one archive may cost.

    Args:
        entries: Number of members.
        content_bytes: Unpacked bytes of all files together.
    """

    entries: int = 4_000_000
    content_bytes: int = 64 << 30


@dataclass(frozen=True)
class Unpacked:
    """What an archive came to.

    Attributes:
        size: Bytes as Docker counts a layer's: files and link targets.
        entries: Number of members.
        implied: Paths of directories that it uses without naming them; "" is the root.
    """

    size: int
    entries: int
    implied: frozenset[str]


def unpack(
    stream: IO[bytes],
    root: Path,
    *,
    layer: bool = False,
    rootless: bool = False,
    owner: tuple[int, int] | None = None,
    devices: bool = True,
    limits: Limits | None = None,
    recipe: RecipeWriter | None = None,
) -> Unpacked:
    """Unpack a plain tar into the directory `root`, which may hold files already; read it to its end.

    Args:
        stream: `read(n)` returns less than n only at the end.
        root: Absolute; its own mode, owner and times are set where the archive names `.`.
        layer: Turn `.wh.` entries into overlay whiteouts; otherwise they are ordinary files.
        rootless: This process is root in a user namespace only: what it may not do (owners that are
            not mapped, device nodes) is left out.
        owner: uid and gid for everything, or None for the archive's own.
        devices: Make device nodes; otherwise refuse them.
        limits: What the archive may cost; the defaults where None.
        recipe: Takes down how to put the same tar together again.

    Raises:
        InvalidParameter: the archive is malformed, leads out of the root, or breaks a limit.
    """
    with Tree(root) as tree:
        unpacker = _Unpacker(tree, layer, rootless, owner, devices, limits or Limits(), recipe)
        reader = TarReader(stream, recipe.raw if recipe else None)
        try:
            for entry in reader:
                unpacker.place(entry, reader)
            reader.finish()
            unpacker.finish()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise SystemFailure(f"write {error.filename or root}: {os.strerror(error.errno).lower()}") from error
            message = os.strerror(error.errno or 0).lower()
            # A descriptor's number says nothing to anybody.
            name = error.filename if isinstance(error.filename, str) else unpacker.name
            raise InvalidParameter(f"failed to unpack {name!r}: {message}") from error
    return Unpacked(unpacker.size, unpacker.entries, frozenset(unpacker.implied))


class _Unpacker:
    def __init__(
        self,
        tree: Tree,
        layer: bool,
        rootless: bool,
        owner: tuple[int, int] | None,
        devices: bool,
        limits: Limits,
        recipe: RecipeWriter | None,
    ) -> None:
        self._tree = tree
        self._layer = layer
        self._rootless = rootless
        self._owner = owner
        self._devices = devices
        self._limits = limits
        self._recipe = recipe
        self._directory_times: dict[str, int] = {}
        self._content_bytes = 0
        self.name = ""
        self.size = 0
        self.entries = 0
        self.implied = {""}

    def place(self, entry: Entry, reader: TarReader) -> None:
        """Make what one entry says."""
        self.name = entry.name
        self._tree.trim()
        self._count(entry)
        path = clean(entry.name)
        if not path:
            if entry.type == tarformat.DIRECTORY:
                self._finish_path(self._tree.fd, ".", entry)
                self._directory_times[""] = entry.settable_ns
                self.implied.discard("")
            return
        parent, name = self._tree.locate(path, self._make_directory)
        if self._layer and name.startswith(WHITEOUT):
            self._whiteout(parent, name, path)
        elif entry.type == tarformat.REGULAR:
            self._regular(parent, name, path, entry, reader)
        elif entry.type == tarformat.DIRECTORY:
            self._directory(parent, name, path, entry)
        else:
            self._special(parent, name, path, entry)

    def finish(self) -> None:
        """Set the times of directories, which their contents have changed."""
        for path, mtime_ns in reversed(self._directory_times.items()):
            self._tree.trim()
            try:
                parent, name = self._tree.locate(path) if path else (self._tree.fd, ".")
                _set_mtime(parent, name, mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced by a later entry

    def _count(self, entry: Entry) -> None:
        self.entries += 1
        # Holes count too: whoever reads the file later, reads their zeros.
        self._content_bytes += entry.size if entry.type == tarformat.REGULAR else 0
        if self.entries > self._limits.entries or self._content_bytes > self._limits.content_bytes:
            raise InvalidParameter("archive is larger than the engine's limit for unpacking")
        if entry.type == tarformat.REGULAR:
            self.size += entry.size
        elif entry.type == tarformat.SYMLINK:
            self.size += len(os.fsencode(entry.linkname))

    def _regular(self, parent: int, name: str, path: str, entry: Entry, reader: TarReader) -> None:
        fd = self._create(parent, name, path)
        try:
            reader.write(entry, fd)
            self._own(fd, entry)
            self._set_xattrs(fd, entry)
            os.fchmod(fd, entry.mode)
            _set_mtime(fd, None, entry.settable_ns)
        finally:
            os.close(fd)
        if self._recipe is not None and entry.size:
            self._recipe.content(path, entry.segments)

    def _create(self, parent: int, name: str, path: str) -> int:
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            parent = self._clear(parent, name, path)
            return os.open(name, _CREATE, 0o600, dir_fd=parent)

    def _directory(self, parent: int, name: str, path: str, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                parent = self._clear(parent, name, path)
                os.mkdir(name, 0o700, dir_fd=parent)
                if self._layer and is_whiteout(there):
                    self._make_opaque(parent, name)
        self._finish_path(parent, name, entry)
        self._directory_times[path] = entry.settable_ns
        self.implied.discard(path)

    def _special(self, parent: int, name: str, path: str, entry: Entry) -> None:
        """Links, symlinks, fifos and devices: made by name, replacing what is there."""
        try:
            made = self._make_special(parent, name, entry)
        except FileExistsError:
            parent = self._clear(parent, name, path)
            made = self._make_special(parent, name, entry)
        if made and entry.type != tarformat.LINK:
            self._finish_path(parent, name, entry)

    def _make_special(self, parent: int, name: str, entry: Entry) -> bool:
        kind = entry.type
        if kind == tarformat.SYMLINK:
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif kind == tarformat.LINK:
            source, target = self._tree.locate(clean(entry.linkname) or ".")
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        elif kind == tarformat.FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif kind in (tarformat.CHARACTER, tarformat.BLOCK_DEVICE):
            if not self._devices:
                raise InvalidParameter(f"device nodes are not allowed here: {entry.name}")
            if self._rootless:
                return False  # as Docker does in a user namespace
            file_type = stat.S_IFCHR if kind == tarformat.CHARACTER else stat.S_IFBLK
            os.mknod(name, file_type | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        else:
            raise InvalidParameter(f"unhandled tar header type {ord(kind)}")
        return True

    def _whiteout(self, parent: int, name: str, path: str) -> None:
        """Delete something of the layers below (whiteouts never touch the layer's own files)."""
        if name == OPAQUE:
            self._make_opaque(parent, ".")
            return
        if name.startswith(_WHITEOUT_META):
            return  # aufs' own housekeeping, as Docker ignores it
        hidden = name.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            raise InvalidParameter(f"invalid whiteout in archive: {path!r}")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                self._make_opaque(parent, hidden)

    def _make_opaque(self, parent: int, name: str) -> None:
        os.setxattr(_proc_path(parent, name), opaque_xattr(self._rootless), b"y")

    def _clear(self, parent: int, name: str, path: str) -> int:
        """Make room for an entry of the same name; return the directory's descriptor anew."""
        if self._recipe is not None:
            self._recipe.displace(parent, name, path)
        else:
            remove(parent, name)
        self._tree.forget()
        self.implied -= {other for other in self.implied if other == path or other.startswith(f"{path}/")}
        return self._tree.locate(path, self._make_directory)[0]

    def _make_directory(self, parent: int, name: str, path: str) -> None:
        """Make a directory the archive uses but does not name."""
        os.mkdir(name, 0o755, dir_fd=parent)
        self._own_path(parent, name, Entry(path, tarformat.DIRECTORY))
        os.chmod(name, 0o755, dir_fd=parent)
        self.implied.add(path)

    def _finish_path(self, parent: int, name: str, entry: Entry) -> None:
        """Owner, attributes, mode and time of something that is not open; chown comes first, it clears bits."""
        self._own_path(parent, name, entry)
        if entry.xattrs:
            self._set_xattrs(_proc_path(parent, name), entry)
        if entry.type != tarformat.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)
        if entry.type != tarformat.DIRECTORY:
            _set_mtime(parent, name, entry.settable_ns)

    def _own(self, fd: int, entry: Entry) -> None:
        try:
            os.fchown(fd, *(self._owner or (entry.uid, entry.gid)))
        except OSError as error:
            if not (self._rootless and error.errno in _UNMAPPED):
                raise
            note_owner(fd, *(self._owner or (entry.uid, entry.gid)))

    def _own_path(self, parent: int, name: str, entry: Entry) -> None:
        try:
            os.chown(name, *(self._owner or (entry.uid, entry.gid)), dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if not (self._rootless and error.errno in _UNMAPPED):
                raise
            note_owner(_proc_path(parent, name), *(self._owner or (entry.uid, entry.gid)))

    def _set_xattrs(self, target: int | str, entry: Entry) -> None:
        for name, value in entry.xattrs.items():
            if name.startswith(PRIVATE_XATTRS):
                continue
            try:
                if isinstance(target, int):
                    os.setxattr(target, name, value)
                else:
                    os.setxattr(target, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_XATTR:
                    raise


def _set_mtime(target: int, name: str | None, mtime_ns: int) -> None:
    """Set access and modification time of a descriptor, or of `name` in it."""
    if name is None:
        os.utime(target, ns=(mtime_ns, mtime_ns))
    else:
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=target, follow_symlinks=False)


def _proc_path(parent: int, name: str) -> str:
    """A path to `name` in an open directory, for the xattr calls, which take no dirfd."""
    return f"/proc/self/fd/{parent}/{name}"
