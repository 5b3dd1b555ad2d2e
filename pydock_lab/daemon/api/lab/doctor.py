"""Which boundaries are real on this machine: what the kernel and the user give the engine.

Every line is looked up, none is assumed. `state` is `real`, `limited` or `missing`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from pydock_lab.daemon.config import DaemonConfig

_NAMESPACES = {
    "pid": "processes",
    "net": "network",
    "mnt": "mounts",
    "uts": "host name",
    "ipc": "shared memory",
    "cgroup": "control groups",
    "user": "user ids",
}
_CONTROLLERS = ("cpu", "memory", "pids")


def examine(config: DaemonConfig) -> dict[str, Any]:
    """Look at the machine and return what was found."""
    system = os.uname()
    return {
        "kernel": f"{system.sysname} {system.release} {system.machine}",
        "tier": "rootless" if config.rootless else "root",
        "data_root": str(config.data_root),
        "checks": [
            _tier(config),
            _namespaces(config),
            _overlay(config),
            _cgroups(),
            _seccomp(),
            _firewall(),
            _disk(config),
        ],
    }


def _check(name: str, state: str, detail: str) -> dict[str, str]:
    return {"name": name, "state": state, "detail": detail}


def _tier(config: DaemonConfig) -> dict[str, str]:
    if not config.rootless:
        return _check("privilege", "real", "the engine runs as root")
    ids = "one user id" if config.single_id else "a range of user ids"
    return _check(
        "privilege",
        "limited" if config.single_id else "real",
        f"the engine is root in a user namespace of its own, with {ids}; outside it is an ordinary user",
    )


def _namespaces(config: DaemonConfig) -> dict[str, str]:
    there = [kind for kind in _NAMESPACES if Path(f"/proc/self/ns/{kind}").exists()]
    missing = [kind for kind in _NAMESPACES if kind not in there]
    listed = ", ".join(f"{kind} ({_NAMESPACES[kind]})" for kind in there if kind != "user" or config.rootless)
    if missing:
        return _check("namespaces", "limited", f"{listed}; this kernel has no {', '.join(missing)}")
    return _check("namespaces", "real", f"each container gets its own {listed}")


def _overlay(config: DaemonConfig) -> dict[str, str]:
    known = "\toverlay\n" in Path("/proc/filesystems").read_text()
    where = f"layers are kept below {config.data_root}"
    if known:
        return _check("layers", "real", f"the kernel mounts them with overlayfs; {where}")
    return _check("layers", "missing", f"overlayfs is not (yet) loaded in this kernel; {where}")


def _cgroups() -> dict[str, str]:
    root = Path("/sys/fs/cgroup")
    unified = root / "cgroup.controllers"
    if unified.exists():
        controllers, version = set(unified.read_text().split()), "version 2"
    else:
        controllers, version = {entry.name for entry in root.iterdir()} if root.is_dir() else set(), "version 1"
    usable = [name for name in _CONTROLLERS if name in controllers]
    writable = os.access(root, os.W_OK)
    if usable and writable:
        state = "real" if len(usable) == len(_CONTROLLERS) else "limited"
        return _check("limits", state, f"cgroups {version} limit {', '.join(usable)}")
    reason = "there are none" if not usable else "this user may not write to them"
    return _check("limits", "missing", f"cgroups: {reason}; --memory and --cpus have no effect")


def _seccomp() -> dict[str, str]:
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    if actions.exists():
        return _check("system call filter", "real", "seccomp filters forbid what Docker's default profile forbids")
    return _check("system call filter", "missing", "this kernel has no seccomp filters")


def _firewall() -> dict[str, str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = [name for name in ("nft", "iptables") if shutil.which(name, path=path)]
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    routed = forwarding.exists() and forwarding.read_text().strip() == "1"
    detail = f"{found[0]} found" if found else "neither nft nor iptables is installed"
    detail += "; the kernel forwards packets" if routed else "; forwarding is switched on with the first network"
    return _check("network", "real" if found else "limited", detail)


def _disk(config: DaemonConfig) -> dict[str, str]:
    usage = shutil.disk_usage(config.data_root)
    free_gb = usage.free / 1e9
    return _check("disk", "real" if free_gb > 1 else "limited", f"{free_gb:.0f} GB free at {config.data_root}")
