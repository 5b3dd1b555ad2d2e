"""Control groups behind one interface, whatever the layout: v1, v2, or both at once (hybrid).

`detect()` reads the layout; `Layout.cgroup(path)` is one container's cgroup.
Resources are the OCI runtime-spec's `linux.resources`; what the kernel refuses
comes back as a warning in Docker's words, for a limit must never be dropped
silently and a missing controller must not fail a run.

Source: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

Resources = dict[str, Any]
Stats = dict[str, Any]


class Cgroup(Protocol):
    """One container's cgroup, in every hierarchy the machine has."""

    def prepare(self) -> int:
        """Make what a child can be born in; return the fd of a v2 directory for clone3, or -1."""

    def create(self) -> None:
        """Make the directories (and let their parents pass controllers on)."""

    def apply(self, resources: Resources) -> list[str]:
        """Write limits; return warnings for those the kernel does not take."""

    def enter(self) -> None:
        """Move the calling (single-threaded) process in."""

    def add(self, pid: int) -> None:
        """Move another process in."""

    def processes(self) -> list[int]:
        """Return the pids in it and below, as this pid namespace numbers them."""

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process in it."""

    def kill(self) -> None:
        """Send SIGKILL to every process in it."""

    def oom_kills(self) -> int:
        """Return how many processes the memory limit has killed."""

    def stats(self) -> Stats:
        """Return what has been used: tables `cpu`, `memory`, `pids`, and the list `blkio`."""

    def delete(self) -> None:
        """Remove the directories; nothing must run in them."""

    def delete_parent(self) -> None:
        """Remove the directories above, where they are empty: other daemons may use them too."""

    def paths(self) -> dict[str, str]:
        """Return controller → absolute directory."""


class Layout:
    """Where the machine's cgroup hierarchies are mounted.

    Attributes:
        v1: Controller (or `name=systemd`) → mount point.
        unified: Mount point of cgroup2, or "".
    """

    def __init__(self, v1: dict[str, str], unified: str) -> None:
        self.v1 = v1
        self.unified = unified

    @property
    def version(self) -> int:
        """1 where any controller is on a v1 hierarchy, 2 where cgroup2 is alone, 0 where there is none."""
        if any(not controller.startswith("name=") for controller in self.v1):
            return 1
        return 2 if self.unified else 0

    def cgroup(self, path: str) -> Cgroup:
        """Return the cgroup at `path`, from the root of the hierarchies, which no `..` leaves; touches nothing."""
        path = os.path.normpath(f"/{path}")
        if self.version == 1:
            from pydock_lab.daemon.linux.cgroups_v1 import CgroupV1

            return CgroupV1(self.v1, path)
        from pydock_lab.daemon.linux.cgroups_v2 import CgroupV2

        return CgroupV2(self.unified, path)


def detect(mountinfo: str = "/proc/self/mountinfo") -> Layout:
    """Read the layout from the mount table."""
    v1: dict[str, str] = {}
    unified = ""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            before, _, after = line.partition(" - ")
            mount_point = before.split()[4]
            kind, _, super_options = after.split()[:3]
            if kind == "cgroup2" and not unified:
                unified = mount_point
            elif kind == "cgroup":
                for option in super_options.split(","):
                    if option.startswith("name=") or option in V1_CONTROLLERS:
                        v1.setdefault(option, mount_point)
    return Layout(v1, unified)


V1_CONTROLLERS = frozenset(
    (
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "devices",
        "freezer",
        "blkio",
        "pids",
        "net_cls",
        "net_prio",
        "hugetlb",
        "perf_event",
        "rdma",
        "misc",
    )
)
