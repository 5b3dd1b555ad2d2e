"""Whose processes run where: every running container's, with the pid on each side and its namespaces.

Read from /proc (proc(5)): `NSpid` in `status` gives a process's number in every
pid namespace it is in, `ns/*` the inode of each namespace. Drawn by
notebook/views/stacks.py and notebook/views/processes.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.engine import Engine

NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "cgroup", "user")
_SHOWN = 200
_COMMAND_CHARACTERS = 200

Look = Callable[[], dict[str, Any]]


async def plan(engine: Engine) -> Look:
    """Ask the engine which processes are whose (in the event loop); return what then reads /proc (in a thread)."""
    found: list[tuple[dict[str, Any], list[int]]] = []
    for container in engine.containers.table:
        record = container.record
        if not record.state.running:
            continue
        document = {
            "id": container.id,
            "name": container.name,
            "image": record.config.get("Image", ""),
            "state": record.state.status,
            "pid": record.state.pid,
        }
        found.append((document, await engine.runtime.processes(container.id)))
    return lambda: {
        "host": _host(),
        "containers": [
            {**document, "namespaces": namespaces(document["pid"]), "processes": describe_all(pids)}
            for document, pids in found
        ],
    }


def _host() -> dict[str, Any]:
    system = os.uname()
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "kernel": f"{system.sysname} {system.release}",
        "machine": system.machine,
        "cpus": os.cpu_count() or 1,
        "memory_bytes": pages * page_bytes,
        "engine_pid": os.getpid(),
        "namespaces": namespaces(os.getpid()),
    }


def namespaces(pid: int) -> dict[str, int]:
    """Return the inode of each namespace of a process; without those that this kernel or user can't show."""
    inodes: dict[str, int] = {}
    for kind in NAMESPACES:
        with contextlib.suppress(OSError):
            inodes[kind] = Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    return inodes


def describe_all(pids: list[int]) -> list[dict[str, Any]]:
    """Describe processes, those left out that have ended meanwhile."""
    return [process for pid in pids[:_SHOWN] if (process := _describe(pid))]


def _describe(pid: int) -> dict[str, Any] | None:
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except (OSError, ValueError):
        return None
    return {
        "pid": pid,
        "inside": int(status.get("NSpid", str(pid)).split()[-1]),
        "parent": int(status["PPid"]),
        "user": int(status["Uid"].split()[0]),
        "command": command.decode(errors="replace")[:_COMMAND_CHARACTERS] or f"[{status['Name'].strip()}]",
    }
