"""The cgroups of containers that have ended: removed a moment later, when nobody waits for it.

Who waits for the end of a container learns of it first; removing a directory
from each of a v1 machine's hierarchies takes a millisecond.
"""

from __future__ import annotations

import contextlib
import os

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime.loop import Loop, Timer

DELAY_S = 0.005


class Leftovers:
    """The cgroups that are to be removed, by their paths."""

    def __init__(self, loop: Loop, layout: cgroups.Layout) -> None:
        self._loop = loop
        self._layout = layout
        self._due: dict[str, Timer] = {}
        self._parents: dict[str, str] = {}  # parent → one that was in it

    def oom_killed(self, path: str) -> bool:
        """True if the memory limit has killed a process of the cgroup."""
        return bool(path and self._layout.version and self._layout.cgroup(path).oom_kills())

    def add(self, path: str) -> None:
        """Remove a cgroup soon."""
        if path and path not in self._due:
            self._due[path] = self._loop.after(DELAY_S, lambda: self.remove(path))

    def settle(self, path: str) -> None:
        """Remove a cgroup now if it is due: its container starts again."""
        if path in self._due:
            self.remove(path)

    def remove(self, path: str) -> None:
        """Kill what a container without its own pid namespace left running, and remove its cgroup."""
        timer = self._due.pop(path, None)
        if timer is not None:
            timer.cancel()
        if not path or not self._layout.version:
            return
        cgroup = self._layout.cgroup(path)
        self._parents[os.path.dirname(path)] = path
        with contextlib.suppress(OSError):
            if cgroup.processes():
                cgroup.kill()
            cgroup.delete()

    def close(self) -> None:
        """Remove what is due, and parents that are empty."""
        for path in list(self._due):
            self.remove(path)
        for path in self._parents.values():
            if path.count("/") > 1:
                self._layout.cgroup(path).delete_parent()
