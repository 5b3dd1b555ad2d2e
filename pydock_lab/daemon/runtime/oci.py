"""Build the OCI `config.json` that Docker would build: plain keyword values in, a dict out.

Called by `engine` (containers) and `builder` (RUN steps); what comes out goes
into `LaunchRequest.config`. Nothing here touches the kernel.

Two things are left to the launch, because they can only be known inside the
rootfs: `process.user.username` (`name:group`, with `process.user.groups` for
`--group-add`), and the path of `args[0]`.

Source: OCI runtime-spec config.md and config-linux.md; Docker's defaults.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydock_lab.daemon.linux import capabilities as caps
from pydock_lab.errors import InvalidParameter

Config = dict[str, Any]

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# (type, major, minor) of the nodes every container may use: zero, null, urandom, random, tty, console.
DEFAULT_DEVICES = (("c", 1, 5), ("c", 1, 3), ("c", 1, 9), ("c", 1, 8), ("c", 5, 0), ("c", 5, 1))

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM_BYTES = 64 * 1024 * 1024


def bind(source: str, destination: str, *, read_only: bool = False, propagation: str = "rprivate") -> Config:
    """Return an OCI mount that shows a host path inside the container.

    Args:
        source: Absolute on the host; must exist.
        destination: Absolute inside the container; made if it is not there.
        read_only: Mount it `ro`.
        propagation: `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`.
    """
    options = ["rbind", propagation or "rprivate"]
    if read_only:
        options.append("ro")
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def tmpfs(destination: str, options: str = "") -> Config:
    """Return an OCI mount of a fresh tmpfs; `options` as in `--tmpfs DEST:options`."""
    given = [option for option in options.split(",") if option]
    settings: list[str] = []
    for option in ["noexec", "nosuid", "nodev", *given]:
        # The last one of two that exclude each other holds.
        opposite = option.removeprefix("no") if option in ("noexec", "nosuid", "nodev") else f"no{option}"
        settings = [*(kept for kept in settings if kept not in (option, opposite)), option]
    return {
        "destination": destination,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": settings,
    }


def default_config(  # noqa: D417 - arguments whose names say it all are not described
    args: Sequence[str],
    *,
    env: Sequence[str] = (),
    cwd: str = "/",
    user: str = "",
    groups: Sequence[str] = (),
    hostname: str = "",
    domainname: str = "",
    tty: bool = False,
    rootfs: str = "rootfs",
    read_only: bool = False,
    mounts: Sequence[Config] = (),
    network: str = "bridge",
    pid: str = "private",
    ipc: str = "private",
    uts: str = "private",
    cgroupns: str = "",
    cgroups_path: str = "",
    resources: Config | None = None,
    cap_add: Sequence[str] = (),
    cap_drop: Sequence[str] = (),
    privileged: bool = False,
    no_new_privileges: bool = False,
    seccomp: str | Config = "default",
    devices: Sequence[Mapping[str, str]] = (),
    device_cgroup_rules: Sequence[str] = (),
    host_devices: bool = True,
    sysctls: Mapping[str, str] | None = None,
    rlimits: Sequence[tuple[str, int, int]] = (),
    oom_score_adj: int | None = 0,
    shm_bytes: int = DEFAULT_SHM_BYTES,
    masked_paths: Sequence[str] | None = None,
    readonly_paths: Sequence[str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Config:
    """Return the OCI configuration of one container with Docker's defaults.

    Args:
        args: The command and its arguments; args[0] is looked up in PATH inside the rootfs.
        env: `KEY=value` strings; PATH, HOSTNAME, TERM (with tty) and HOME are added where missing.
        cwd: Absolute inside the rootfs; made when it is not there.
        user: `user`, `user:group`, `uid`, `uid:gid` or ""; resolved inside the rootfs.
        groups: Supplementary groups by name or number (`--group-add`).
        hostname: Also the container's HOSTNAME variable.
        rootfs: Used when the launch has no overlay: a directory, absolute or relative to the bundle.
        mounts: OCI mounts (see `bind`, `tmpfs`); one with a default's destination replaces it.
        network: `bridge` or `none` for a new namespace, `host`, or the path of a namespace to join.
        pid, uts: `private`, `host`, or a path.
        ipc: `private`, `shareable`, `none` (no /dev/shm), `host`, or a path.
        cgroupns: `private`, `host`, or "" for Docker's default (private on cgroup v2).
        cgroups_path: Below the cgroup root, `/pydock/ID`.
        resources: OCI `linux.resources` (see runtime/resources.py); device rules are added here.
        seccomp: `default`, `unconfined`, or a profile in Docker's or in OCI form.
        devices: `{"PathOnHost", "PathInContainer", "CgroupPermissions"}` each.
        device_cgroup_rules: `c 42:* rmw` each.
        host_devices: With `privileged` all the host's device nodes are there; a user namespace can't have them.
        rlimits: (name such as `nofile`, soft, hard).
        masked_paths, readonly_paths: Instead of Docker's; empty lists for none.

    Raises:
        InvalidParameter: an unknown capability, a bad device or device rule; Docker's words.
    """
    granted = caps.combine(cap_add, cap_drop, privileged=privileged)
    masked: Iterable[str] = MASKED_PATHS if masked_paths is None else masked_paths
    readonly: Iterable[str] = READONLY_PATHS if readonly_paths is None else readonly_paths
    nodes, rules = _devices(devices, device_cgroup_rules, privileged=privileged, host_devices=host_devices)
    linux: Config = {
        "sysctl": _sysctls(network, sysctls or {}),
        "cgroupsPath": cgroups_path,
        "namespaces": _namespaces(network=network, pid=pid, ipc=ipc, uts=uts, cgroupns=cgroupns),
        "devices": nodes,
        "resources": {**(resources or {}), "devices": rules},
        "maskedPaths": [] if privileged else list(masked),
        "readonlyPaths": [] if privileged else list(readonly),
    }
    if not privileged and seccomp != "unconfined":
        linux["seccomp"] = {"profile": "default"} if seccomp == "default" else seccomp
    process: Config = {
        "terminal": tty,
        "user": {"username": user, "groups": list(groups)},
        "args": list(args),
        "env": environment(env, hostname=hostname, tty=tty),
        "cwd": cwd or "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), granted),
        "noNewPrivileges": no_new_privileges,
        "rlimits": [{"type": f"RLIMIT_{name.upper()}", "soft": soft, "hard": hard} for name, soft, hard in rlimits],
    }
    if oom_score_adj is not None:
        process["oomScoreAdj"] = oom_score_adj
    config: Config = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": rootfs, "readonly": read_only},
        "hostname": "" if uts == "host" else hostname,
        "mounts": _mounts(mounts, ipc=ipc, shm_bytes=shm_bytes, privileged=privileged, read_only=read_only),
        "linux": linux,
        "annotations": dict(annotations or {}),
    }
    if domainname:
        config["domainname"] = domainname
    return config


def exec_process(
    config: Config,
    args: Sequence[str],
    *,
    env: Sequence[str] = (),
    cwd: str = "",
    user: str | None = None,
    tty: bool = False,
    privileged: bool = False,
) -> Config:
    """Return the OCI `process` of `docker exec` in a container that was made from `config`.

    The container's environment, directory, user and capabilities hold unless given otherwise.
    """
    base: Config = config["process"]
    process = dict(base)
    # What the container's own terminal and user brought is not the exec's.
    foreign = ["TERM=xterm"] if base.get("terminal") and not tty else []
    kept = [entry for entry in base["env"] if entry not in foreign and (not entry.startswith("HOME=") or user is None)]
    process["args"] = list(args)
    process["terminal"] = tty
    process["env"] = _merge_environment(kept, ["TERM=xterm"] if tty else [], env)
    process["cwd"] = cwd or base["cwd"]
    if user is not None:
        process["user"] = {"username": user, "groups": base["user"].get("groups", [])}
    if privileged:
        process["capabilities"] = {kind: caps.NAMES for kind in ("bounding", "effective", "permitted")}  # noqa: C420
    return process


def environment(env: Sequence[str], *, hostname: str = "", tty: bool = False) -> list[str]:
    """Return the environment of a container's init process: Docker's own variables, then the image's and user's."""
    own = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if tty:
        own.append("TERM=xterm")
    return _merge_environment(own, env)


def _merge_environment(*lists: Sequence[str]) -> list[str]:
    """Join lists of `KEY=value`; a later one replaces an earlier one in its place; a bare `KEY` removes it."""
    merged: dict[str, str] = {}
    for entry in (entry for entries in lists for entry in entries):
        key, equals, _ = entry.partition("=")
        if equals:
            merged[key] = entry
        else:
            merged.pop(key, None)
    return list(merged.values())


def _namespaces(*, network: str, pid: str, ipc: str, uts: str, cgroupns: str) -> list[Config]:
    """Return `linux.namespaces`; a mode that is a path joins that namespace, `host` leaves it out."""
    cgroup = cgroupns or ("private" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "host")
    namespaces: list[Config] = [{"type": "mount"}]
    for kind, mode in (("network", network), ("uts", uts), ("pid", pid), ("ipc", ipc), ("cgroup", cgroup)):
        if mode.startswith("/"):
            namespaces.append({"type": kind, "path": mode})
        elif mode != "host":
            namespaces.append({"type": kind})
    return namespaces


def _mounts(given: Sequence[Config], *, ipc: str, shm_bytes: int, privileged: bool, read_only: bool) -> list[Config]:
    """Return Docker's mounts with the user's in place of those they hide, parents before children."""
    locked = ["nosuid", "noexec", "nodev"]
    system = [] if privileged else ["ro"]
    pts = [*locked[:2], "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    defaults = [
        ("/proc", "proc", "proc", locked),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/sys", "sysfs", "sysfs", [*locked, *system]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*system, *locked]),
        ("/dev/mqueue", "mqueue", "mqueue", locked),
        ("/dev/shm", "tmpfs", "shm", [*locked, "mode=1777", f"size={shm_bytes}"]),
    ]
    if ipc == "none":
        defaults = [default for default in defaults if default[0] != "/dev/shm"]
    elif ipc == "host":
        # A new mqueue file system shows the queues of the IPC namespace, here the host's.
        defaults = [default for default in defaults if default[0] != "/dev/shm"]
        given = [*([bind("/dev/shm", "/dev/shm")] if os.path.isdir("/dev/shm") else ()), *given]
    elif ipc.startswith("/"):
        # Who shares a container's IPC namespace shares its /dev/shm.
        defaults = [default for default in defaults if default[0] != "/dev/shm"]
        given = [bind(f"{os.path.dirname(os.path.dirname(ipc))}/root/dev/shm", "/dev/shm"), *given]
    taken = {os.path.normpath(mount["destination"]) for mount in given}
    mounts: list[Config] = []
    for destination, kind, source, options in defaults:
        if destination in taken or ("/dev" in taken and destination.startswith("/dev/")):
            continue
        settings = list(options)
        if read_only and destination in ("/sys", "/sys/fs/cgroup") and "ro" not in settings:
            settings.append("ro")
        mounts.append({"destination": destination, "type": kind, "source": source, "options": settings})
    return mounts + sorted(given, key=lambda mount: os.path.normpath(mount["destination"]).count("/"))


def _sysctls(network: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return `linux.sysctl`: Docker lets everyone ping and bind low ports in a network of their own."""
    settings = {}
    if network in ("bridge", "none"):
        settings["net.ipv4.ping_group_range"] = "0 2147483647"
        settings["net.ipv4.ip_unprivileged_port_start"] = "0"
    return {**settings, **given}


