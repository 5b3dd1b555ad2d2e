"""Read and write a container's files from inside its root: `docker cp`, `docker export`.

The process that does it has the container's root as its own, so that no link
of the image leads out, and looks no user up (a lookup would load libraries from
the container, CVE-2019-14271): tar entries carry numbers only.

Source: Docker's API, "Get an archive of a filesystem resource in a container";
tar(5).
"""

from __future__ import annotations

# All that unpacking needs is imported here, before the root is the container's: there it would be the container's.
import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import time
import zlib
from dataclasses import dataclass, field
from typing import IO, Any, cast

from pydock_lab.daemon.runtime import users
from pydock_lab.daemon.runtime.channel import send_message
from pydock_lab.daemon.runtime.operations.base import CannotStart, Context, Findings, Operation
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry, TarReader

BUFFER_BYTES = 1024 * 1024

# Go's os.FileMode bits, in which Docker tells modes: (S_IFMT or S_IS* bit, Go's bit).
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@dataclass
class TransferFiles(Operation):
    """The last operation of an archive plan: move the files, report, end."""

    action: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)
    user: str = ""
    skip: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Say what."""
        return f"{self.action.capitalize()} {self.path} from inside the container's root"

    def execute(self, context: Context) -> Findings:
        """Do it with the tar stream on fd `context.stdio[0]`; never returns."""
        fd = context.stdio[0]
        result: dict[str, Any] = {}
        if self.action == "export":
            write_tar(fd, "/", "", skip=set(self.skip))
        elif self.action == "put":
            self._put(fd)
        else:
            result = path_stat(self.path)
            if self.action == "get":
                write_tar(fd, _lresolve(self.path), result["name"], skip=set(self.skip))
        send_message(context.report, {"result": result})
        os._exit(0)

    def _put(self, fd: int) -> None:
        target = _resolve(self.path)
        _lstat(target, self.path)
        if not os.path.isdir(target):
            raise CannotStart("extraction point is not a directory", "invalid")
        owner = None
        if self.options.get("copy_uid_gid") and self.user:
            user = users.resolve(self.user, [])
            owner = (user.uid, user.gid)
        try:
            read_tar(fd, target, keep_kind=bool(self.options.get("no_overwrite_dir_non_dir")), owner=owner)
        except InvalidParameter as error:
            raise CannotStart(f"Error processing tar file(exit status 1): {error.message}") from None
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise CannotStart(f"archive is damaged: {error}") from None


def path_stat(path: str) -> dict[str, Any]:
    """Return Docker's ContainerPathStat of a path; a link at its end is not followed."""
    resolved = _lresolve(path)
    status = _lstat(resolved, path)
    if path.endswith(("/", "/.")) and not stat.S_ISDIR(status.st_mode):
        raise CannotStart(f"lstat {path}: not a directory")
    target = _resolve(resolved) if stat.S_ISLNK(status.st_mode) else ""
    mode = stat.S_IMODE(status.st_mode) & 0o777 | _GO_TYPES.get(stat.S_IFMT(status.st_mode), 0)
    for bit, go_bit in _GO_BITS.items():
        if status.st_mode & bit:
            mode |= go_bit
    seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return {
        "name": _base(path),
        "size": status.st_size,
        "mode": mode,
        "mtime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z",
        "linkTarget": target,
    }


def _lstat(resolved: str, path: str) -> os.stat_result:
    """Look at a path, of which `path` is what was asked for. Raises CannotStart in Docker's words."""
    try:
        return os.lstat(resolved)
    except FileNotFoundError:
        raise CannotStart(f"Could not find the file {path} in container", "not_found") from None
    except NotADirectoryError:
        while not os.path.lexists(os.path.dirname(resolved)):
            resolved = os.path.dirname(resolved)
        raise CannotStart(f"lstat {resolved}: not a directory") from None


def _base(path: str) -> str:
    """Return the name that Docker gives the top of an archive: `.` for `DIR/.`, `/` for the root."""
    if path.rstrip("/").endswith("/.") or path == ".":
        return "."
    return os.path.basename(path.rstrip("/")) or "/"


