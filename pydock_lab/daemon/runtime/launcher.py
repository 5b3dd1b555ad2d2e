"""Fork a process and let it carry out a plan; the parent's side does nothing that could wait.

Called by the keeper, which goes on serving its other containers while the child
works, and by the OCI command, which has nothing else to do.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from dataclasses import dataclass

from pydock_lab.daemon.linux import cgroups, syscalls
from pydock_lab.daemon.linux.netlink import Netlink
from pydock_lab.daemon.runtime.operations.base import Context, carry_out
from pydock_lab.daemon.runtime.operations.identity import InstallSeccomp
from pydock_lab.daemon.runtime.plan import Plan


@dataclass
class Child:
    """A process on its way to become the program.

    Attributes:
        pid: In this pid namespace.
        pidfd: Readable when it has ended.
        report: Messages of the plan; at its end of file the program runs.
    """

    pid: int
    pidfd: int
    report: socket.socket


def fork_plan(
    plan: Plan, stdio: tuple[int, int, int], filters: list[bytes], layout: cgroups.Layout, *, mortal: bool = True
) -> Child:
    """Fork a child that carries out `plan`.

    Args:
        plan: See plan.py.
        stdio: fds to become 0, 1 and 2; -1 where the plan opens a pty or /dev/null. They stay open here.
        filters: Compiled `plan.seccomp`.
        layout: Where cgroups are.
        mortal: Kill the process when this one dies.

    Raises:
        KernelError: the fork itself failed.
    """
    for operation in plan.operations:
        if isinstance(operation, InstallSeccomp):
            operation.instructions = sum(map(len, filters)) // 8
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    cgroup = layout.cgroup(plan.cgroup_path) if plan.cgroup_path and layout.version else None
    cgroup_fd = cgroup.prepare() if cgroup else -1
    context = Context(id=plan.id, report=theirs, layout=layout, stdio=stdio, filters=filters, mortal=mortal)
    try:
        if plan.bridges:
            # Both belong to this network namespace; the child will be in another.
            context.bridge_indexes = {name: socket.if_nametoindex(name) for name in plan.bridges if name}
            context.netlink = Netlink()
        pid, pidfd = syscalls.clone3(plan.clone_flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            _become(plan, context, ours)
        return Child(pid, pidfd, ours)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if context.netlink is not None:
            context.netlink.close()
        if cgroup_fd >= 0:
            os.close(cgroup_fd)


def _become(plan: Plan, context: Context, ours: socket.socket) -> None:
    """Carry the plan out; never returns, whatever happens."""
    try:
        gc.disable()
        ours.close()
        # The files an import would read are about to be the container's: everything needed is loaded.
        sys.meta_path.clear()
        # A container that shares our pid namespace must not reach the host's files through our
        # /proc/PID/exe and fd (CVE-2016-9962, CVE-2019-5736); execve makes us dumpable again.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        with contextlib.suppress(Exception):
            carry_out(plan.operations, context)
    finally:
        os._exit(127)
