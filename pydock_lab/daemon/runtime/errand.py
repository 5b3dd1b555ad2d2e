"""A short task of the keeper in a forked child: file transfers, links of running containers.

Like a launch it is a plan whose operations are carried out in a child, but
nothing is executed in the end: the last operation reports a result.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.linux import syscalls
from pydock_lab.daemon.linux.netlink import Netlink
from pydock_lab.daemon.runtime.channel import close_all, receive_message, send_message
from pydock_lab.daemon.runtime.launcher import Child
from pydock_lab.daemon.runtime.loop import READ, Loop
from pydock_lab.daemon.runtime.operations import identity, namespaces, rootfs
from pydock_lab.daemon.runtime.operations.archive import TransferFiles
from pydock_lab.daemon.runtime.operations.base import Context, Findings, Operation
from pydock_lab.daemon.runtime.plan import Plan
from pydock_lab.daemon.runtime.request import Attachment, LaunchRequest

_KERNEL_FILESYSTEMS = ("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "tmpfs", "devtmpfs")


@dataclass
class Done(Operation):
    """Report that all went well, and end."""

    def describe(self) -> str:
        """Say so."""
        return "Report and end"

    def execute(self, context: Context) -> Findings:
        """Never returns."""
        send_message(context.report, {"result": {}})
        os._exit(0)


@dataclass
class DeleteLink(Operation):
    """Remove a link of this network namespace; its veth peer goes with it."""

    ifname: str

    def describe(self) -> str:
        """Say which."""
        return f"Delete the link {self.ifname}"

    def execute(self, context: Context) -> Findings:
        """RTM_DELLINK."""
        inside = Netlink()
        try:
            inside.delete_link(self.ifname)
        finally:
            inside.close()
        return None


@dataclass
class SetDefaultRoute(Operation):
    """Send what leaves the subnets of this network namespace through another of its links."""

    ifname: str
    gateway: str

    def describe(self) -> str:
        """Say through which."""
        return f"Route everything else via {self.gateway} over {self.ifname}"

    def execute(self, context: Context) -> Findings:
        """RTM_NEWROUTE."""
        inside = Netlink()
        try:
            inside.set_default_route(self.gateway, socket.if_nametoindex(self.ifname))
        finally:
            inside.close()
        return None


@dataclass
class JoinMounts(Operation):
    """Enter a running container's mount namespace, and nothing else of it."""

    pid: int
    where = "host"

    def describe(self) -> str:
        """Say whose."""
        return f"Join the mount namespace of process {self.pid}"

    def execute(self, context: Context) -> Findings:
        """setns(2); the namespace's root becomes this process's."""
        pidfd = syscalls.pidfd_open(self.pid)
        try:
            syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
        finally:
            os.close(pidfd)
        return None


def archive_plan(request: LaunchRequest, action: str, pid: int | None, path: str, options: dict[str, Any]) -> Plan:
    """Return the plan that moves files of a container, running (pid) or not."""
    config = request.config
    user = str((config["process"].get("user") or {}).get("username", ""))
    transfer = TransferFiles(action, path, options, user)
    plan = Plan(id=request.id)
    if pid is not None:
        if action in ("export", "get"):
            # An export is the root alone; a copy has the volumes, too, but not what the kernel makes up.
            mounts = _mount_points(pid)
            bound = {m["destination"] for m in config.get("mounts") or () if (m.get("type") or "bind") == "bind"}
            made_up = [point for point, kind in mounts.items() if kind in _KERNEL_FILESYSTEMS and point not in bound]
            transfer.skip = made_up if action == "get" else list(mounts)
        plan.operations = [JoinMounts(pid), transfer]
        return plan
    target = os.path.join(request.bundle, "rootfs")
    plan.operations += [rootfs.IsolateMounts(), rootfs.EnslaveMounts()]
    if request.root is not None:
        root = request.root
        plan.operations.append(rootfs.MountOverlay(**vars(root), target=target))
    else:
        target = os.path.join(request.bundle, config["root"]["path"])
        plan.operations.append(rootfs.BindRootfs(target, target))
    binds = [m for m in config.get("mounts") or () if (m.get("type") or "bind") == "bind" and action != "export"]
    for mount in binds:
        plan.operations.append(rootfs.CloneMount(mount["source"], mount["destination"], optional=True))
    plan.operations.append(rootfs.PivotRoot(target))
    for mount in binds:
        plan.operations.append(rootfs.PlaceMount(mount["destination"], list(mount.get("options") or ())))
    # Docker makes the working directory with the container; here its first start would.
    workdir = identity.MakeDirectory(config["process"].get("cwd") or "/")
    plan.operations += [rootfs.DetachOldRoot(), workdir, transfer]
    return plan


def _mount_points(pid: int) -> dict[str, str]:
    """Return what is mounted in a container besides its root: mount point → file system type."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        halves = [line.partition(" - ") for line in table]
    points = {mount.split()[4]: source.split()[0] for mount, _, source in halves}
    points.pop("/", None)
    return points


def connect_plan(container_id: str, pid: int, attachment: Attachment) -> Plan:
    """Return the plan that plugs a running container into one more bridge."""
    join = namespaces.JoinNamespace("network", f"/proc/{pid}/ns/net")
    plug = namespaces.AttachToBridge(**vars(attachment))
    return Plan(id=container_id, bridges=[attachment.bridge], operations=[join, plug, Done()])


def disconnect_plan(container_id: str, pid: int, ifname: str, routes: list[list[str]]) -> Plan:
    """Return the plan that takes a link out of a running container; its default routes are then `[ifname, gateway]`."""
    join = namespaces.JoinNamespace("network", f"/proc/{pid}/ns/net")
    ways_out = [SetDefaultRoute(*route) for route in routes]
    return Plan(id=container_id, operations=[join, DeleteLink(ifname), *ways_out, Done()])


def resolver_plan(container_id: str, pid: int, address: str) -> Plan:
    """Return the plan that opens a running container's resolver sockets."""
    join = namespaces.JoinNamespace("network", f"/proc/{pid}/ns/net")
    return Plan(id=container_id, operations=[join, namespaces.OpenResolver(address), Done()])


class Errand:
    """One such child until it has reported and ended."""

    def __init__(
        self,
        loop: Loop,
        child: Child,
        *,
        on_result: Callable[[dict[str, Any], list[int]], None],
        on_failed: Callable[[dict[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._child = child
        self._on_result, self._on_failed = on_result, on_failed
        self._outcome: dict[str, Any] = {"error": {"message": "the task ended without a report", "kind": "other"}}
        self._sockets: list[int] = []
        child.report.setblocking(False)
        loop.add(child.report.fileno(), READ, self._on_report)
        loop.add(child.pidfd, READ, self._on_exit)

    def _on_report(self, events: int) -> None:
        while True:
            try:
                message, fds = receive_message(self._child.report)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message, fds = None, []
            if message is not None and "resolver" in message:
                self._sockets, fds = fds, []
            close_all(fds)
            if message is None:
                self._loop.remove(self._child.report.fileno())
                return
            if "result" in message or "error" in message:
                self._outcome = message

    def _on_exit(self, events: int) -> None:
        self._loop.remove(self._child.pidfd)
        os.waitid(os.P_PIDFD, self._child.pidfd, os.WEXITED)
        os.close(self._child.pidfd)
        self._on_report(READ)
        self._loop.remove(self._child.report.fileno())
        self._child.report.close()
        if "error" in self._outcome:
            close_all(self._sockets)
            self._on_failed(self._outcome["error"])
        else:
            self._on_result(self._outcome["result"], self._sockets)
