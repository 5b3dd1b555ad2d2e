"""Namespaces, cgroups and the network of a container: what happens while the host can still be seen."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.linux import controlfiles, netlink, syscalls
from pydock_lab.daemon.runtime.channel import Message, send_message
from pydock_lab.daemon.runtime.operations.base import Context, Findings, Operation, Skip
from pydock_lab.daemon.runtime.operations.identity import become_root
from pydock_lab.daemon.runtime.operations.rootfs import inside
from pydock_lab.errors import SystemFailure

DNS_PORT = 53
_RESOLVER_BACKLOG = 64

# OCI name → (clone flag, name in /proc/PID/ns).
KINDS: dict[str, tuple[int, str]] = {
    "mount": (syscalls.CLONE_NEWNS, "mnt"),
    "pid": (syscalls.CLONE_NEWPID, "pid"),
    "network": (syscalls.CLONE_NEWNET, "net"),
    "uts": (syscalls.CLONE_NEWUTS, "uts"),
    "ipc": (syscalls.CLONE_NEWIPC, "ipc"),
    "cgroup": (syscalls.CLONE_NEWCGROUP, "cgroup"),
    "user": (syscalls.CLONE_NEWUSER, "user"),
}


@dataclass
class CloneNamespaces(Operation):
    """The clone3 call itself; done by the keeper before the other operations."""

    namespaces: list[str]
    where = "host"

    def describe(self) -> str:
        """Say which namespaces the process is born in."""
        return f"Fork a process in new {', '.join(self.namespaces) or 'no'} namespaces"

    def execute(self, context: Context) -> Findings:
        """Report their inodes; they have been made by clone3."""
        return {"inodes": {name: _inode(KINDS[name][1]) for name in self.namespaces}}


def _inode(name: str) -> int:
    return os.stat(f"/proc/thread-self/ns/{name}").st_ino


@dataclass
class JoinNamespace(Operation):
    """Enter a namespace that exists."""

    kind: str
    path: str
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Join the {self.kind} namespace {self.path}"

    def execute(self, context: Context) -> Findings:
        """setns(2)."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, KINDS[self.kind][0])
            return {"inode": os.fstat(fd).st_ino}
        finally:
            os.close(fd)


@dataclass
class JoinContainer(Operation):
    """Enter every namespace of a running container."""

    pid: int
    where = "host"

    def describe(self) -> str:
        """Say whose."""
        return f"Join the namespaces of process {self.pid}"

    def execute(self, context: Context) -> Findings:
        """setns(2) by pidfd, all at once; the pid namespace is that of its birth.

        What it shares with the host is left out: a plain user may not join even where he is.
        """
        kinds = [kind for kind, (_, name) in KINDS.items() if kind != "pid" and not self._is_shared(name)]
        if kinds:
            syscalls.setns(context.container, sum(KINDS[kind][0] for kind in kinds))
        if "user" in kinds:
            become_root()
        return None

    def _is_shared(self, name: str) -> bool:
        theirs, ours = os.stat(f"/proc/{self.pid}/ns/{name}"), os.stat(f"/proc/self/ns/{name}")
        return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


@dataclass
class ForkInside(Operation):
    """Fork once more: a process is born into the pid namespace its parent joined, or is to make.

    Attributes:
        namespaces: New ones the process is born in.
    """

    namespaces: list[str] = field(default_factory=list)
    where = "host"

    def describe(self) -> str:
        """Say where."""
        where = f"new {', '.join(self.namespaces)} namespaces" if self.namespaces else "the joined pid namespace"
        return f"Fork into {where}, as the keeper's own child"

    def execute(self, context: Context) -> Findings:
        """clone3(2) with CLONE_PARENT: the keeper reaps the new process, this one hands its pidfd over and ends."""
        flags = sum(KINDS[kind][0] for kind in self.namespaces)
        announced, announcing = os.pipe2(os.O_CLOEXEC)
        pid, pidfd = syscalls.clone3(syscalls.CLONE_PARENT | flags, exit_signal=0)
        if pid:
            send_message(context.report, {"child": pid}, [pidfd])
            os._exit(0)
        # The keeper has to hear of the new process before it hears from it.
        os.close(announcing)
        os.read(announced, 1)
        os.close(announced)
        return {"inodes": {kind: _inode(KINDS[kind][1]) for kind in self.namespaces}}


