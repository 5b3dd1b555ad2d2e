"""Which ids a plain user's namespace gets: a range where the system grants one, else the user's own id alone.

`newuidmap` is tried, never trusted: in containers it is often there and
refused, and what wraps it may hang, so it is called with a time limit.

Source: user_namespaces(7), newuidmap(1), subuid(5).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Range:
    """Consecutive subordinate ids: `count` of them from `first` on."""

    first: int
    count: int


def write_maps(pid: int) -> bool:
    """Map ids for a child that has just unshared its user namespace; return whether only one id is mapped.

    Root inside is the calling user; ids from 1 on are the user's subordinate ids.

    Args:
        pid: The child, in a user namespace without maps.
    """
    users, groups = subordinate(Path("/etc/subuid"), os.getuid()), subordinate(Path("/etc/subgid"), os.getuid())
    if users and groups:
        mapped = _with_program("newuidmap", pid, os.getuid(), users)
        if mapped and _with_program("newgidmap", pid, os.getgid(), groups):
            return False
        if mapped:
            # The uid map can be written once only, so it stays; the group map becomes a single id.
            _write_single_gid(pid)
            return False
    proc = Path(f"/proc/{pid}")
    (proc / "uid_map").write_text(f"0 {os.getuid()} 1\n")
    _write_single_gid(pid)
    return True


def subordinate(path: Path, uid: int) -> Range | None:
    """Return the first range that a file of subuid(5)'s form gives a user, by name or by number."""
    names = {str(uid)}
    with contextlib.suppress(KeyError):  # an id without a name
        names.add(pwd.getpwuid(uid).pw_name)
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        owner, *numbers = line.strip().split(":")
        if owner in names and len(numbers) == 2 and all(number.isdigit() for number in numbers):
            return Range(int(numbers[0]), int(numbers[1]))
    return None


def _with_program(name: str, pid: int, own_id: int, subordinates: Range) -> bool:
    program = shutil.which(name)
    if program is None:
        return False
    mapping = ["0", str(own_id), "1", "1", str(subordinates.first), str(subordinates.count)]
    try:
        done = subprocess.run([program, str(pid), *mapping], capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _write_single_gid(pid: int) -> None:
    proc = Path(f"/proc/{pid}")
    (proc / "setgroups").write_text("deny")
    (proc / "gid_map").write_text(f"0 {os.getgid()} 1\n")
