"""A build context as a stream of tar: what `.dockerignore` leaves of a directory.

Source: docker/cli cli/command/image/build (context.go), the Dockerfile reference.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.dockerfile.ignore import Ignore

_PIECE = 1 << 18
_BLOCK = 512
_NAME = 100
_IGNORE = ".dockerignore"
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def tar_stream(
    root: Path, *, dockerfile: str, outside: bytes | None = None, before: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Yield the tar archive of a context; files are read as they are sent.

    The Dockerfile and `.dockerignore` are sent even where they are ignored: the
    engine needs them, and applies `.dockerignore` once more. A Dockerfile from
    elsewhere therefore travels with a line in `.dockerignore` that hides it from COPY.

    Args:
        root: The context directory; absolute.
        dockerfile: Name of the Dockerfile in the archive.
        outside: Its content where it is not a file of the directory.
        before: Entries that go first, as bytes of a tar.

    Raises:
        CommandError: a file can't be read.
        InvalidParameter: `.dockerignore` is malformed.
    """
    yield from before
    path = root / _IGNORE
    lines = path.read_text("utf-8") if path.is_file() else ""
    selected = dict.fromkeys(Ignore.parse(lines).select(root))
    if outside is None:
        selected.setdefault(dockerfile)
        if path.is_file():
            selected.setdefault(_IGNORE)
    else:
        selected.pop(_IGNORE, None)
        yield from made_up(dockerfile, outside)
        yield from made_up(_IGNORE, f"{lines or _IGNORE}\n{dockerfile}\n".encode())
    for name in selected:
        yield from _member(root / name, name)
    yield b"\0" * (2 * _BLOCK)


def named_context(root: Path, name: str) -> Iterator[bytes]:
    """Yield the tar entries of a context that is sent below a name; its own `.dockerignore` counts."""
    path = root / _IGNORE
    yield _header(tarfile.DIRTYPE, name, 0o755)
    for inside in Ignore.parse(path.read_text("utf-8") if path.is_file() else "").select(root):
        yield from _member(root / inside, f"{name}/{inside}")


def made_up(name: str, content: bytes) -> Iterator[bytes]:
    """Yield the tar entry of a file that is nowhere on disk."""
    yield _header(tarfile.REGTYPE, name, 0o600, size=len(content)) + content + b"\0" * (-len(content) % _BLOCK)


def _member(path: Path, name: str) -> Iterator[bytes]:
    try:
        found = path.lstat()
    except FileNotFoundError:  # gone since it was listed
        return
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:  # sockets and devices have no place in an image
        return
    # Owner and group are root's: whose files they are here means nothing in the image.
    mode, mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if kind == tarfile.SYMTYPE:
        yield _header(kind, name, mode, mtime=mtime, target=str(path.readlink()))
    elif kind != tarfile.REGTYPE:
        yield _header(kind, name, mode, mtime=mtime)
    else:
        try:
            with path.open("rb", buffering=0) as file:
                # The size at the time of reading: a file may grow while it is sent.
                size = os.fstat(file.fileno()).st_size
                yield _header(kind, name, mode, size=size, mtime=mtime)
                yield from _content(file.fileno(), size)
        except PermissionError as error:
            raise CommandError(f"error checking context: no permission to read from '{path}'") from error


def _header(kind: bytes, name: str, mode: int, *, size: int = 0, mtime: int = 0, target: str = "") -> bytes:
    """A member's header; what a plain one has no room for, tarfile writes."""
    shown = os.fsencode(f"{name}/" if kind == tarfile.DIRTYPE else name)
    if len(shown) > _NAME or target or size >= 8**11 or not (0 <= mtime < 8**11) or not shown.isascii():
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.mtime, entry.linkname = kind, mode, size, mtime, target
        return entry.tobuf(tarfile.PAX_FORMAT)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, mtime)
    block = b"%b%b        %b%bustar\x0000" % (shown.ljust(_NAME, b"\0"), numbers, kind, bytes(100))
    block = block.ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = os.read(descriptor, min(_PIECE, left))
        if not piece:
            piece = b"\0" * min(_PIECE, left)  # it shrank: the header has promised this many bytes
        left -= len(piece)
        yield piece
    yield b"\0" * (-size % _BLOCK)
