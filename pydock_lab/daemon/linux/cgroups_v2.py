"""Cgroup v2: one directory a container; limits and counters in Docker's v1 units where those differ.

A process is born in its cgroup (clone3's CLONE_INTO_CGROUP), so `enter` finds
it there already. Device access is decided by a BPF program (devicefilter.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from typing import Any

from pydock_lab.daemon.linux import controlfiles, devicefilter
from pydock_lab.errors import KernelError


class CgroupV2:
    """One container's cgroup on the unified hierarchy; see cgroups.Cgroup."""

    def __init__(self, mount: str, path: str) -> None:
        self.mount = mount
        self.path = path.strip("/")
        self.directory = f"{mount}/{self.path}"

    def paths(self) -> dict[str, str]:
        """Return the one directory."""
        return {"": self.directory}

    def prepare(self) -> int:
        """Make the directory and open it; -1 where it can't be made (rootless without delegation)."""
        try:
            self.create()
            return os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return -1

    def create(self) -> None:
        """Make the directory; every parent passes on the controllers it has."""
        controlfiles.make(self._create)

    def _create(self) -> None:
        current = self.mount
        for name in self.path.split("/"):
            self._pass_on(current)
            current = f"{current}/{name}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(current)

    @staticmethod
    def _pass_on(directory: str) -> None:
        """Enable a directory's controllers for its children, one by one: some may be in use otherwise."""
        available = set(controlfiles.read(f"{directory}/cgroup.controllers").split())
        for controller in sorted(available - set(controlfiles.read(f"{directory}/cgroup.subtree_control").split())):
            with contextlib.suppress(OSError):
                controlfiles.write(f"{directory}/cgroup.subtree_control", f"+{controller}")

    def enter(self) -> None:
        """Move the calling process in, if it was not born there."""
        if f"0::/{self.path}\n" not in controlfiles.read("/proc/self/cgroup"):
            controlfiles.write(f"{self.directory}/cgroup.procs", 0)

    def add(self, pid: int) -> None:
        """Move another process in."""
        controlfiles.write(f"{self.directory}/cgroup.procs", pid)

    def apply(self, resources: dict[str, Any]) -> list[str]:
        """Write OCI resources; return warnings."""
        warnings: list[str] = []
        self._apply_memory(resources.get("memory") or {}, warnings)
        self._apply_cpu(resources.get("cpu") or {}, warnings)
        pids = (resources.get("pids") or {}).get("limit")
        if pids is not None:
            warning = "Your kernel does not support PIDs limit capabilities. PIDs limit discarded."
            self._write("pids.max", pids if pids > 0 else "max", warnings, warning)
        self._apply_io(resources.get("blockIO") or {}, warnings)
        for name, value in (resources.get("unified") or {}).items():
            self._write(name, value, warnings, f"{name} discarded.")
        if resources.get("devices"):
            try:
                devicefilter.attach(self.directory, resources["devices"])
            except KernelError as error:
                warnings.append(f"Device rules are not enforced ({error.message})")
        return warnings

    def _write(self, name: str, value: str | int, warnings: list[str], warning: str) -> None:
        controlfiles.try_write(f"{self.directory}/{name}", value, warnings, warning)

    def _apply_memory(self, memory: dict[str, Any], warnings: list[str]) -> None:
        limit, swap = memory.get("limit"), memory.get("swap")
        if limit:
            warning = "Your kernel does not support memory limit capabilities. Limitation discarded."
            self._write("memory.max", "max" if limit < 0 else limit, warnings, warning)
        if swap:
            # v1 and Docker count memory and swap together, v2 counts swap alone.
            alone = "max" if swap < 0 else max(0, swap - (limit or 0))
            warning = "Your kernel does not support swap limit capabilities. Memory limited without swap."
            self._write("memory.swap.max", alone, warnings, warning)
        if memory.get("reservation"):
            self._write("memory.low", memory["reservation"], warnings, "Memory soft limit discarded.")

    def _apply_cpu(self, cpu: dict[str, Any], warnings: list[str]) -> None:
        if cpu.get("shares"):
            # The kernel's own mapping of [2, 262144] onto [1, 10000], as runc has it.
            weight = 1 + (cpu["shares"] - 2) * 9999 // 262142
            self._write("cpu.weight", weight, warnings, "CPU shares discarded.")
        if cpu.get("quota") or cpu.get("period"):
            quota = cpu.get("quota") or -1
            text = f"{'max' if quota < 0 else quota} {cpu.get('period') or 100_000}"
            self._write("cpu.max", text, warnings, "CPU quota discarded.")
        for key, name in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
            if cpu.get(key):
                self._write(name, cpu[key], warnings, f"CPU {key} discarded.")

    def _apply_io(self, block: dict[str, Any], warnings: list[str]) -> None:
        if block.get("weight"):
            # Docker's [10, 1000] on [1, 10000].
            weight = 1 + (block["weight"] - 10) * 9999 // 990
            name = "io.bfq.weight" if os.path.exists(f"{self.directory}/io.bfq.weight") else "io.weight"
            self._write(name, weight, warnings, "Block I/O weight discarded.")
        for key, word in (
            ("throttleReadBpsDevice", "rbps"),
            ("throttleWriteBpsDevice", "wbps"),
            ("throttleReadIOPSDevice", "riops"),
            ("throttleWriteIOPSDevice", "wiops"),
        ):
            for device in block.get(key) or ():
                value = f"{device['major']}:{device['minor']} {word}={device['rate']}"
                try:
                    controlfiles.write(f"{self.directory}/io.max", value)
                except OSError as error:
                    raise controlfiles.refused(f"{self.directory}/io.max", value, error) from None

    def processes(self) -> list[int]:
        """Return every pid in the cgroup and below."""
        return controlfiles.pids_below(self.directory)

    def freeze(self, frozen: bool) -> None:
        """Freeze or thaw, and wait until it holds.

        Raises:
            OSError: EBUSY, a process did not stop in two seconds.
        """
        controlfiles.write(f"{self.directory}/cgroup.freeze", int(frozen))
        for attempt in range(1000):
            if controlfiles.read_table(f"{self.directory}/cgroup.events").get("frozen") == int(frozen):
                return
            time.sleep(0.0001 if attempt < 100 else 0.002)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), f"{self.directory}/cgroup.freeze")

    def kill(self) -> None:
        """Kill all at once (Linux 5.14), or one by one."""
        try:
            controlfiles.write(f"{self.directory}/cgroup.kill", 1)
        except FileNotFoundError:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def oom_kills(self) -> int:
        """Return the memory controller's count."""
        return controlfiles.read_table(f"{self.directory}/memory.events").get("oom_kill", 0)

    def stats(self) -> dict[str, Any]:
        """Return usage in Docker's structure: cpu in nanoseconds, memory in bytes."""
        cpu = controlfiles.read_table(f"{self.directory}/cpu.stat")
        return {
            "cpu": {
                "total": cpu.get("usage_usec", 0) * 1000,
                "user": cpu.get("user_usec", 0) * 1000,
                "system": cpu.get("system_usec", 0) * 1000,
                "per_cpu": [],
                "periods": cpu.get("nr_periods", 0),
                "throttled_periods": cpu.get("nr_throttled", 0),
                "throttled_time": cpu.get("throttled_usec", 0) * 1000,
            },
            "memory": {
                "usage": controlfiles.read_number(f"{self.directory}/memory.current"),
                "limit": controlfiles.read_number(f"{self.directory}/memory.max"),
                "failcnt": controlfiles.read_table(f"{self.directory}/memory.events").get("oom", 0),
                "stats": controlfiles.read_table(f"{self.directory}/memory.stat"),
            },
            "pids": {
                "current": controlfiles.read_number(f"{self.directory}/pids.current"),
                # containerd's word for "max", which Docker passes on.
                "limit": controlfiles.read_number(f"{self.directory}/pids.max") or 2**64 - 1,
            },
            "blkio": self._blkio(),
        }

    def _blkio(self) -> list[dict[str, Any]]:
        """Return bytes moved per device and direction."""
        entries = []
        for line in controlfiles.read(f"{self.directory}/io.stat").splitlines():
            device, *pairs = line.split()
            major, _, minor = device.partition(":")
            values = dict(pair.partition("=")[::2] for pair in pairs)
            for key, operation in (("rbytes", "Read"), ("wbytes", "Write")):
                if key in values and major.isdigit():
                    value = int(values[key])
                    entries.append({"major": int(major), "minor": int(minor), "op": operation, "value": value})
        return entries

    def delete(self) -> None:
        """Remove the directory and those below it."""
        controlfiles.remove_tree(self.directory)

    def delete_parent(self) -> None:
        """Remove the directory above where it is empty."""
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.directory))
