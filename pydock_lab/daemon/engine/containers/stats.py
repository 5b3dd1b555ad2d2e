"""`docker stats`: a container's use of the machine, in Docker's document.

The numbers are the container's cgroup's and the network counters of the container's
namespace. Source: Docker Engine API 1.47, ContainerStats; moby daemon/stats.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.containers.record import Container, rfc3339
from pydock_lab.daemon.runtime.client import Runtime

_UNLIMITED = 2**62
# Docker's lists of the block devices' other counters.
_BLKIO_OTHERS = tuple(
    f"{name}_recursive"
    for name in ("io_serviced", "io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors")
)
_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")


async def read_stats(runtime: Runtime, container: Container, previous: dict[str, Any] | None) -> dict[str, Any]:
    """Return the document of one moment.

    Args:
        runtime: Reads the container's cgroup.
        container: Running or not; one that does not run has zeros.
        previous: The document of the moment before, or None.
    """
    head = {"name": f"/{container.name}", "id": container.id}
    zero = "0001-01-01T00:00:00Z"
    if not container.state.running:
        return {**head, "read": zero, "preread": zero, "pids_stats": {}, "blkio_stats": _blkio(None), "num_procs": 0,
                "storage_stats": {}, "cpu_stats": _no_cpu(), "precpu_stats": _no_cpu(), "memory_stats": {}}  # fmt: skip
    usage = await runtime.stats(container.id)
    return {
        **head,
        "read": rfc3339(time.time_ns()),
        "preread": previous["read"] if previous else zero,
        "pids_stats": {key: value for key, value in usage["pids"].items() if value},
        "blkio_stats": _blkio(usage["blkio"], others=[] if "max_usage" in usage["memory"] else None),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(usage["cpu"]),
        "precpu_stats": previous["cpu_stats"] if previous else _no_cpu(),
        "memory_stats": _memory(usage["memory"]),
        "networks": _networks(container.state.pid),
    }


def _no_cpu() -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def _cpu(usage: dict[str, Any]) -> dict[str, Any]:
    total: dict[str, Any] = {
        "total_usage": usage["total"],
        "usage_in_kernelmode": usage["system"],
        "usage_in_usermode": usage["user"],
    }
    if usage.get("per_cpu"):
        total["percpu_usage"] = usage["per_cpu"]
    return {
        "cpu_usage": total,
        "system_cpu_usage": _system_cpu_ns(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": usage["periods"],
            "throttled_periods": usage["throttled_periods"],
            "throttled_time": usage["throttled_time"],
        },
    }


def _memory(usage: dict[str, Any]) -> dict[str, Any]:
    limit = usage["limit"]
    document = {"usage": usage["usage"], "stats": usage["stats"], "limit": limit if 0 < limit < _UNLIMITED else 0}
    for key in ("max_usage", "failcnt"):
        if usage.get(key):
            document[key] = usage[key]
    document["limit"] = document["limit"] or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return document


def _blkio(entries: list[dict[str, Any]] | None, others: list[None] | None = None) -> dict[str, Any]:
    """Return the bytes moved; the other lists are empty with cgroup v1 and null with v2, where dockerd has none."""
    moved = None if entries is None else [{**entry, "op": entry["op"].lower()} for entry in entries]
    return {"io_service_bytes_recursive": moved, **dict.fromkeys(_BLKIO_OTHERS, others)}


def _networks(pid: int) -> dict[str, dict[str, int]]:
    """Read /proc/PID/net/dev (proc_pid_net(5)), which shows the process's own namespace."""
    interfaces: dict[str, dict[str, int]] = {}
    try:
        table = Path(f"/proc/{pid}/net/dev").read_text()
    except OSError:
        return interfaces
    for line in table.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = [int(number) for number in numbers.split()]
        if name.strip() != "lo" and len(fields) >= 12:
            chosen = [*fields[0:4], *fields[8:12]]
            interfaces[name.strip()] = dict(zip(_COUNTERS, chosen, strict=True))
    return interfaces


def _system_cpu_ns() -> int:
    """Return the time all CPUs have spent (proc_stat(5)), in ns."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    return sum(map(int, fields)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
