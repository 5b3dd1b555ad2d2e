"""Which processes belong to a container that has no cgroup to tell: those in its pid namespace."""

from __future__ import annotations

import contextlib
import os


def same_pid_namespace(init: int) -> list[int]:
    """Return the pids that share a process's pid namespace."""
    found = []
    with contextlib.suppress(OSError):
        wanted = os.stat(f"/proc/{init}/ns/pid").st_ino
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{name}/ns/pid").st_ino == wanted:
                        found.append(int(name))
    return found
