"""What the engine asks of the runtime: plain values, no behaviour; stdlib only.

Written by `engine` and `builder`, read by the keeper process, which has no
third-party package. Everything here survives a trip through JSON
(`dataclasses.asdict` there, keyword arguments back).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# In the bundle of a container that ended while no daemon was there: an Exit's fields.
EXIT_FILE = "exit.json"


@dataclass(frozen=True)
class OverlayRoot:
    """A rootfs to be mounted inside the container's mount namespace, never on the host.

    Args:
        lower: Absolute diff directories, topmost layer first.
        upper: Absolute writable directory (the container's writable layer).
        work: Absolute empty directory on the same file system as `upper`.
        userxattr: Mount with `userxattr` (a user namespace may not use trusted.overlay.*).
        volatile: What is written is not to outlive a crash of the machine, since the container is removed when it
            has ended: no sync reaches the disk. Else the last unmount alone waits for all of the file system's writes.
    """

    lower: list[str]
    upper: str
    work: str
    userxattr: bool = False
    volatile: bool = False


@dataclass(frozen=True)
class Attachment:
    """One end of a container on a bridge; made by `network`, carried out by the launch.

    Args:
        bridge: Name of the host's bridge link.
        host_ifname: Name of the veth end on the host.
        ifname: Name inside the container (`eth0`).
        mac: `02:42:ac:11:00:02`.
        address: IPv4 address with prefix, `172.17.0.2/16`, or "".
        gateway: IPv4 default gateway, or "".
        address6: IPv6 address with prefix, or "".
        gateway6: IPv6 default gateway, or "".
        mtu: Bytes.
    """

    bridge: str
    host_ifname: str
    ifname: str
    mac: str
    address: str = ""
    gateway: str = ""
    address6: str = ""
    gateway6: str = ""
    mtu: int = 1500


@dataclass(frozen=True)
class Log:
    """Where the keeper writes what the container prints.

    Args:
        driver: `json-file`, `local` (same file format here), or `none`.
        path: Absolute path of the log file, or "".
        max_size: Bytes at which the file is rotated, 0 for never.
        max_file: Number of files kept.
        attrs: Labels and env added to each record (`--log-opt labels=…`), shown by `logs --details`.
    """

    driver: str = "json-file"
    path: str = ""
    max_size: int = 0
    max_file: int = 1
    attrs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchRequest:
    """Everything needed to start one container's init process.

    Args:
        id: 64 hex digits.
        bundle: Absolute directory under the exec root; the keeper writes config.json there.
        config: The OCI runtime `config.json` as a dict (process, mounts, linux.namespaces with
            optional `path` to join, linux.resources, linux.cgroupsPath, linux.seccomp,
            linux.maskedPaths, …).
        root: An overlay to mount, or None when `config["root"]["path"]` is a directory to be used as it is.
        attachments: Bridges to attach to; empty for `--net none`, `host` and `container:…`.
        resolver: Address at which the container asks for names, "" where nobody answers there: its sockets
            come back in Launched.
        log: Where output goes.
        stdin_open: Keep the process's stdin open (`-i`); otherwise it reads /dev/null.
        stdin_once: Close stdin when the first attached client goes.
        init: Path on the host of an init binary to run as pid 1 (`--init`), or "" for none;
            "builtin" for the distribution's docker-init or, where there is none, the runtime's own.
        rootless: The daemon is root in a user namespace only: bind device nodes, no mknod, tolerate
            missing cgroups.
        single_id: One id is mapped: answer the chown family with success (a seccomp filter).
        console_size: (rows, columns) of the pty before the first resize, or None.
    """

    id: str
    bundle: str
    config: dict[str, Any]
    root: OverlayRoot | None = None
    attachments: list[Attachment] = field(default_factory=list)
    resolver: str = ""
    log: Log = field(default_factory=Log)
    stdin_open: bool = False
    stdin_once: bool = False
    init: str = ""
    rootless: bool = False
    single_id: bool = False
    console_size: tuple[int, int] | None = None

    @property
    def cgroup_path(self) -> str:
        """Where its cgroup is to be, from the root of the hierarchies; "" for none."""
        return (self.config.get("linux") or {}).get("cgroupsPath") or ""


@dataclass(frozen=True)
class ExecRequest:
    """A further process in a running container.

    Args:
        id: Exec id, 64 hex digits.
        container_id: A running container.
        process: OCI `process` object (args, env, cwd, user, terminal, capabilities, …).
        stdin_open: Keep stdin open for an attached client.
        privileged: All capabilities, no seccomp filter.
        console_size: (rows, columns) or None.
        single_id: As in LaunchRequest.
    """

    id: str
    container_id: str
    process: dict[str, Any]
    stdin_open: bool = False
    privileged: bool = False
    console_size: tuple[int, int] | None = None
    single_id: bool = False


@dataclass(frozen=True)
class StepRecord:
    """One operation of a launch plan as it was carried out.

    Args:
        operation: Class name of the operation, `MountOverlay`.
        description: One English sentence in the present tense, from `describe()`.
        duration_ns: How long `execute()` took.
        where: `host` (before the fork) or `container` (in the child).
        data: The operation's fields and what it found (inodes, paths, flags).
        error: Errno name and text where it failed or was skipped, else "".
    """

    operation: str
    description: str
    duration_ns: int
    where: str
    data: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Launched:
    """A process that runs.

    Args:
        pid: In the daemon's pid namespace.
        started_at_ns: Wall clock, nanoseconds since the epoch.
        namespaces: Kind → inode number (`{"mnt": 4026532…}`).
        steps: The plan as carried out, in order.
        warnings: What was asked and could not be done, as Docker words it.
        resolver: Descriptors of the sockets at LaunchRequest.resolver, datagram and stream; the receiver closes them.
    """

    pid: int
    started_at_ns: int
    namespaces: dict[str, int] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    resolver: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exit:
    """How a process ended.

    Args:
        code: Exit status, or 128 + signal number.
        signal: Signal number, or 0.
        oom_killed: The memory cgroup killed a process of the container.
        finished_at_ns: Wall clock, nanoseconds since the epoch.
    """

    code: int
    signal: int
    oom_killed: bool
    finished_at_ns: int


def launch_fields(request: LaunchRequest) -> dict[str, Any]:
    """Return a request as JSON's types, without the deep copies of dataclasses.asdict."""
    return {
        **vars(request),
        "root": vars(request.root) if request.root else None,
        "attachments": [vars(attachment) for attachment in request.attachments],
        "log": vars(request.log),
    }


def launch_request(fields: dict[str, Any]) -> LaunchRequest:
    """Rebuild a request from its fields; the inverse of launch_fields."""
    nested = dict(fields)
    nested["root"] = OverlayRoot(**fields["root"]) if fields.get("root") else None
    nested["attachments"] = [Attachment(**attachment) for attachment in fields.get("attachments") or ()]
    nested["log"] = Log(**(fields.get("log") or {}))
    return LaunchRequest(**nested)
