"""What a container may use: which limits Docker refuses, which this machine can't keep, and their OCI form.

A limit that is wrong is refused; one for which the machine has no controller
is dropped with a warning, and the container runs. Source: moby
daemon/daemon_unix.go (verifyPlatformContainerResources), pkg/sysinfo.
"""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydock_lab.daemon.linux import capabilities, cgroups, controlfiles, syscalls
from pydock_lab.errors import Conflict, InvalidParameter

_MIN_MEMORY_BYTES = 6 * 1024 * 1024
_CPU_SET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_BLOCK_DEVICES = {
    "BlkioDeviceReadBps": ("throttleReadBpsDevice", "BPS Block I/O read limit", "Block I/O BPS read limit"),
    "BlkioDeviceWriteBps": ("throttleWriteBpsDevice", "BPS Block I/O write limit", "Block I/O BPS write limit"),
    "BlkioDeviceReadIOps": ("throttleReadIOPSDevice", "IOPS Block read limit", "Block I/O IOPS read limit"),
    "BlkioDeviceWriteIOps": ("throttleWriteIOPSDevice", "IOPS Block write limit", "Block I/O IOPS write limit"),
}
_WITHOUT = "The daemon has no CAP_SYS_RESOURCE here:"
_MISSING = "or the cgroup is not mounted."
# Ability, keys of HostConfig, their value without it, and what Docker says is lacking and therefore discarded.
_DISCARDED: tuple[tuple[str, tuple[str, ...], object, str], ...] = (
    ("memory", ("Memory",), 0, f"memory limit capabilities {_MISSING} Limitation"),
    ("swappiness", ("MemorySwappiness",), None, f"memory swappiness capabilities {_MISSING} Memory swappiness"),
    ("memory", ("MemoryReservation",), 0, f"memory soft limit capabilities {_MISSING} Limitation"),
    ("oom_control", ("OomKillDisable",), None, "OomKillDisable. OomKillDisable"),
    ("pids", ("PidsLimit",), None, f"PIDs limit capabilities {_MISSING} PIDs limit"),
    ("cpu", ("CpuShares",), 0, f"CPU shares {_MISSING} Shares"),
    ("cpu", ("CpuPeriod", "CpuQuota"), 0, "CPU CFS scheduler. CPU period/quota"),
    ("cpuset", ("CpusetCpus", "CpusetMems"), "", f"cpuset {_MISSING} CPUset"),
    ("block_weight", ("BlkioWeight",), 0, f"Block I/O weight {_MISSING} Weight"),
    ("block_weight", ("BlkioWeightDevice",), [], f"Block I/O weight_device {_MISSING} Weight-device"),
    *(("block", (key,), [], f"{able} {_MISSING} {what}") for key, (_, able, what) in _BLOCK_DEVICES.items()),
)