@dataclass
class UnshareNamespaces(Operation):
    """Move into new namespaces; none of them is a pid namespace, which takes a fork."""

    namespaces: list[str]
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Unshare the {', '.join(self.namespaces)} namespaces"

    def execute(self, context: Context) -> Findings:
        """unshare(2)."""
        syscalls.unshare(sum(KINDS[kind][0] for kind in self.namespaces))
        return {"inodes": {kind: _inode(KINDS[kind][1]) for kind in self.namespaces}}


@dataclass
class EnterCgroup(Operation):
    """Move into a container's cgroup."""

    path: str
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Move into the cgroup {self.path}"

    def execute(self, context: Context) -> Findings:
        """Rootless containers may have none."""
        try:
            context.layout.cgroup(self.path).enter()
        except OSError as error:
            raise Skip(f"no cgroup to enter: {error.strerror}") from None
        return None


@dataclass
class CreateCgroup(Operation):
    """Make the container's cgroup, set its limits, and move in."""

    path: str
    resources: dict[str, Any]
    rootless: bool = False
    where = "host"

    def describe(self) -> str:
        """Say where."""
        limits = ", ".join(sorted(key for key, value in self.resources.items() if value)) or "no limits"
        return f"Create the cgroup {self.path} with {limits} and move into it"

    def execute(self, context: Context) -> Findings:
        """Create, limit, enter."""
        cgroup = context.layout.cgroup(self.path)
        try:
            cgroup.create()
            warnings = cgroup.apply(self.resources)
            cgroup.enter()
        except OSError as error:
            asked = any(value for key, value in self.resources.items() if key != "devices")
            if not self.rootless:
                raise
            with contextlib.suppress(OSError):
                cgroup.delete()
            raise Skip(
                f"no cgroup of our own: {error.strerror}",
                "Resource limits are discarded: no cgroup is delegated to this user" if asked else "",
            ) from None
        context.warnings += warnings
        return {"directories": cgroup.paths(), "warnings": warnings}


@dataclass
class UnshareCgroupNamespace(Operation):
    """Make the container's own cgroup look like the root of the hierarchy."""

    where = "host"

    def describe(self) -> str:
        """Say so."""
        return "Unshare the cgroup namespace, so that the container's own cgroup is its root"

    def execute(self, context: Context) -> Findings:
        """unshare(2); after entering the cgroup, because the namespace's root is where its maker is."""
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        return {"inode": os.stat("/proc/thread-self/ns/cgroup").st_ino}


@dataclass
class AttachToBridge(Operation):
    """Make a veth pair between a bridge of the host and this network namespace, and address it."""

    bridge: str
    host_ifname: str
    ifname: str
    mac: str
    address: str
    gateway: str
    address6: str
    gateway6: str
    mtu: int
    where = "host"

    def describe(self) -> str:
        """Name both ends and the address."""
        addresses = " and ".join(filter(None, (self.address, self.address6))) or "no address"
        return f"Plug {self.ifname} ({addresses}) into bridge {self.bridge} by veth {self.host_ifname}"

    def execute(self, context: Context) -> Findings:
        """One message makes the pair; then addresses and routes from inside."""
        if context.netlink is None:
            raise RuntimeError("no route socket of the host's network namespace")
        namespace = netlink.own_namespace()
        try:
            context.netlink.make_veth(
                self.host_ifname,
                bridge_index=context.bridge_indexes.get(self.bridge, 0),
                ifname=self.ifname,
                mac=self.mac,
                mtu=self.mtu,
                namespace_fd=namespace,
            )
            configure_interface(vars(self))
            return {"netns_inode": os.fstat(namespace).st_ino}
        finally:
            os.close(namespace)


