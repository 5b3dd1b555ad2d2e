"""A directory whose paths can't lead out of it.

Resolves paths from untrusted archives below a root, one component at a time
with openat and O_NOFOLLOW, as the kernel would after chroot: symlinks are
followed inside the root, absolute ones start at the root, `..` stops there.
(openat2's RESOLVE_IN_ROOT does the same; Python has no binding, and seccomp
profiles of older container hosts refuse it.)

Source: open(2), path_resolution(7). Used by archive.py and recipe.py.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pydock_lab.errors import InvalidParameter

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAX_LINKS = 40
_MAX_OPEN = 64

MakeDirectory = Callable[[int, str, str], None]


class Tree:
    """An open root and a small memory of directories below it; close it after use."""

    def __init__(self, root: Path) -> None:
        self._open: dict[str, int] = {"": os.open(root, _DIRECTORY)}

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *exception: object) -> None:
        self.forget()
        os.close(self._open.pop(""))

    @property
    def fd(self) -> int:
        """The root's descriptor (O_PATH)."""
        return self._open[""]

    def locate(self, path: str, make: MakeDirectory | None = None) -> tuple[int, str]:
        """Find the directory that holds `path`.

        Args:
            path: As `clean` returns it, not "".
            make: Called with (parent fd, name, path) for a missing directory, which it makes.

        Returns:
            The directory's descriptor, good until `forget` or `trim`, and the last name of the path.

        Raises:
            FileNotFoundError, NotADirectoryError: as open(2) would.
        """
        head, _, name = path.rpartition("/")
        return self.directory(head, make), name

    def directory(self, path: str, make: MakeDirectory | None = None) -> int:
        """Open a directory below the root; see `locate`."""
        if path in self._open:
            return self._open[path]
        fd, done = self._open[""], ""
        for name in path.split("/"):
            here = f"{done}/{name}" if done else name
            below = self._open.get(here)
            if below is None:
                below = self._enter(fd, name, here, make)
                self._open[here] = below
            fd, done = below, here
        return fd

    def stat(self, path: str) -> os.stat_result | None:
        """Return what stands at `path` (links not followed at the end), or None."""
        if not path:
            return os.fstat(self.fd)
        try:
            parent, name = self.locate(path)
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, path: str) -> int:
        """Open a file for reading, following links inside the root.

        Raises:
            FileNotFoundError, NotADirectoryError, OSError (ELOOP): as open(2) would.
        """
        for _ in range(_MAX_LINKS):
            parent, name = self.locate(path)
            try:
                return os.open(name, _READ, dir_fd=parent)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                target = os.readlink(name, dir_fd=parent)
                path = clean(target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}")
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def trim(self) -> None:
        """Close descriptors when there are many; none that `locate` returned may be in use."""
        if len(self._open) > _MAX_OPEN:
            self.forget()

    def forget(self) -> None:
        """Close what is remembered: to be called when a directory or a symlink is replaced."""
        root = self._open.pop("")
        for fd in self._open.values():
            os.close(fd)
        self._open = {"": root}

    def _enter(self, fd: int, name: str, path: str, make: MakeDirectory | None) -> int:
        """Open one directory; a symlink is followed inside the root, a missing one made."""
        try:
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            if make is None:
                raise
            make(fd, name, path)
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            return self._walk(path, make)

    def _walk(self, path: str, make: MakeDirectory | None) -> int:
        """Resolve a path that has symlinks in it, from the root."""
        steps, links = deque(path.split("/")), 0
        stack = [os.dup(self.fd)]
        names: list[str] = []
        try:
            while steps:
                name = steps.popleft()
                if name in ("", "."):
                    continue
                if name == "..":
                    if len(stack) > 1:
                        os.close(stack.pop())
                        names.pop()
                    continue
                try:
                    below = os.open(name, _DIRECTORY, dir_fd=stack[-1])
                except FileNotFoundError:
                    if make is None:
                        raise
                    make(stack[-1], name, "/".join([*names, name]))
                    below = os.open(name, _DIRECTORY, dir_fd=stack[-1])
                except NotADirectoryError:
                    target = _readlink(name, stack[-1])
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                    if target.startswith("/"):
                        while len(stack) > 1:
                            os.close(stack.pop())
                        names.clear()
                    steps.extendleft(reversed(target.split("/")))
                    continue
                stack.append(below)
                names.append(name)
            return os.dup(stack[-1])
        finally:
            for fd in stack:
                os.close(fd)


def clean(name: str, outside: str = "") -> str:
    """Turn a name from an archive into a path below the root: `./a//b/../c` → `a/c`, `/` → "".

    Args:
        name: Absolute or relative; `..` may not lead above the root.
        outside: What the error calls the root.

    Raises:
        InvalidParameter: the name leads out, or is longer than any path may be.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                if name.startswith("/"):
                    continue
                raise InvalidParameter(f'invalid tar entry: "{name}" is outside of "{outside or "/"}"')
            parts.pop()
        else:
            parts.append(part)
    path = "/".join(parts)
    if len(path) > 4096:
        raise InvalidParameter(f"invalid tar entry: {path[:40]}…: file name too long")
    return path


def names(fd: int) -> list[str]:
    """Return the names in an open directory, in order."""
    with os.scandir(fd) as entries:
        return sorted(entry.name for entry in entries)


def remove(parent: int, name: str) -> None:
    """Remove whatever stands at `name` in the directory `parent`, with all below it.

    What a container wrote may be nested deeper than Python recurses and than
    descriptors suffice: directories that are not empty are first moved up.
    """
    pending = [name]
    while pending:
        current = pending[-1]
        try:
            fd = os.open(current, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except NotADirectoryError:
            os.unlink(current, dir_fd=parent)
            pending.pop()
            continue
        try:
            below = _empty(fd, parent)
        finally:
            os.close(fd)
        os.rmdir(current, dir_fd=parent)
        pending.pop()
        pending += below


def remove_path(path: Path) -> None:
    """Remove a file or directory with all below it; no error if there is none."""
    parent = os.open(path.parent, _DIRECTORY)
    try:
        remove(parent, path.name)
    except FileNotFoundError:
        pass
    finally:
        os.close(parent)


def _empty(fd: int, parent: int) -> list[str]:
    """Remove what is in a directory, or move it to `parent`; return the names it has there."""
    moved = []
    with os.scandir(fd) as entries:
        for entry in list(entries):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=fd)
                continue
            try:
                os.rmdir(entry.name, dir_fd=fd)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                name = f".removing-{secrets.token_hex(8)}"
                os.rename(entry.name, name, src_dir_fd=fd, dst_dir_fd=parent)
                moved.append(name)
    return moved


def _readlink(name: str, fd: int) -> str:
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
        raise
