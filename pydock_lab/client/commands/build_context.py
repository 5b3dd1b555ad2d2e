"""A build context as a stream of tar: what `.dockerignore` leaves of a directory.

Source: docker/cli cli/command/image/build (context.go), the Dockerfile reference.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.dockerfile.ignore import Ignore

_PIECE = 1 << 18
_BLOCK = 512
_IGNORE = ".dockerignore"
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def tar_stream(root: Path, *, dockerfile: str, outside: bytes | None = None) -> Iterator[bytes]:
    """Yield the tar archive of a context; files are read as they are sent.

    The Dockerfile and `.dockerignore` are sent even where they are ignored: the
    engine needs them, and applies `.dockerignore` once more. A Dockerfile from
    elsewhere therefore travels with a line in `.dockerignore` that hides it from COPY.

    Args:
        root: The context directory; absolute.
        dockerfile: Name of the Dockerfile in the archive.
        outside: Its content where it is not a file of the directory.

    Raises:
        CommandError: a file can't be read.
        InvalidParameter: `.dockerignore` is malformed.
    """
    path = root / _IGNORE
    lines = path.read_text("utf-8") if path.is_file() else ""
    selected = dict.fromkeys(Ignore.parse(lines).select(root))
    if outside is None:
        selected.setdefault(dockerfile)
        if path.is_file():
            selected.setdefault(_IGNORE)
    else:
        selected.pop(_IGNORE, None)
        yield from _made_up(dockerfile, outside)
        yield from _made_up(_IGNORE, f"{lines or _IGNORE}\n{dockerfile}\n".encode())
    for name in selected:
        yield from _member(root / name, name)
    yield b"\0" * (2 * _BLOCK)


def _made_up(name: str, content: bytes) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    yield entry.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % _BLOCK)


def _member(path: Path, name: str) -> Iterator[bytes]:
    try:
        found = path.lstat()
    except FileNotFoundError:  # gone since it was listed
        return
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:  # sockets and devices have no place in an image
        return
    entry = tarfile.TarInfo(name)
    entry.type = kind
    # Owner and group are root's: whose files they are here means nothing in the image.
    entry.mode, entry.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if kind == tarfile.SYMTYPE:
        entry.linkname = str(path.readlink())
    if kind != tarfile.REGTYPE:
        yield entry.tobuf(tarfile.PAX_FORMAT)
        return
    try:
        with path.open("rb") as file:
            # The size at the time of reading: a file may grow while it is sent.
            entry.size = os.fstat(file.fileno()).st_size
            yield entry.tobuf(tarfile.PAX_FORMAT)
            yield from _content(file.fileno(), entry.size)
    except PermissionError as error:
        raise CommandError(f"error checking context: no permission to read from '{path}'") from error


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = os.read(descriptor, min(_PIECE, left))
        if not piece:
            piece = b"\0" * min(_PIECE, left)  # it shrank: the header has promised this many bytes
        left -= len(piece)
        yield piece
    yield b"\0" * (-size % _BLOCK)