def configure_interface(attachment: dict[str, Any]) -> None:
    """Bring a link of this network namespace up, with addresses and default routes (request.Attachment's fields)."""
    ifname = attachment["ifname"]
    index = socket.if_nametoindex(ifname)
    if not attachment["address6"]:
        # As Docker does: no link-local address, no router solicitation on an IPv4 network.
        with contextlib.suppress(OSError):
            controlfiles.write(f"/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6", 1)
    inside = netlink.Netlink()
    try:
        for address in filter(None, (attachment["address"], attachment["address6"])):
            inside.add_address(index, address)
        inside.set_up(index)
        for gateway in filter(None, (attachment["gateway"], attachment["gateway6"])):
            inside.set_default_route(gateway, index)
    finally:
        inside.close()


@dataclass
class BringUpLoopback(Operation):
    """Bring up `lo` in a new network namespace."""

    where = "host"

    def describe(self) -> str:
        """Say so."""
        return "Bring up the loopback link"

    def execute(self, context: Context) -> Findings:
        """`lo` is link 1 of every network namespace."""
        inside = netlink.Netlink()
        try:
            inside.set_up(1)
        finally:
            inside.close()
        return None


@dataclass
class OpenResolver(Operation):
    """Open the sockets at which the container asks for names.

    A socket belongs to the network namespace it was made in, whoever serves it: these two go to the daemon.
    Bound before the container's capabilities and seccomp filter apply, they don't depend on them.
    """

    address: str
    where = "host"

    def describe(self) -> str:
        """Say where, and who will answer."""
        return f"Listen at {self.address} port 53, UDP and TCP, and pass both sockets to the daemon"

    def execute(self, context: Context) -> Findings:
        """bind(2), listen(2), SCM_RIGHTS."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
        ):
            for one in (datagrams, streams):
                # A new daemon takes over while connections of the old one linger; and a name server of the
                # container's own may have port 53 of all its addresses, if it sets one of these as well (most do
                # for datagrams). Who asks 127.0.0.11 is answered here all the same: it is the closer match.
                for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                    one.setsockopt(socket.SOL_SOCKET, option, 1)
                one.bind((self.address, DNS_PORT))
            streams.listen(_RESOLVER_BACKLOG)
            send_message(context.report, {"resolver": self.address}, [datagrams.fileno(), streams.fileno()])
        return None


@dataclass
class SetHostname(Operation):
    """Set the host name and the domain name."""

    hostname: str
    domainname: str = ""

    def describe(self) -> str:
        """Say both."""
        return f"Set the host name to {self.hostname}" + (f" in domain {self.domainname}" if self.domainname else "")

    def execute(self, context: Context) -> Findings:
        """sethostname(2), setdomainname(2)."""
        syscalls.sethostname(self.hostname)
        if self.domainname:
            syscalls.setdomainname(self.domainname)
        return None


@dataclass
class SetSysctls(Operation):
    """Write kernel settings that belong to the container's namespaces."""

    settings: dict[str, str]
    rootless: bool = False

    def describe(self) -> str:
        """List them."""
        return "Set " + ", ".join(f"{name}={value}" for name, value in self.settings.items())

    def execute(self, context: Context) -> Findings:
        """Write each below /proc/sys; Docker's two defaults may be unknown to the kernel."""
        root, refused = inside("/proc/sys"), []
        for name, value in self.settings.items():
            try:
                controlfiles.write(f"{root}/{name.replace('.', '/')}", value)
            except OSError as error:
                if name not in ("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"):
                    place = f"/proc/sys/{name.replace('.', '/')}"
                    raise SystemFailure(f"open {place}: {os.strerror(error.errno or 0).lower()}") from None
                refused.append(name)
        return {"refused": refused} if refused else None


def namespace_inodes(steps: Sequence[Message]) -> dict[str, int]:
    """Return kind → inode of the namespaces a launch made or joined."""
    inodes: dict[str, int] = {}
    for step in steps:
        data = step["data"]
        inodes.update(data.get("inodes") or {})
        if step["operation"] == "JoinNamespace" and "inode" in data:
            inodes[data["kind"]] = data["inode"]
        elif step["operation"] == "UnshareCgroupNamespace":
            inodes["cgroup"] = data["inode"]
    return inodes
