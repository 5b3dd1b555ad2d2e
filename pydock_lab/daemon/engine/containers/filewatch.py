"""Wait for files to change: who follows a log sleeps until the keeper has written to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.daemon.linux.inotify import IN_CREATE, IN_MODIFY, IN_MOVED_TO, Inotify


class FileWatch:
    """Directories that somebody follows; used from the event loop only."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._followers: dict[int, set[asyncio.Event]] = {}

    @contextlib.contextmanager
    def changes(self, directory: Path) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever a file in the directory is made, moved here or written to."""
        changed = asyncio.Event()
        if self._inotify is None:
            self._inotify = Inotify()
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._on_readable)
        watch = self._inotify.add(str(directory), IN_MODIFY | IN_CREATE | IN_MOVED_TO)
        self._followers.setdefault(watch, set()).add(changed)
        try:
            yield changed
        finally:
            self._followers[watch].discard(changed)
            if not self._followers[watch]:
                del self._followers[watch]
                self._inotify.remove(watch)

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _on_readable(self) -> None:
        assert self._inotify is not None
        for watch, _ in self._inotify.read():
            for changed in self._followers.get(watch, ()):
                changed.set()
