"""The build context: a tar as a client sends it, looked at first and unpacked when a step needs the files.

`pydock build` sends along what Docker's classic protocol has no words for, as
entries below `.pydock/`: `secrets/ID` and `contexts/NAME/…`. COPY never sees them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import threading
import zlib
from pathlib import Path
from typing import IO, Any, cast

from pydock_lab.daemon.builder.index import KEPT_BYTES, TarIndex, UnplainTarError
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.rootfs import Rootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.store.archive import unpack
from pydock_lab.daemon.store.tree import Tree, clean
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.errors import InvalidParameter, NotImplementedYet, SystemFailure

_MAGIC: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
_TAR_MAGIC_AT = 257
_DOCKERFILE_LIMIT = KEPT_BYTES
_IGNORE = ".dockerignore"
_BUFFER_BYTES = 1 << 20  # what open() takes of itself is a read for every eighth kilobyte
_EXTRAS = ".pydock"
_SECRETS = f"{_EXTRAS}/secrets/"


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
    return path.open("rb", buffering=_BUFFER_BYTES)


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
    """The files a build may copy.

    Args:
        tar: What the client sent.
        root: The directory that the tar is, or will be, unpacked into.
        index: What the tar holds, or None where `root` holds it already.
        kept: `root` stays when the build has ended.
    """

    def __init__(
        self,
        root: Path,
        *,
        tar: Path | None = None,
        index: TarIndex | None = None,
        rootless: bool = False,
        kept: bool = False,
    ) -> None:
        self.root = root
        self._kept = kept
        self._tar = tar
        self._index = index
        self._rootless = rootless
        self._aside = root.with_name(f"{root.name}-extras")
        self._has_extras = False
        self._extras: TarIndex | None = None
        self._hidden: list[str] = []
        self._others: dict[str, BuildContext] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_tar(cls, tar: Path, root: Path, options: BuildOptions, *, rootless: bool) -> BuildContext:
        """Look through a client's tar; `root` must not exist yet."""
        root.mkdir()
        # `COPY . /new` gives the new directory this mode.
        root.chmod(0o755)
        if not tar.stat().st_size:
            return cls(root)
        named = {clean("/" + (options.dockerfile or "Dockerfile")), "Dockerfile", "dockerfile", _IGNORE}
        try:
            with open_tar(tar) as stream:
                index = TarIndex.read(stream, root, lambda path: path in named or path.startswith(_SECRETS))
        except UnplainTarError:
            unpack_tar(tar, root, rootless=rootless)
            return cls(root)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise InvalidParameter(f"Error processing tar file: {error}") from error
        index.complete()
        return cls(root, tar=tar, index=index, rootless=rootless)

    def tree(self) -> SourceTree:
        """Return the context's files."""
        return self._tree_of(self._index, self.root)

    def add(self, name: str, other: BuildContext) -> None:
        """Put another context beside this one (`--build-context NAME=DIRECTORY`)."""
        self._others[name] = other

    def named(self, name: str) -> SourceTree | None:
        """Return the files of the context that the client sent under a name, if it did."""
        if name in self._others:
            return self._others[name].tree()
        inside = f"contexts/{name}"
        if self._index is not None:
            if self._extras is None or inside not in self._extras:
                return None
            return self._tree_of(self._extras.below(inside), self._aside / inside)
        return SourceTree(Rootfs([self._aside / inside]), is_context=True) if (self._aside / inside).is_dir() else None

    def take_extras(self) -> dict[str, bytes]:
        """Take what `pydock build` added out of sight of COPY; return the secrets by their ids."""
        self._has_extras = True
        if self._index is None:
            self._move_aside()
            directory = self._aside / "secrets"
            return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.is_dir() else {}
        if _EXTRAS in self._index:
            self._extras = self._index.take(_EXTRAS, self._aside)
        kept = self._index.kept.items()
        return {path.removeprefix(_SECRETS): content for path, content in kept if path.startswith(_SECRETS)}

    def read_dockerfile(self, options: BuildOptions) -> bytes:
        """Return the Dockerfile's text; afterwards COPY sees it no more where .dockerignore says so.

        Raises:
            SystemFailure: there is none, in Docker's words and with its status.
            InvalidParameter: it is empty.
        """
        name = options.dockerfile or "Dockerfile"
        if options.dockerfile_text is not None:
            return options.dockerfile_text.encode()
        if posixpath.normpath(name).startswith(".."):
            raise SystemFailure(f"forbidden path outside the build context: {name} ()")
        data = self._read(name)
        if data is None and name == "Dockerfile":
            # As Docker: the lower-case name counts where the usual one is missing.
            data = self._read("dockerfile")
        if data is None:
            raise SystemFailure(
                f"Cannot locate specified Dockerfile: {name}",
                hint="the build context has no file of this name; -f names another one",
            )
        if not data:
            raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
        self._hide_ignored(name)
        return data

    @property
    def ignore(self) -> Ignore | None:
        """What `.dockerignore` says, if there is one."""
        text = self._read(_IGNORE)
        return None if text is None else Ignore.parse(text.decode(errors="replace"))

    def _read(self, name: str) -> bytes | None:
        path = clean("/" + name)
        if self._index is not None:
            if path in self._index.kept or path not in self._index:
                return self._index.kept.get(path)
            self._unpacked()  # a link, a directory, or larger than is kept: the files themselves will say
        try:
            # A link is followed as far as it stays inside.
            place = Rootfs([self.root]).resolve(f"/{path}")
            if place is None:
                return None
            fd = os.open(place.real[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except NotADirectoryError:
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
        """Take away the two files that a client must send although .dockerignore may leave them out."""
        ignore = self.ignore
        if ignore is None:
            return
        self._hidden = [name for name in (_IGNORE, clean("/" + dockerfile)) if ignore.excludes(name)]
        for name in self._hidden:
            if self._index is not None and name in self._index:
                self._index.remove(name)
        if self._index is None or self._tar is None:
            self._remove_hidden()

    def _remove_hidden(self) -> None:
        for name in self._hidden:
            with Tree(self.root) as tree:
                try:
                    parent, last = tree.locate(name)
                    os.unlink(last, dir_fd=parent)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise SystemFailure(f"failed to remove {name}: {error}") from error

    def _tree_of(self, index: TarIndex | None, root: Path) -> SourceTree:
        if index is None:
            return SourceTree(Rootfs([root]), is_context=True)

        def unpack() -> Rootfs:
            self._unpacked()
            return Rootfs([root])

        return SourceTree(index, is_context=True, unpack=unpack, kept=self._kept)

    def _unpacked(self) -> None:
        """Unpack the tar unless that is done."""
        with self._lock:
            if self._tar is not None:
                unpack_tar(self._tar, self.root, rootless=self._rootless)
                self._tar = None
                self._remove_hidden()
                if self._has_extras:
                    self._move_aside()

    def _move_aside(self) -> None:
        if (self.root / _EXTRAS).is_dir():
            (self.root / _EXTRAS).rename(self._aside)