@dataclass(frozen=True)
class Abilities:
    """Which limits this machine can keep for this daemon."""

    memory: bool = True
    swap: bool = True
    swappiness: bool = True
    oom_control: bool = True
    cpu: bool = True
    cpu_realtime: bool = True
    cpuset: bool = True
    pids: bool = True
    block: bool = True
    block_weight: bool = True
    raised: bool = True

    @classmethod
    def of(cls, layout: cgroups.Layout, *, rootless: bool) -> Abilities:
        """Look at the hierarchies; a plain user's daemon has those that were delegated to it."""
        # The power over a user namespace is none over the limits of its processes.
        raised = not rootless and bool(syscalls.capget() & capabilities.mask(["CAP_SYS_RESOURCE"]))
        if layout.version == 1 and not rootless:
            v1 = layout.v1
            memory, block = v1.get("memory", ""), v1.get("blkio", "")
            return cls(
                memory=bool(memory),
                swap=_has(memory, "memory.memsw.limit_in_bytes"),
                swappiness=_has(memory, "memory.swappiness"),
                oom_control=_has(memory, "memory.oom_control"),
                cpu="cpu" in v1,
                cpu_realtime=_has(v1.get("cpu", ""), "cpu.rt_period_us"),
                cpuset="cpuset" in v1,
                pids="pids" in v1,
                block=bool(block),
                block_weight=_has(block, "blkio.weight"),
                raised=raised,
            )
        there = set(controlfiles.read(f"{layout.unified}/cgroup.controllers").split()) if layout.version == 2 else set()
        if rootless and layout.version == 2 and not os.access(f"{layout.unified}/cgroup.subtree_control", os.W_OK):
            there = set()
        return cls(
            memory="memory" in there,
            swap="memory" in there,
            swappiness=False,
            oom_control=False,
            cpu="cpu" in there,
            cpu_realtime=False,
            cpuset="cpuset" in there,
            pids="pids" in there,
            block="io" in there,
            block_weight="io" in there,
            raised=raised,
        )

    def discard(self, host: dict[str, Any]) -> list[str]:
        """Drop from a HostConfig what can't be kept; return Docker's warnings."""
        warnings = []
        if not self.swap and host["Memory"] and host["MemorySwap"] != -1:
            host["MemorySwap"] = -1
            warnings.append(
                "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
                "Memory limited without swap."
            )
        for ability, keys, without, lacking in _DISCARDED:
            if not getattr(self, ability) and any(host[key] for key in keys):
                host.update(dict.fromkeys(keys, without))
                warnings.append(f"Your kernel does not support {lacking} discarded.")
        if not self.memory:
            host["MemorySwap"] = 0
        if not self.oom_control:
            host["OomKillDisable"] = None  # also where a client says `false`, as the CLI always does
        if (host["CpuRealtimePeriod"] or host["CpuRealtimeRuntime"]) and not self.cpu_realtime:
            raise InvalidParameter("kernel does not support CPU real-time scheduler")
        if host["NanoCpus"] and not self.cpu:
            raise InvalidParameter(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is "
                "not mounted"
            )
        return warnings + (_not_raised(host) if not self.raised else [])


def _not_raised(host: dict[str, Any]) -> list[str]:
    """Return what a daemon without CAP_SYS_RESOURCE can't give; the container runs with what there is.

    runc fails there. A daemon in a container or a sandbox, for which that is the rule, should run the same images.
    """
    warnings = []
    for limit in host.get("Ulimits") or ():
        kind = getattr(resource, f"RLIMIT_{limit['Name'].upper()}", None)  # the runtime refuses what is none
        ceiling = resource.RLIM_INFINITY if kind is None else resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY and not 0 <= limit["Hard"] <= ceiling:
            warnings.append(f"{_WITHOUT} ulimit {limit['Name']} {limit['Hard']} is reduced to {ceiling}.")
    score = host.get("OomScoreAdj") or 0
    if score < (own := int(controlfiles.read("/proc/self/oom_score_adj"))):
        warnings.append(f"{_WITHOUT} the OOM score adjustment stays {own} instead of {score}.")
    if "CAP_SYS_RESOURCE" in (host.get("CapAdd") or ()):
        warnings.append(f"{_WITHOUT} the container is not given it either.")
    return warnings


def check(host: dict[str, Any]) -> None:
    """Refuse limits that Docker refuses, in its words. Raises InvalidParameter."""
    _check_memory(host)
    _check_cpu(host)
    if host["BlkioWeight"] and not 10 <= host["BlkioWeight"] <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")


def check_realtime(host: dict[str, Any]) -> None:
    """Refuse real-time limits that contradict each other; as Docker at creation only. Raises InvalidParameter."""
    if 0 < host["CpuRealtimePeriod"] < host["CpuRealtimeRuntime"]:
        raise InvalidParameter("cpu real-time runtime cannot be higher than cpu real-time period")


def check_update(host: dict[str, Any], changes: dict[str, Any]) -> None:
    """Refuse changes that contradict limits a container has already. Raises Conflict, InvalidParameter."""
    for key, shown in (("CpuPeriod", "CPU Period"), ("CpuQuota", "CPU Quota")):
        if changes.get(key) and host["NanoCpus"]:
            raise Conflict(f"Conflicting options: {shown} cannot be updated as NanoCPUs has already been set")
        if changes.get("NanoCpus") and host[key]:
            raise Conflict(f"Conflicting options: Nano CPUs cannot be updated as {shown} has already been set")
    memory = changes.get("Memory") or 0
    _check_least(memory)
    if memory and not changes.get("MemorySwap") and host["MemorySwap"] < memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )


def _check_memory(host: dict[str, Any]) -> None:
    memory, swap = host["Memory"], host["MemorySwap"]
    reservation, swappiness = host["MemoryReservation"], host["MemorySwappiness"]
    _check_least(memory)
    if memory > 0 and swap > 0 and swap < memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if reservation and reservation < _MIN_MEMORY_BYTES:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if memory > 0 and reservation > 0 and memory < reservation:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_least(memory: int) -> None:
    if memory and memory < _MIN_MEMORY_BYTES:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")


