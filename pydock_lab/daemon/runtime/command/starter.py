"""`spec`: the config.json that a new bundle starts from, as runc writes it; a plain user's with `--rootless`.

Source: runc's libcontainer/specconv/example.go.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.daemon.runtime.command.state import OCI_VERSION

Config = dict[str, Any]

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_LOCKED = ["nosuid", "noexec", "nodev"]
_MOUNTS = (
    ("/proc", "proc", "proc", None),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", [*_LOCKED[:2], "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", [*_LOCKED, "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", _LOCKED),
    ("/sys", "sysfs", "sysfs", [*_LOCKED, "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", [*_LOCKED, "relatime", "ro"]),
)
_MASKED = ("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
           "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi")  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def starter(*, unified: bool) -> Config:
    """Return the config; `unified` of a machine whose cgroups are v2 alone."""
    process = {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted", "ambient"), _CAPABILITIES),
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }
    mounts = [
        {"destination": destination, "type": kind, "source": source, **({"options": options} if options else {})}
        for destination, kind, source, options in _MOUNTS
    ]
    kinds = ["pid", "network", "ipc", "uts", "mount", *(["cgroup"] if unified else [])]
    return {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pydock",
        "mounts": mounts,
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def for_plain_user(config: Config, uid: int, gid: int) -> Config:
    """Return the config for somebody who may map his own id alone: the host's network, and its /sys as it is."""
    linux = {key: value for key, value in config["linux"].items() if key != "resources"}
    kinds = [entry for entry in linux["namespaces"] if entry["type"] != "network"]
    linux["namespaces"] = [*kinds, {"type": "user"}]
    for key, own in (("uidMappings", uid), ("gidMappings", gid)):
        linux[key] = [{"containerID": 0, "hostID": own, "size": 1}]
    mounts = []
    for mount in config["mounts"]:
        if mount["destination"] == "/sys":
            mount = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", *_LOCKED, "ro"]}
        elif "options" in mount:
            # A group other than his own he can't give anything to.
            mount = {**mount, "options": [option for option in mount["options"] if not option.startswith("gid=")]}
        mounts.append(mount)
    return {**config, "mounts": mounts, "linux": linux}
