"""How a layer's own tar is put together again from its directory.

Two tars of the same files need not be equal byte for byte, and diff_id is a
digest of bytes. So what a tar holds beside the files' content (headers, padding,
order) is kept, compressed, beside the unpacked layer; a few percent of it. The
idea is vbatts/tar-split's, the format our own: zlib over records

    R length bytes            bytes of the tar, as they are
    F length path count (offset length)*   content of a file, in pieces

A tar may hold one path twice; what the later one pushed aside is kept too.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydock_lab.daemon.store.tree import Tree, remove_path
from pydock_lab.errors import SystemFailure

_LENGTH = struct.Struct("<I")
_SEGMENT = struct.Struct("<QQ")
_FLUSH = 64 << 10
_READ = 256 << 10


class RecipeWriter:
    """Takes down a tar's recipe while it is unpacked.

    Args:
        path: The file to write; `path` + `.d` becomes a directory where files are pushed aside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._zlib = zlib.compressobj(1)
        self._raw = bytearray()
        self._contents = 0
        # (path, number of contents recorded before it was pushed aside, name in the .d directory)
        self.displaced: list[tuple[str, int, str]] = []

    def raw(self, data: bytes) -> None:
        """Note bytes of the tar that are no file's content."""
        self._raw += data
        if len(self._raw) > _FLUSH:
            self._flush()

    def content(self, path: str, segments: list[tuple[int, int]]) -> None:
        """Note that the pieces of the file at `path` come here."""
        self._flush()
        name = os.fsencode(path)
        pieces = b"".join(_SEGMENT.pack(*segment) for segment in segments)
        record = b"F" + _LENGTH.pack(len(name)) + name + _LENGTH.pack(len(segments)) + pieces
        self._file.write(self._zlib.compress(record))
        self._contents += 1

    def displace(self, parent: int, name: str, path: str) -> None:
        """Move what stands at `name` in the open directory `parent` out of the layer, and remember it."""
        aside = self.path.with_name(self.path.name + ".d")
        aside.mkdir(exist_ok=True)
        kept = str(len(self.displaced))
        os.rename(name, aside / kept, src_dir_fd=parent)
        self.displaced.append((path, self._contents, kept))

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._file.write(self._zlib.flush())
        self._file.close()

    def abandon(self) -> None:
        """Remove what is still at `path`; nothing, once the recipe has been moved to its place."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        remove_path(self.path.with_name(self.path.name + ".d"))

    def _flush(self) -> None:
        if self._raw:
            self._file.write(self._zlib.compress(b"R" + _LENGTH.pack(len(self._raw)) + self._raw))
            self._raw.clear()


def replay(path: Path, root: Path, displaced: list[tuple[str, int, str]]) -> Iterator[bytes]:
    """Yield the tar that a recipe was taken from.

    Args:
        path: The recipe.
        root: The layer's directory.
        displaced: `RecipeWriter.displaced`.
    """
    with path.open("rb") as file, Tree(root) as tree:
        read = _Inflater(file).read
        for number in _count():
            while (kind := read(1)) == b"R":
                yield read(_LENGTH.unpack(read(4))[0])
            if not kind:
                return
            name = os.fsdecode(read(_LENGTH.unpack(read(4))[0]))
            count = _LENGTH.unpack(read(4))[0]
            segments = [_SEGMENT.unpack(read(16)) for _ in range(count)]
            fd = _open_content(tree, path, name, number, displaced)
            try:
                for offset, length in segments:
                    yield from _read_piece(fd, offset, length, name)
            finally:
                os.close(fd)


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _open_content(tree: Tree, recipe: Path, name: str, number: int, displaced: list[tuple[str, int, str]]) -> int:
    """Open a file of the layer, or what was pushed aside after it had been unpacked."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    for path, before, kept in displaced:
        if number < before and (name == path or name.startswith(f"{path}/")):
            aside = recipe.with_name(recipe.name + ".d") / kept
            below = name[len(path) + 1 :]
            if not below:
                return os.open(aside, flags)
            with Tree(aside) as other:
                parent, last = other.locate(below)
                return os.open(last, flags, dir_fd=parent)
    tree.trim()
    parent, last = tree.locate(name)
    return os.open(last, flags, dir_fd=parent)


def _read_piece(fd: int, offset: int, length: int, name: str) -> Iterator[bytes]:
    while length:
        data = os.pread(fd, min(length, _READ), offset)
        if not data:
            raise SystemFailure(f"layer is damaged: {name} is shorter than it was")
        yield data
        offset += len(data)
        length -= len(data)


class _Inflater:
    """`read(n)` over a zlib file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._zlib = zlib.decompressobj()
        self._buffer = bytearray()

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            compressed = self._file.read(_FLUSH)
            if not compressed:
                break
            self._buffer += self._zlib.decompress(compressed)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data