def _lresolve(path: str) -> str:
    """Resolve a path, its last component only where it ends in `/` or `/.` (then a directory is meant)."""
    absolute = "/" + path.lstrip("/")
    if absolute.endswith(("/", "/.")):
        return _resolve(absolute)
    directory, name = os.path.split(absolute)
    return os.path.join(_resolve(directory), name)


def _resolve(path: str) -> str:
    """Follow every link of a path as far as there are files. Raises CannotStart where links go round in a circle."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CannotStart(f"evalSymlinksInScope: too many links in {path.rstrip('/')}") from None
        return _lenient(path)


def _lenient(path: str) -> str:
    """Follow what links there are; where one can't be read (/proc/self of a process outside) the rest stays."""
    try:
        return os.path.realpath(path)
    except OSError:
        directory, name = os.path.split(path)
        return os.path.join(_lenient(directory), name)


def write_tar(fd: int, top: str, name: str, *, skip: set[str] | None = None) -> None:
    """Write a tree as a tar stream whose entries begin with `name`.

    Args:
        fd: Written and left open.
        top: Absolute.
        name: What `top` is called in the archive; `/` gives `/bin/…` as dockerd's, "" leaves its own entry out.
        skip: Absolute paths whose contents are left out (mount points).
    """
    hidden = skip or set()
    seen: dict[tuple[int, int], str] = {}
    with (
        open(fd, "wb", buffering=BUFFER_BYTES, closefd=False) as output,
        tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, bufsize=BUFFER_BYTES) as archive,
    ):
        pending = [(top, name)]
        while pending:
            path, entry_name = pending.pop()
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            mounted = path in hidden
            entry = _entry(path, entry_name, status, seen)
            if entry is None:
                continue
            if entry.isreg() and mounted:
                entry.size = 0
            if entry.isreg() and entry.size:
                with open(path, "rb", buffering=0) as file:
                    archive.addfile(entry, _Exactly(file, entry.size))
            elif entry_name:
                archive.addfile(entry)
            if entry.isdir() and not mounted:
                names = sorted(os.listdir(path), reverse=True)
                pending += [(os.path.join(path, child), os.path.join(entry_name, child)) for child in names]


class _Exactly(io.RawIOBase):
    """A file of the length its header tells, whatever is appended or cut off meanwhile."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; zeros where the file has become too short."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted) or b"\0" * wanted
        self._left -= len(data)
        return data


def _entry(path: str, name: str, status: os.stat_result, seen: dict[tuple[int, int], str]) -> tarfile.TarInfo | None:
    """Return the header of one file; None for what tar can't hold (sockets)."""
    entry = tarfile.TarInfo(name)
    kind = stat.S_IFMT(status.st_mode)
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = status.st_uid, status.st_gid
    entry.mtime = int(status.st_mtime)
    if kind == stat.S_IFREG:
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in seen:
            entry.type, entry.linkname = tarfile.LNKTYPE, seen[key]
        else:
            entry.type, entry.size = tarfile.REGTYPE, status.st_size
            seen[key] = name
    elif kind == stat.S_IFDIR:
        entry.type = tarfile.DIRTYPE
    elif kind == stat.S_IFLNK:
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
        entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    elif kind == stat.S_IFIFO:
        entry.type = tarfile.FIFOTYPE
    else:
        return None
    with contextlib.suppress(OSError):
        capability = os.getxattr(path, "security.capability", follow_symlinks=False)
        entry.pax_headers = {"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")}
    return entry


def read_tar(fd: int, directory: str, *, keep_kind: bool, owner: tuple[int, int] | None) -> None:
    """Unpack a tar stream, compressed or not.

    Args:
        fd: Read to its end and left open.
        directory: Absolute.
        keep_kind: Refuse to put a file in a directory's place or the other way round.
        owner: Instead of the entries' own.
    """
    directories: list[tuple[str, Entry]] = []
    with io.BufferedReader(io.FileIO(fd, closefd=False), BUFFER_BYTES) as source:
        if not source.peek(1):
            return  # no bytes are no files, as Docker has it
        reader = TarReader(_decompressed(source))
        for entry in reader:
            if owner is not None:
                entry.uid, entry.gid = owner
            target = os.path.normpath(os.path.join(directory, entry.name.lstrip("/")))
            _check_within(directory, target, entry)
            if target == directory and entry.type != tarformat.DIRECTORY:
                continue  # what would take the place of all that is there
            _make_room(target, entry, keep_kind=keep_kind)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if entry.type == tarformat.DIRECTORY:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(target)
                directories.append((target, entry))
            else:
                _extract(reader, entry, target, directory)
                _set_metadata(target, entry)
        reader.finish()
    for target, entry in reversed(directories):
        _set_metadata(target, entry)


