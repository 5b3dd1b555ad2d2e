"""`events`: what a container uses, and when it ran out of memory, a JSON document a line as runc prints it.

Source: runc's types/events.go. What a kernel doesn't count is left out, as there.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterator
from typing import Any

from pydock_lab.daemon.linux import cgroups, controlfiles, syscalls
from pydock_lab.errors import InvalidParameter, KernelError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_CPUSET = ("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
           "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level")  # fmt: skip
# runc's word → the middle of cgroup v1's file names.
_MEMORY = {"usage": "", "swap": "memsw.", "kernel": "kmem.", "kernelTCP": "kmem.tcp."}

Document = dict[str, Any]


def seconds(interval: str) -> float:
    """Return a duration like `500ms` or `1m30s` in seconds. Raises InvalidParameter."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", interval)
    if not parts or "".join(number + unit for number, unit in parts) != interval:
        raise InvalidParameter(f'invalid value "{interval}" for flag -interval: parse error')
    total = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if total <= 0:
        raise InvalidParameter("duration interval must be greater than 0")
    return total


def follow(id: str, pid: int, cgroup: cgroups.Cgroup, interval_s: float) -> Iterator[Document]:
    """Yield what a container uses every `interval_s`, and each time that memory has run out, until it ends."""
    try:
        pidfd = syscalls.pidfd_open(pid)
    except KernelError:  # it has ended
        return
    kills = cgroup.oom_kills()
    try:
        while not select.select([pidfd], [], [], interval_s)[0]:
            if cgroup.oom_kills() > kills:
                kills = cgroup.oom_kills()
                yield {"type": "oom", "id": id}
            yield stats(id, cgroup)
    finally:
        os.close(pidfd)


def stats(id: str, cgroup: cgroups.Cgroup) -> Document:
    """Return what a container has used until now."""
    used, paths = cgroup.stats(), cgroup.paths()
    cpu = used["cpu"]
    usage = {"total": cpu["total"], "percpu": cpu["per_cpu"], **_per_cpu(paths.get("cpuacct", ""))}
    throttling = {
        "periods": cpu["periods"],
        "throttledPeriods": cpu["throttled_periods"],
        "throttledTime": cpu["throttled_time"],
    }
    data: Document = {
        "cpu": {"usage": {**_counted(usage), "kernel": cpu["system"], "user": cpu["user"]},
                "throttling": _counted(throttling)},
        "cpuset": _cpuset(paths.get("cpuset", paths.get("", ""))),
        "memory": _memory(used["memory"], paths.get("memory", "")),
        "pids": _counted({"current": used["pids"]["current"], "limit": used["pids"]["limit"]}),
        "blkio": _counted({"ioServiceBytesRecursive": [_counted(entry) for entry in used["blkio"]]}),
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }  # fmt: skip
    return {"type": "stats", "id": id, "data": data}


def _counted(values: Document) -> Document:
    """Return what isn't zero or empty."""
    return {key: value for key, value in values.items() if value}


def _per_cpu(directory: str) -> Document:
    """Return nanoseconds in the kernel and in programs on each CPU; cgroup v1 alone counts them."""
    rows = [line.split() for line in controlfiles.read(f"{directory}/cpuacct.usage_all").splitlines()[1:]]
    return {"percpu_kernel": [int(row[2]) for row in rows], "percpu_user": [int(row[1]) for row in rows]}


def _cpuset(directory: str) -> Document:
    """Return the CPUs and memory nodes, and cgroup v1's switches."""
    settings: Document = {}
    for key in ("cpus", "mems"):
        text = controlfiles.read(f"{directory}/cpuset.{key}").strip()
        text = text or controlfiles.read(f"{directory}/cpuset.{key}.effective").strip()
        bounds = [part.partition("-") for part in text.split(",") if part]
        settings[key] = [number for low, _, high in bounds for number in range(int(low), int(high or low) + 1)]
    for key in _CPUSET:
        settings[key] = int(controlfiles.read(f"{directory}/cpuset.{key}").strip() or 0)
    return settings


def _memory(used: Document, directory: str) -> Document:
    """Return bytes by kind: v1 counts four of them, v2 one."""
    document: Document = _counted({"cache": used["stats"].get("cache", 0)})
    for kind, middle in _MEMORY.items():
        counts = {
            "limit": controlfiles.read_number(f"{directory}/memory.{middle}limit_in_bytes"),
            "usage": controlfiles.read_number(f"{directory}/memory.{middle}usage_in_bytes"),
            "max": controlfiles.read_number(f"{directory}/memory.{middle}max_usage_in_bytes"),
        }
        if not directory and kind == "usage":
            counts = {"limit": used["limit"], "usage": used["usage"]}
        failed = controlfiles.read_number(f"{directory}/memory.{middle}failcnt")
        document[kind] = {**_counted(counts), "failcnt": failed}
    return {**document, "raw": used["stats"]}
