"""The build context: a tar as a client sends it, unpacked into the build's scratch directory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from pathlib import Path
from typing import IO, Any, cast

from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.store.archive import unpack
from pydock_lab.daemon.store.tree import Tree, clean
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.errors import InvalidParameter, NotImplementedYet, SystemFailure

_MAGIC: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
_TAR_MAGIC_AT = 257
_DOCKERFILE_LIMIT = 16 << 20


def open_tar(path: Path) -> IO[bytes]:
    """Open a tar, decompressed where it is compressed (gzip, bzip2, xz).

    Raises:
        NotImplementedYet: zstandard without the library.
    """
    with path.open("rb") as file:
        head = file.read(8)
    for magic, opener in _MAGIC.items():
        if head.startswith(magic):
            return cast("IO[bytes]", opener(path, "rb"))
    if head.startswith(_ZSTD):
        try:
            import zstandard
        except ImportError:
            raise NotImplementedYet("zstd archives need the zstandard library") from None
        return cast("IO[bytes]", zstandard.open(path, "rb"))
    return path.open("rb")


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, compressed or not: what ADD unpacks."""
    try:
        with open_tar(path) as file:
            block = file.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, NotImplementedYet):
        return False
    if len(block) < 512 or not block.strip(b"\0"):
        return False
    if block[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return True
    try:
        # Before POSIX a tar had no magic, only its checksum.
        claimed = int(block[148:156].strip(b" \0") or b"-", 8)
    except ValueError:
        return False
    return claimed == sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")


def unpack_tar(path: Path, root: Path, *, rootless: bool, owner: tuple[int, int] | None = None) -> None:
    """Unpack a tar of any compression into an existing directory.

    Raises:
        InvalidParameter: it is damaged or leads out of the directory.
    """
    try:
        with open_tar(path) as stream:
            unpack(stream, root, rootless=rootless, owner=owner)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InvalidParameter(f"Error processing tar file: {error}") from error


class BuildContext:
    """The files a build may copy, as a directory.

    Args:
        root: Absolute; what the client sent.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def from_tar(cls, tar: Path, root: Path, *, rootless: bool) -> BuildContext:
        """Unpack a client's tar into a new directory."""
        root.mkdir()
        # `COPY . /new` gives the new directory this mode.
        root.chmod(0o755)
        if tar.stat().st_size:
            unpack_tar(tar, root, rootless=rootless)
        return cls(root)

    def read_dockerfile(self, options: BuildOptions) -> bytes:
        """Return the Dockerfile's text; afterwards COPY sees it no more where .dockerignore says so.

        Raises:
            InvalidParameter: there is none, or it is empty, in Docker's words.
        """
        name = options.dockerfile or "Dockerfile"
        if options.dockerfile_text is not None:
            return options.dockerfile_text.encode()
        data = self._read(name)
        if data is None and name == "Dockerfile":
            # As Docker: the lower-case name counts where the usual one is missing.
            data = self._read("dockerfile")
        if data is None:
            raise InvalidParameter(
                f"Cannot locate specified Dockerfile: {name}",
                hint="the build context has no file of this name; -f names another one",
            )
        if not data.strip():
            raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
        self._hide_ignored(name)
        return data

    def _read(self, name: str) -> bytes | None:
        path = clean("/" + name)
        with Tree(self.root) as tree:
            try:
                parent, last = tree.locate(path or ".")
                fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise InvalidParameter(f"failed to read dockerfile: {os.strerror(error.errno or 0).lower()}") from None
        try:
            with os.fdopen(fd, "rb") as file:
                data = file.read(_DOCKERFILE_LIMIT + 1)
        except IsADirectoryError:
            raise InvalidParameter(f"failed to read dockerfile: {name} is a directory") from None
        if len(data) > _DOCKERFILE_LIMIT:
            raise InvalidParameter(f"the Dockerfile ({name}) is larger than {_DOCKERFILE_LIMIT >> 20} MiB")
        return data

    def _hide_ignored(self, dockerfile: str) -> None:
        """Remove the two files that a client must send although .dockerignore may leave them out."""
        text = self._read(".dockerignore")
        if text is None:
            return
        ignore = Ignore.parse(text.decode(errors="replace"))
        for name in (".dockerignore", clean("/" + dockerfile)):
            if ignore.excludes(name):
                with Tree(self.root) as tree:
                    parent, last = tree.locate(name)
                    try:
                        os.unlink(last, dir_fd=parent)
                    except OSError as error:
                        raise SystemFailure(f"failed to remove {name}: {error}") from error