def _decompressed(source: io.BufferedReader[io.FileIO]) -> IO[bytes]:
    """Read through gzip, bzip2 and xz."""
    head = source.peek(6)
    raw: io.BufferedIOBase
    if head.startswith(b"\x1f\x8b"):
        raw = gzip.GzipFile(fileobj=source)
    elif head.startswith(b"BZh"):
        raw = bz2.BZ2File(source)
    elif head.startswith(b"\xfd7zXZ\x00"):
        raw = lzma.LZMAFile(source)  # noqa: SIM115 - what lies below is closed by the caller
    else:
        return source
    return io.BufferedReader(cast("io.RawIOBase", raw), BUFFER_BYTES)


def _check_within(directory: str, target: str, entry: Entry) -> None:
    """Refuse what leads out of the directory, as Docker does; out of the root it could not (moby pkg/archive)."""
    if not _is_within(directory, target):
        raise CannotStart(f'"{os.path.normpath(entry.name)}" is outside of "{directory}"')
    link = entry.linkname.lstrip("/")
    if entry.type == tarformat.SYMLINK and not _is_within(
        directory, os.path.normpath(os.path.join(os.path.dirname(target), link))
    ):
        raise CannotStart(f'invalid symlink "{target}" -> "{entry.linkname}"')
    linked = os.path.normpath(os.path.join(directory, link))
    if entry.type == tarformat.LINK and not _is_within(directory, linked):
        raise CannotStart(f'invalid hardlink "{linked}" -> "{entry.linkname}"')


def _is_within(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _make_room(target: str, entry: Entry, *, keep_kind: bool) -> None:
    """Remove what is in an entry's place, unless both are directories."""
    try:
        there = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(there):
        if entry.type == tarformat.DIRECTORY:
            return
        if keep_kind:
            raise CannotStart(f'cannot overwrite directory "{target}" with non-directory "{entry.name}"', "invalid")
        shutil.rmtree(target)
        return
    if entry.type == tarformat.DIRECTORY:
        if stat.S_ISLNK(there) and os.path.isdir(target):
            return
        if keep_kind:
            raise CannotStart(f'cannot overwrite non-directory "{target}" with directory "{entry.name}"', "invalid")
    os.unlink(target)


def _extract(reader: TarReader, entry: Entry, target: str, directory: str) -> None:
    """Make one file that is no directory."""
    if entry.type == tarformat.REGULAR:
        with open(target, "wb", buffering=0) as file:
            try:
                reader.write(entry, file.fileno())
            except OSError as error:
                raise OSError(error.errno, error.strerror, target) from None
    elif entry.type == tarformat.SYMLINK:
        os.symlink(entry.linkname, target)
    elif entry.type == tarformat.LINK:
        os.link(os.path.join(directory, entry.linkname.lstrip("/")), target, follow_symlinks=False)
    elif entry.type in (tarformat.CHARACTER, tarformat.BLOCK_DEVICE):
        kind = stat.S_IFCHR if entry.type == tarformat.CHARACTER else stat.S_IFBLK
        os.mknod(target, kind | entry.mode, os.makedev(entry.major, entry.minor))
    elif entry.type == tarformat.FIFO:
        os.mkfifo(target, entry.mode)
    else:
        raise CannotStart(f"unhandled tar header type {ord(entry.type)}")


def _set_metadata(target: str, entry: Entry) -> None:
    """Set owner, mode, times and file capabilities; a single-id user namespace can't give files away."""
    with contextlib.suppress(PermissionError, OSError):
        os.chown(target, entry.uid, entry.gid, follow_symlinks=False)
    if entry.type != tarformat.SYMLINK:
        os.chmod(target, entry.mode)
    if capability := entry.xattrs.get("security.capability"):
        with contextlib.suppress(OSError):
            os.setxattr(target, "security.capability", capability)
    os.utime(target, ns=(entry.settable_ns, entry.settable_ns), follow_symlinks=False)
