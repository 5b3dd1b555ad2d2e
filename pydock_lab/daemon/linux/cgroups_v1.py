"""Cgroup v1; where the layout is hybrid the v2 tree beside it, which has no controllers, is left alone.

A process joins by writing `0` to `tasks`, not its pid to `cgroup.procs`: for
the calling thread the kernel skips a lock over all processes whose first use
costs an RCU grace period (17 ms measured on Linux 6.18).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from typing import Any

from pydock_lab.daemon.linux import controlfiles
from pydock_lab.errors import LabError

# Nodes any container may make or use, besides those its config allows: Docker's
# runtime adds the same. (type, major, minor, access)
RUNTIME_DEVICES = ("c *:* m", "b *:* m", "c 1:7 rwm", "c 5:2 rwm", "c 136:* rwm")


class CgroupV1:
    """One container's cgroup in each v1 hierarchy; see cgroups.Cgroup."""

    def __init__(self, mounts: dict[str, str], path: str) -> None:
        self.path = path.strip("/")
        self.directories = {controller: f"{mount}/{self.path}" for controller, mount in mounts.items()}

    def paths(self) -> dict[str, str]:
        """Return controller → absolute directory."""
        return self.directories

    def prepare(self) -> int:
        """Nothing: a v1 hierarchy is joined after the fork."""
        return -1

    def create(self) -> None:
        """Make the directories; cpuset's need CPUs and memory nodes before a process may enter."""
        controlfiles.make(self._create)

    def _create(self) -> None:
        for controller, directory in self.directories.items():
            if controller == "cpuset":
                self._create_cpuset(directory)
                continue
            try:
                os.mkdir(directory)
            except FileNotFoundError:
                os.makedirs(directory, exist_ok=True)
            except FileExistsError:
                pass

    @staticmethod
    def _create_cpuset(directory: str) -> None:
        """Make a cpuset directory; with clone_children a child takes over its parent's CPUs and nodes."""
        parent = os.path.dirname(directory)
        given = f"{parent}/cpuset.cpus"
        # It may be another engine's that is just being made, and has none yet.
        if not os.path.isdir(parent) or (os.path.exists(given) and not controlfiles.read(given).strip()):
            CgroupV1._create_cpuset(parent)
        inherited = controlfiles.read(f"{parent}/cgroup.clone_children").strip() == "1"
        if not inherited and controlfiles.read(f"{parent}/cpuset.cpus"):
            with contextlib.suppress(OSError):
                controlfiles.write(f"{parent}/cgroup.clone_children", 1)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not controlfiles.read(f"{directory}/{name}").strip():
                controlfiles.write(f"{directory}/{name}", controlfiles.read(f"{parent}/{name}").strip())

    def enter(self) -> None:
        """Move the calling process in."""
        for directory in dict.fromkeys(self.directories.values()):
            controlfiles.write(f"{directory}/tasks", 0)

    def add(self, pid: int) -> None:
        """Move another process in."""
        for directory in dict.fromkeys(self.paths().values()):
            controlfiles.write(f"{directory}/cgroup.procs", pid)

    def apply(self, resources: dict[str, Any]) -> list[str]:
        """Write OCI resources; return warnings."""
        warnings: list[str] = []
        if "memory" in self.directories:
            self._apply_memory(resources.get("memory") or {}, warnings)
        elif resources.get("memory"):
            warnings.append("Your kernel does not support memory limit capabilities. Limitation discarded.")
        self._apply_cpu(resources.get("cpu") or {}, warnings)
        pids = (resources.get("pids") or {}).get("limit")
        if pids is not None and "pids" in self.directories:
            controlfiles.try_write(
                f"{self.directories['pids']}/pids.max",
                pids if pids > 0 else "max",
                warnings,
                "Your kernel does not support PIDs limit capabilities. PIDs limit discarded.",
            )
        self._apply_blkio(resources.get("blockIO") or {}, warnings)
        if "devices" in self.directories and resources.get("devices"):
            self._apply_devices(resources["devices"])
        return warnings

    def _apply_memory(self, memory: dict[str, Any], warnings: list[str]) -> None:
        directory = self.directories["memory"]
        limit, swap = memory.get("limit"), memory.get("swap")
        # Whichever of the two moves towards the other has to move second.
        writes = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
        current = controlfiles.read_number(f"{directory}/memory.memsw.limit_in_bytes")
        if limit and (swap == -1 or (swap and swap > current)) and limit > current:
            writes.reverse()
        for name, value in writes:
            if value:
                controlfiles.try_write(
                    f"{directory}/{name}",
                    value,
                    warnings,
                    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
                    "Memory limited without swap."
                    if "memsw" in name
                    else "Your kernel does not support memory limit capabilities. Limitation discarded.",
                )
        if memory.get("reservation"):
            name = f"{directory}/memory.soft_limit_in_bytes"
            controlfiles.try_write(name, memory["reservation"], warnings, "Memory soft limit discarded.")
        if memory.get("swappiness") is not None and memory["swappiness"] >= 0:
            name = f"{directory}/memory.swappiness"
            controlfiles.try_write(name, memory["swappiness"], warnings, "Memory swappiness discarded.")
        if memory.get("disableOOMKiller"):
            controlfiles.try_write(f"{directory}/memory.oom_control", 1, warnings, "OomKillDisable discarded.")

    def _apply_cpu(self, cpu: dict[str, Any], warnings: list[str]) -> None:
        if cpu.get("shares") == 1:
            # The kernel would make it 2 and say nothing; runc reads it back.
            raise LabError("error setting cgroup config for procHooks process: the minimum allowed cpu-shares is 2")
        for key, controller, name in (
            ("shares", "cpu", "cpu.shares"),
            ("period", "cpu", "cpu.cfs_period_us"),
            ("quota", "cpu", "cpu.cfs_quota_us"),
            ("burst", "cpu", "cpu.cfs_burst_us"),
            ("cpus", "cpuset", "cpuset.cpus"),
            ("mems", "cpuset", "cpuset.mems"),
        ):
            value = cpu.get(key)
            if not value:
                continue
            if controller in self.directories:
                path = f"{self.directories[controller]}/{name}"
                controlfiles.try_write(path, value, warnings, f"CPU {key} discarded.")
            else:
                warnings.append(f"Your kernel does not support CPU {key}. {key.capitalize()} discarded.")

        self._apply_realtime(cpu)

    def _apply_realtime(self, cpu: dict[str, Any]) -> None:
        """Write real-time limits. Raises SystemFailure: without them a program would take a CPU for itself."""
        for key, name in (("realtimePeriod", "cpu.rt_period_us"), ("realtimeRuntime", "cpu.rt_runtime_us")):
            if cpu.get(key):
                path = f"{self.directories.get('cpu', '')}/{name}"
                try:
                    controlfiles.write(path, cpu[key])
                except OSError as error:
                    raise controlfiles.refused(path, cpu[key], error) from None

    def _apply_blkio(self, block: dict[str, Any], warnings: list[str]) -> None:
        directory = self.directories.get("blkio")
        if not directory:
            return
        if block.get("weight"):
            name = "blkio.bfq.weight" if os.path.exists(f"{directory}/blkio.bfq.weight") else "blkio.weight"
            warning = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
            controlfiles.try_write(f"{directory}/{name}", block["weight"], warnings, warning)
        for key, name in (
            ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
            ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
            ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
            ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
        ):
            for device in block.get(key) or ():
                value = f"{device['major']}:{device['minor']} {device['rate']}"
                try:
                    controlfiles.write(f"{directory}/{name}", value)
                except OSError as error:
                    raise controlfiles.refused(f"{directory}/{name}", value, error) from None

    def _apply_devices(self, rules: list[dict[str, Any]]) -> None:
        """Write the device rules in their order, then the runtime's own."""
        directory = self.directories["devices"]
        if any(rule["allow"] and "type" not in rule for rule in rules):
            return  # privileged: everything, as the parent has it
        allow = os.open(f"{directory}/devices.allow", os.O_WRONLY | os.O_CLOEXEC)
        try:
            for rule in rules:
                if rule["allow"]:
                    os.write(allow, _device_rule(rule).encode())
                else:
                    controlfiles.write(f"{directory}/devices.deny", _device_rule(rule))
            for text in RUNTIME_DEVICES:
                os.write(allow, text.encode())
        finally:
            os.close(allow)

    def processes(self) -> list[int]:
        """Return every pid in the cgroup."""
        return controlfiles.pids_below(self.directories.get("pids") or next(iter(self.directories.values())))

    def freeze(self, frozen: bool) -> None:
        """Freeze through the freezer hierarchy and wait until it holds.

        The kernel answers at once and stops each process when it next runs; on a busy machine that takes a while.

        Raises:
            OSError: EBUSY, a process did not stop in two seconds.
        """
        directory = self.directories["freezer"]
        state = "FROZEN" if frozen else "THAWED"
        for attempt in range(1000):
            controlfiles.write(f"{directory}/freezer.state", state)
            if controlfiles.read(f"{directory}/freezer.state").strip() == state:
                return
            time.sleep(0.0001 if attempt < 100 else 0.002)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), f"{directory}/freezer.state")

    def kill(self) -> None:
        """Send signals until nobody is left to fork."""
        with contextlib.suppress(OSError):
            self.freeze(False)
        for _ in range(100):
            pids = self.processes()
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def oom_kills(self) -> int:
        """Return the memory controller's count."""
        directory = self.directories.get("memory")
        return controlfiles.read_table(f"{directory}/memory.oom_control").get("oom_kill", 0) if directory else 0

    def stats(self) -> dict[str, Any]:
        """Return usage in Docker's structure: cpu in nanoseconds, memory in bytes."""
        cpu, cpuacct = self.directories.get("cpu", ""), self.directories.get("cpuacct", "")
        memory, pids, blkio = (self.directories.get(name, "") for name in ("memory", "pids", "blkio"))
        ticks = controlfiles.read_table(f"{cpuacct}/cpuacct.stat")
        throttled = controlfiles.read_table(f"{cpu}/cpu.stat")
        nanoseconds_per_tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return {
            "cpu": {
                "total": controlfiles.read_number(f"{cpuacct}/cpuacct.usage"),
                "user": ticks.get("user", 0) * nanoseconds_per_tick,
                "system": ticks.get("system", 0) * nanoseconds_per_tick,
                "per_cpu": [int(value) for value in controlfiles.read(f"{cpuacct}/cpuacct.usage_percpu").split()],
                "periods": throttled.get("nr_periods", 0),
                "throttled_periods": throttled.get("nr_throttled", 0),
                "throttled_time": throttled.get("throttled_time", 0),
            },
            "memory": {
                "usage": controlfiles.read_number(f"{memory}/memory.usage_in_bytes"),
                "max_usage": controlfiles.read_number(f"{memory}/memory.max_usage_in_bytes"),
                "limit": controlfiles.read_number(f"{memory}/memory.limit_in_bytes"),
                "failcnt": controlfiles.read_number(f"{memory}/memory.failcnt"),
                "stats": controlfiles.read_table(f"{memory}/memory.stat"),
            },
            "pids": {
                "current": controlfiles.read_number(f"{pids}/pids.current"),
                "limit": controlfiles.read_number(f"{pids}/pids.max"),
            },
            "blkio": _blkio(blkio),
        }

    def delete(self) -> None:
        """Remove every directory."""
        for directory in dict.fromkeys(self.paths().values()):
            controlfiles.remove_tree(directory)

    def delete_parent(self) -> None:
        """Remove the parent directories where they are empty."""
        for directory in dict.fromkeys(self.paths().values()):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(directory))


def _device_rule(rule: dict[str, Any]) -> str:
    """Return an OCI device rule as devices.allow takes it, `c 1:3 rwm`; without a type it is about all devices."""
    if not rule.get("type"):
        return "a"
    numbers = ":".join("*" if rule.get(key) in (None, -1) else str(rule[key]) for key in ("major", "minor"))
    return f"{rule['type']} {numbers} {rule['access']}"


def _blkio(directory: str) -> list[dict[str, Any]]:
    """Return bytes moved per device and direction."""
    entries = []
    for line in controlfiles.read(f"{directory}/blkio.throttle.io_service_bytes").splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in ("Read", "Write", "Sync", "Async", "Discard", "Total"):
            major, _, minor = fields[0].partition(":")
            entries.append({"major": int(major), "minor": int(minor), "op": fields[1], "value": int(fields[2])})
    return entries
