"""A client's directory as it was last seen here: its files, and what is known of each.

What a client says of a file (kind, mode, size, time, link) decides whether it is sent again. The
content's digest is taken while it comes in, so that a build that changes nothing reads no file.
The record lies beside the files and is away while they change: what a crash leaves is not believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from pathlib import Path

import msgspec

from pydock_lab.daemon.builder.digests import metadata_digest
from pydock_lab.daemon.builder.index import TarIndex
from pydock_lab.errors import InvalidParameter


class Known(msgspec.Struct, array_like=True):
    """What is known of a path.

    Attributes:
        mode: Kind and permissions, as stat(2) has them.
        link: Target of a symbolic link; of a regular file the path that it is a hard link to.
        digest: See builder/digests.py.
    """

    mode: int
    size: int
    modified_ns: int
    link: str = ""
    digest: str = ""

    def alike(self, other: Known) -> bool:
        """Whether both are said to be the same."""
        return (self.mode, self.size, self.modified_ns, self.link) == (
            other.mode,
            other.size,
            other.modified_ns,
            other.link,
        )


class Mirror:
    """One mirrored directory.

    Args:
        place: An own directory: `tree/` are the files, `known` the record.
    """

    def __init__(self, place: Path) -> None:
        self.root = place / "tree"
        self._record = place / "known"
        self.known: dict[str, Known] = {}
        self._listed: dict[str, Known] = {}
        self._hard_links: list[str] = []
        self._changed = False

    def open(self) -> None:
        """Read what is known; without a record nothing is, and nothing stays."""
        try:
            self.known = msgspec.msgpack.decode(self._record.read_bytes(), type=dict[str, Known])
        except (OSError, msgspec.MsgspecError):
            shutil.rmtree(self.root, ignore_errors=True)
            self.root.mkdir(parents=True, mode=0o755)
            self.root.chmod(0o755)

    def list(self, path: str, new: Known) -> bool:
        """Take what the client says of the next path; return whether its content is to be asked for.

        Paths come in order, a directory before what is in it.

        Raises:
            InvalidParameter: the path leads out of the directory, or through something that is none.
        """
        self._check(path)
        self._listed[path] = new
        mode, old = new.mode, self.known.get(path)
        if old is not None and old.alike(new):
            new.digest = old.digest
            return False
        self._change()
        real = self.root / path
        if old is not None and not (stat.S_ISDIR(old.mode) and stat.S_ISDIR(mode)):
            self._drop(path, old)
        if stat.S_ISREG(mode):
            if new.link:
                self._hard_links.append(path)  # what it is a link to may not have come yet
            return not new.link
        if stat.S_ISDIR(mode):
            real.mkdir(exist_ok=True)
            real.chmod(stat.S_IMODE(mode))
        elif stat.S_ISLNK(mode):
            real.symlink_to(new.link)
        else:
            os.mkfifo(real)
            real.chmod(stat.S_IMODE(mode))
        self._settle(real, new)
        return False

    def create(self, path: str) -> int:
        """Make a file that was asked for; return its descriptor."""
        return os.open(self.root / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def fill(self, path: str, fd: int, digest: str) -> None:
        """Note that a file has all its content, which `fd` still has open."""
        known = self._listed[path]
        known.digest = digest
        os.fchmod(fd, stat.S_IMODE(known.mode))
        os.utime(fd, ns=(known.modified_ns, known.modified_ns))

    def begin_digest(self, path: str) -> hashlib._Hash:
        """Begin the digest of a file; its content is to be added."""
        return metadata_digest(self._listed[path].mode)

    def close(self) -> None:
        """All has come: make the hard links, remove what was not listed, write the record.

        Raises:
            InvalidParameter: a hard link to nothing.
        """
        for path in self._hard_links:
            self._hard_link(path)
        gone = [path for path in self.known if path not in self._listed]
        if gone:
            self._change()
        for path in gone:
            if (known := self.known.get(path)) is not None:
                self._drop(path, known)
        if self._changed:
            for path, known in self._listed.items():
                if stat.S_ISDIR(known.mode):  # its time has changed with what was made in it
                    os.utime(self.root / path, ns=(known.modified_ns, known.modified_ns))
        self.known, self._listed, self._hard_links = self._listed, {}, []
        if self._changed:
            # Names that are no UTF-8 can't be written down: such a directory is sent anew each time.
            with contextlib.suppress(UnicodeEncodeError):
                self._record.write_bytes(msgspec.msgpack.encode(self.known))
            self._changed = False

    def index(self) -> TarIndex:
        """Return the directory as a build context reads it."""
        index = TarIndex(self.root)
        for path, known in self.known.items():
            link = known.link if stat.S_ISLNK(known.mode) else ""
            index.enter(path, known.mode, known.digest, link)
        index.complete()
        return index

    def _check(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        inside = self._listed.get(parent) if parent else Known(stat.S_IFDIR, 0, 0)
        below_root = not path.startswith("/") and inside is not None and stat.S_ISDIR(inside.mode)
        if not below_root or name in ("", ".", "..") or "\0" in path:
            raise InvalidParameter(f"invalid path in build context: {path!r}")
        if path in self._listed:
            raise InvalidParameter(f"path appears twice in build context: {path!r}")

    def _change(self) -> None:
        if not self._changed:
            self._changed = True
            self._record.unlink(missing_ok=True)

    def _drop(self, path: str, known: Known) -> None:
        """Remove a path, a directory with all that is in it."""
        real = self.root / path
        self.known.pop(path, None)
        if not stat.S_ISDIR(known.mode):
            real.unlink(missing_ok=True)
            return
        shutil.rmtree(real)
        for inside in [other for other in self.known if other.startswith(f"{path}/")]:
            del self.known[inside]

    def _hard_link(self, path: str) -> None:
        new = self._listed[path]
        first = self._listed.get(new.link)
        if first is None or not stat.S_ISREG(first.mode) or not first.digest:
            raise InvalidParameter(f"invalid hard link in build context: {new.link!r}")
        os.link(self.root / new.link, self.root / path, follow_symlinks=False)
        new.digest = first.digest

    def _settle(self, real: Path, new: Known) -> None:
        """Note what has no content to wait for."""
        digest = metadata_digest(new.mode)
        if stat.S_ISLNK(new.mode):
            digest.update(os.fsencode(new.link))
        new.digest = f"sha256:{digest.hexdigest()}"
        if not stat.S_ISDIR(new.mode):
            os.utime(real, ns=(new.modified_ns, new.modified_ns), follow_symlinks=False)