def _devices(
    devices: Sequence[Mapping[str, str]], rules: Sequence[str], *, privileged: bool, host_devices: bool
) -> tuple[list[Config], list[Config]]:
    """Return `linux.devices` and `linux.resources.devices`."""
    if privileged:
        nodes = [_device(os.path.join("/dev", name), "") for name in (_host_devices() if host_devices else ())]
        extra = [d for d in devices if d["PathOnHost"] != (d.get("PathInContainer") or d["PathOnHost"])]
        nodes += [_device(device["PathOnHost"], device["PathInContainer"]) for device in extra]
        return nodes, [{"allow": True, "access": "rwm"}]
    allowed: list[Config] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor in DEFAULT_DEVICES:
        allowed.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": "rwm"})
    nodes = []
    for device in devices:
        node = _device(device["PathOnHost"], device.get("PathInContainer", ""))
        nodes.append(node)
        access = device.get("CgroupPermissions") or "rwm"
        allowed.append({"allow": True, "access": access, **{key: node[key] for key in ("type", "major", "minor")}})
    return nodes, allowed + [_device_rule(rule) for rule in rules]


def _host_devices() -> list[str]:
    """Return the device nodes of /dev, without the trees that are the container's own."""
    found = []
    for top, directories, files in os.walk("/dev"):
        directories[:] = [name for name in directories if name not in ("pts", "shm", "mqueue", "fd", ".lxc", "console")]
        for name in files:
            path = os.path.join(top, name)
            if not os.path.islink(path) and stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFCHR, stat.S_IFBLK):
                found.append(os.path.relpath(path, "/dev"))
    return [name for name in found if name != "console"]


def _device(path_on_host: str, path_in_container: str) -> Config:
    """Describe a host's device node as an OCI device."""
    try:
        status = os.stat(path_on_host)
    except OSError:
        raise InvalidParameter(
            f'error gathering device information while adding custom device "{path_on_host}": no such file or directory'
        ) from None
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise InvalidParameter(
            f'error gathering device information while adding custom device "{path_on_host}": not a device node'
        )
    return {
        "path": path_in_container or path_on_host,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _device_rule(rule: str) -> Config:
    """Parse `--device-cgroup-rule` (`c 7:* rmw`)."""
    fields = rule.split()
    numbers = fields[1].split(":") if len(fields) == 3 else []
    known = len(numbers) == 2 and all(number == "*" or number.isdigit() for number in numbers)
    if not known or fields[0] not in "abc" or not set(fields[2]) <= set("rwm"):
        raise InvalidParameter(f"invalid device cgroup rule format: '{rule}'")
    parsed: Config = {"allow": True, "type": fields[0], "access": fields[2]}
    for key, number in zip(("major", "minor"), numbers, strict=True):
        parsed[key] = -1 if number == "*" else int(number)
    return parsed
