"""What a daemon is told at its start: `pydock daemon`'s flags as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class DaemonConfig:
    """The settings of one daemon; dockerd's names wherever dockerd has the setting.

    Args:
        hosts: Addresses to serve on, `unix:///path` or `tcp://127.0.0.1:2375`.
        data_root: Persistent state; absolute.
        exec_root: Run-time state; absolute and short (unix sockets live in it).
        live_restore: Running containers outlive the daemon.
        registry_mirrors: Base URLs asked before Docker Hub.
        insecure_registries: host[:port] spoken to over plain HTTP (loopback always is).
        certificates_root: Directory of registries' certificates, or None for Docker's own.
        bip: Address and prefix of the default bridge, or None for a free pool.
        bridge: Name of the default bridge's link, or None to derive one from data_root.
        debug: Log every request and plan step.
        rootless: This process is root only inside a user namespace (set by the bootstrap).
        single_id: The user namespace maps one id only (no newuidmap).
        broker_fd: Socket to the process that opens ports in the host's network (rootless), or None.
    """

    hosts: tuple[str, ...]
    data_root: Path
    exec_root: Path
    live_restore: bool = False
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    certificates_root: Path | None = None
    bip: str | None = None
    bridge: str | None = None
    debug: bool = False
    rootless: bool = False
    single_id: bool = False
    broker_fd: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
