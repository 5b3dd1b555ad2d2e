"""A process that is ready to become a container before anybody has asked for one.

Forking, and making a network namespace, takes the kernel more than a
millisecond; another two go into copying the pages which Python touches in a
fresh child, one fault each. A spare has that behind it: it was forked in new
pid, network, uts and ipc namespaces, and has rehearsed a launch up to the point
where it would touch anything. Then it waits for its request.

What must be as it is at the moment of the launch is not prepared: the mount
namespace (the host may mount something in the meantime) and the cgroup. In a
pure v2 hierarchy a process has to be born in its cgroup, because moving one
waits for an RCU grace period; there no spare is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

from pydock_lab.daemon.linux import capabilities, cgroups, syscalls
from pydock_lab.daemon.linux.netlink import Netlink
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.channel import Message, receive_message, send_message
from pydock_lab.daemon.runtime.filters import Filters
from pydock_lab.daemon.runtime.launcher import Child, become, bridge_indexes, fork_child
from pydock_lab.daemon.runtime.loop import READ, Loop, Timer
from pydock_lab.daemon.runtime.operations import namespaces
from pydock_lab.daemon.runtime.operations.base import Context, perform
from pydock_lab.daemon.runtime.plan import build_plan
from pydock_lab.daemon.runtime.request import Attachment, LaunchRequest, OverlayRoot, launch_fields, launch_request
from pydock_lab.errors import KernelError

# Preparing the next spare keeps the keeper busy for some milliseconds. They must fall neither into a launch
# nor into the end of a program that is over at once, for which a client waits just then.
REPLACE_S = 0.02

# What nearly every plan begins with.
BORN_IN = ["network", "uts", "pid", "ipc"]
PREPARED = [namespaces.CloneNamespaces(BORN_IN), namespaces.BringUpLoopback()]
CLONE_FLAGS = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC


def fork_spare(layout: cgroups.Layout, filters: Filters) -> Child:
    """Fork a spare. Raises KernelError where that is not possible."""
    netlink = Netlink()
    try:
        return fork_child(CLONE_FLAGS, lambda report: _wait(report, netlink, layout, filters))
    finally:
        netlink.close()


def fits(request: LaunchRequest, layout: cgroups.Layout) -> bool:
    """True if a spare is born as this launch wants its process: its plan begins with PREPARED."""
    linux = request.config.get("linux") or {}
    kinds = linux.get("namespaces") or []
    born_in = [kind["type"] for kind in kinds if kind["type"] not in ("cgroup", "mount") and not kind.get("path")]
    joins = any(kind.get("path") for kind in kinds)
    return born_in == BORN_IN and not joins and (layout.version == 1 or not linux.get("cgroupsPath"))


def hand_over(child: Child, fields: Message, stdio: tuple[int, int, int]) -> None:
    """Tell a spare what to become. Raises OSError where it is gone."""
    fds = [fd for fd in stdio if fd >= 0]
    message = {
        "request": fields,
        "stdio": [fds.index(fd) if fd >= 0 else -1 for fd in stdio],
        "bridge_indexes": bridge_indexes(attachment["bridge"] for attachment in fields["attachments"]),
    }
    send_message(child.report, message, fds)


def _wait(report: socket.socket, netlink: Netlink, layout: cgroups.Layout, filters: Filters) -> None:
    """Wait for a request and become what it asks for; end when the keeper is gone."""
    _close_all_but({0, 1, 2, report.fileno(), netlink.fileno()})
    syscalls.set_name("pydock-spare")
    done = [perform(operation, Context("spare", report, layout, (-1, -1, -1))) for operation in PREPARED]
    rehearse(layout, filters)
    message, fds = receive_message(report)
    if message is None:
        os._exit(0)
    request = launch_request(message["request"])
    plan = build_plan(request, layout)
    stdin, stdout, stderr = (fds[index] if index >= 0 else -1 for index in message["stdio"])
    context = Context(plan.id, report, layout, (stdin, stdout, stderr), filters=filters.compile(plan), mortal=True)
    context.netlink, context.bridge_indexes = netlink, message["bridge_indexes"]
    become(plan, context, done)


def _close_all_but(kept: set[int]) -> None:
    """Close the keeper's fds: a pipe or a client must not be held open by a process that only waits."""
    first = 0
    for fd in sorted(kept):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)


def rehearse(layout: cgroups.Layout, filters: Filters) -> None:
    """Do what a launch does before and between its system calls, on a request like most."""
    config = oci.default_config(["true"], hostname="spare", cgroups_path="/pydock/spare")
    request = LaunchRequest(
        id="spare",
        bundle="/",
        config=config,
        root=OverlayRoot(["/lower"], "/upper", "/work"),
        attachments=[Attachment("bridge", "host", "eth0", "02:42:ac:11:00:02", "172.17.0.2/16", "172.17.0.1")],
    )
    plan = build_plan(launch_request(json.loads(json.dumps(launch_fields(request)))), layout)
    capabilities.last_capability()
    filters.compile(plan)
    json.dumps([(time.perf_counter_ns(), vars(operation), "") for operation in plan.operations])


class Spares:
    """The keeper's one spare: taken by a launch, replaced when the launch is over."""

    def __init__(self, loop: Loop, layout: cgroups.Layout, filters: Filters) -> None:
        self._loop = loop
        self._layout = layout
        self._filters = filters
        self._child: Child | None = None
        self._due: Timer | None = None

    def prepare(self) -> None:
        """Fork a spare now, where spares are of use."""
        self._due = None
        if self._child is None and self._layout.version != 2:
            with contextlib.suppress(KernelError):
                self._child = fork_spare(self._layout, self._filters)
                self._loop.add(self._child.pidfd, READ, self._on_exit)
                # The fork made this process's pages shared: have the faults now, not at the next launch.
                rehearse(self._layout, self._filters)

    def take(self, request: LaunchRequest, fields: Message, stdio: tuple[int, int, int]) -> Child | None:
        """Hand a launch to the spare; None where there is none that fits.

        Args:
            request: What is to be launched.
            fields: The same as it came from the daemon.
            stdio: See launcher.fork_plan.
        """
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not fits(request, self._layout):
            return None
        child, self._child = self._child, None
        if child is None:
            return None
        self._loop.remove(child.pidfd)
        try:
            hand_over(child, fields, stdio)
        except OSError:
            dismiss(child)
            return None
        return child

    def launch_over(self) -> None:
        """A launch has succeeded or failed: soon it is time for the next spare."""
        if self._child is None and self._due is None:
            self._due = self._loop.after(REPLACE_S, self.prepare)

    def _on_exit(self, events: int) -> None:
        """A spare was killed from outside: another one comes with the next launch."""
        child, self._child = self._child, None
        if child is not None:
            self._loop.remove(child.pidfd)
            dismiss(child)

    def close(self) -> None:
        """Let the spare go."""
        self._on_exit(0)


def dismiss(child: Child) -> None:
    """Kill a child that has nothing to lose, and reap it."""
    child.report.close()
    with contextlib.suppress(KernelError):
        syscalls.pidfd_send_signal(child.pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    os.close(child.pidfd)
