"""Control files of the kernel: short texts that are read and written whole (cgroupfs, sysfs, /proc/sys).

Which files there are is for cgroups_v1.py and cgroups_v2.py to know.

Source: cgroups(7), proc(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pydock_lab.errors import SystemFailure

_PATIENCE = 100


def read(path: str) -> str:
    """Return a control file's text, or "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_number(path: str) -> int:
    """Return a control file's number; `max`, -1 and a missing file are 0."""
    text = read(path).strip()
    return int(text) if text.isdigit() else 0


def read_table(path: str) -> dict[str, int]:
    """Return a file of `key value` lines."""
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def write(path: str, value: str | int) -> None:
    """Write one value to a control file in one system call."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def make(create: Callable[[], None]) -> None:
    """Make a cgroup; again where a parent went meanwhile: an engine that ends takes `/pydock` along when it is empty.

    Args:
        create: Makes its directories, and takes those that are there already.

    Raises:
        FileNotFoundError: a parent went each time.
    """
    for patience in reversed(range(_PATIENCE)):
        try:
            create()
        except FileNotFoundError:
            if not patience:
                raise
            time.sleep(0)  # whoever removes it goes on
        else:
            return


def try_write(path: str, value: str | int, warnings: list[str], warning: str) -> None:
    """Write one value, or note a warning where the kernel refuses."""
    try:
        write(path, value)
    except OSError as error:
        warnings.append(f"{warning} ({os.path.basename(path)}: {os.strerror(error.errno or 0).lower()})")


def refused(path: str, value: str | int, error: OSError) -> SystemFailure:
    """Return the error of a container whose limit the kernel refuses, in runc's words."""
    reason = os.strerror(error.errno or 0).lower()
    return SystemFailure(
        f'error setting cgroup config for procHooks process: failed to write "{value}": write {path}: {reason}'
    )


def remove_tree(path: str) -> None:
    """Remove a cgroup directory and those below it; retry while the last process is on its way out."""
    for attempt in range(40):
        try:
            for top, names, _ in os.walk(path, topdown=False):
                for name in names:
                    os.rmdir(os.path.join(top, name))
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError:
            if attempt == 39:
                raise
            time.sleep(0.0005 * (attempt + 1))


def pids_below(path: str) -> list[int]:
    """Return every pid in a cgroup directory and below."""
    found: list[int] = []
    for top, _, _ in os.walk(path):
        found += [int(pid) for pid in read(f"{top}/cgroup.procs").split()]
    return found
