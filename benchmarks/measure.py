"""Measuring: wall time of commands, taken in turns, and memory that nobody else shares."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def in_turns(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run each job once per round, A B A B …, after one round that does not count; return seconds."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            elapsed = time.perf_counter() - started
            if turn > 0:
                taken[name].append(elapsed)
    return taken


def median(values: list[float]) -> float:
    """The middle value: a noisy neighbour moves the mean, seldom the median."""
    return statistics.median(values)


def processes_of(root: Path, daemon: int) -> list[int]:
    """Return the pids of a daemon, its descendants, and every process that names its root."""
    parents: dict[int, int] = {}
    named: set[int] = {daemon}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (entry / "stat").read_text()
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
            if str(root).encode() in (entry / "cmdline").read_bytes():
                named.add(int(entry.name))
    found = set(named)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def memory_bytes(root: Path, daemon: int, *, without: bytes = b"") -> int:
    """Return the proportional set size of an engine's processes.

    Args:
        root: Its scratch root.
        daemon: Its pid.
        without: Processes whose command line begins so are left out: the containers' own.
    """
    total = 0
    for pid in processes_of(root, daemon):
        with contextlib.suppress(OSError):
            if without and Path(f"/proc/{pid}/cmdline").read_bytes().startswith(without):
                continue
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