def _check_cpu(host: dict[str, Any]) -> None:
    cpus = os.cpu_count() or 1
    if host["NanoCpus"] and (host["CpuPeriod"] or host["CpuQuota"]):
        kind = "Period" if host["CpuPeriod"] else "Quota"
        raise InvalidParameter(f"Conflicting options: Nano CPUs and CPU {kind} cannot both be set")
    if not 0 <= host["NanoCpus"] <= cpus * 1_000_000_000:
        raise InvalidParameter(f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host["CpuPeriod"] and not 1000 <= host["CpuPeriod"] <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host["CpuQuota"] < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    for key, shown in (("CpusetCpus", "cpus"), ("CpusetMems", "mems")):
        if host[key] and not _CPU_SET.fullmatch(host[key]):
            raise InvalidParameter(f"Invalid value {host[key]} for cpuset {shown}: invalid format: {host[key]}")
    online = (
        ("CpusetCpus", "CPUs", "0" if cpus == 1 else f"0-{cpus - 1}"),
        ("CpusetMems", "memory nodes", controlfiles.read("/sys/devices/system/node/online").strip() or "0"),
    )
    for key, shown, available in online:
        if not _within(host[key], available):
            raise InvalidParameter(
                f"Requested {shown} are not available - requested {host[key]}, available: {available}"
            )


def resources(host: dict[str, Any]) -> dict[str, Any]:
    """Return OCI `linux.resources` for HostConfig's limits; only what was asked for."""
    memory: dict[str, Any] = {}
    if host["Memory"]:
        memory["limit"] = host["Memory"]
    if host["MemorySwap"]:
        memory["swap"] = host["MemorySwap"]
    if host["MemoryReservation"]:
        memory["reservation"] = host["MemoryReservation"]
    if host["MemorySwappiness"] is not None and host["MemorySwappiness"] >= 0:
        memory["swappiness"] = host["MemorySwappiness"]
    if host["OomKillDisable"]:
        memory["disableOOMKiller"] = True
    cpu: dict[str, Any] = {}
    if host["NanoCpus"]:
        cpu["period"], cpu["quota"] = 100_000, host["NanoCpus"] * 100_000 // 1_000_000_000
    for key, name in (("CpuShares", "shares"), ("CpuPeriod", "period"), ("CpuQuota", "quota"), ("CpusetCpus", "cpus"),
                      ("CpusetMems", "mems"), ("CpuRealtimePeriod", "realtimePeriod"),
                      ("CpuRealtimeRuntime", "realtimeRuntime")):  # fmt: skip
        if host[key]:
            cpu[name] = host[key]
    block: dict[str, Any] = {"weight": host["BlkioWeight"]} if host["BlkioWeight"] else {}
    for key, (name, _, _) in _BLOCK_DEVICES.items():
        if host[key]:
            block[name] = [_throttle(entry) for entry in host[key]]
    limits: dict[str, Any] = {"memory": memory, "cpu": cpu, "blockIO": block}
    if host["PidsLimit"]:
        limits["pids"] = {"limit": max(host["PidsLimit"], -1)}  # -1 lifts the limit of one that runs
    return {key: value for key, value in limits.items() if value}


def changeable(host: dict[str, Any]) -> dict[str, Any]:
    """Return the resources that reach a running container; Docker keeps real-time limits for its next start."""
    return resources({**host, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0})


def _throttle(entry: dict[str, Any]) -> dict[str, int]:
    try:
        device = Path(entry["Path"]).stat().st_rdev
    except OSError:
        raise InvalidParameter(f"stat {entry.get('Path')}: no such file or directory") from None
    return {"major": os.major(device), "minor": os.minor(device), "rate": entry["Rate"]}


def _within(wanted: str, available: str) -> bool:
    return _numbers(wanted) <= _numbers(available)


def _numbers(ranges: str) -> set[int]:
    """`0-2,5` → {0, 1, 2, 5}; a range can't name more numbers than a machine has."""
    found: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first), int(first) + 8192) + 1))
    return found


def _has(directory: str, name: str) -> bool:
    return bool(directory) and Path(directory, name).exists()
