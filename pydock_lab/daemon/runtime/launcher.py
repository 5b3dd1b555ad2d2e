"""Fork a process and let it carry out a plan; the parent's side does nothing that could wait.

Called by the keeper, which goes on serving its other containers while the child
works, and by the OCI command, which has nothing else to do.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydock_lab.daemon.linux import cgroups, syscalls
from pydock_lab.daemon.linux.netlink import Netlink
from pydock_lab.daemon.runtime.operations.base import Context, Outcome, carry_out
from pydock_lab.daemon.runtime.operations.identity import become_root
from pydock_lab.daemon.runtime.operations.namespaces import ForkInside
from pydock_lab.daemon.runtime.plan import Plan
from pydock_lab.errors import KernelError


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
    plan: Plan,
    stdio: tuple[int, int, int],
    filters: list[bytes],
    layout: cgroups.Layout,
    *,
    mortal: bool = True,
    container: int = -1,
) -> Child:
    """Fork a child that carries out `plan`.

    Args:
        plan: See plan.py.
        stdio: fds to become 0, 1 and 2; -1 where the plan opens a pty or /dev/null. They stay open here.
        filters: Compiled `plan.seccomp`.
        layout: Where cgroups are.
        mortal: Kill the process when this one dies.
        container: A pidfd; the child is born into the pid namespace of the process it stands for.

    Raises:
        KernelError: the fork itself failed.
    """
    cgroup = layout.cgroup(plan.cgroup_path) if plan.cgroup_path and layout.version else None
    cgroup_fd = cgroup.prepare() if cgroup else -1
    netlink = None
    try:
        netlink = Netlink() if plan.bridges else None
        indexes = bridge_indexes(plan.bridges)

        def work(report: socket.socket) -> None:
            context = Context(plan.id, report, layout, stdio, filters=filters, mortal=mortal, container=container)
            # Both belong to this network namespace; the child will be in another.
            context.netlink, context.bridge_indexes = netlink, indexes
            if container >= 0 and not returns:
                _join_pid_namespace(container)
                ForkInside().execute(context)
            become(plan, context)

        returns = container >= 0 and _may_return()
        with _children_in_namespace_of(container if returns else -1):
            return fork_child(plan.clone_flags, work, cgroup_fd=cgroup_fd)
    finally:
        if netlink is not None:
            netlink.close()
        if cgroup_fd >= 0:
            os.close(cgroup_fd)


def bridge_indexes(bridges: Iterable[str]) -> dict[str, int]:
    """Return the link index of each bridge, in this network namespace."""
    return {name: socket.if_nametoindex(name) for name in bridges if name}


def fork_child(flags: int, work: Callable[[socket.socket], None], *, cgroup_fd: int = -1) -> Child:
    """Fork a child that does `work` with its end of the report socket and never returns."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.closing(theirs):
        try:
            pid, pidfd = syscalls.clone3(flags, cgroup_fd=cgroup_fd)
        except BaseException:
            ours.close()
            raise
        if pid:
            return Child(pid, pidfd, ours)
        try:
            gc.disable()
            ours.close()
            work(theirs)
        finally:
            os._exit(127)


def _may_return() -> bool:
    """True if this process may send its children to another pid namespace and back.

    The way back is into a namespace that a plain user's daemon has no power over: it belongs to the
    user namespace outside. There a child has to go, and to fork again.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(own, syscalls.CLONE_NEWPID)
    except KernelError:
        return False
    finally:
        os.close(own)
    return True


def _join_pid_namespace(container: int) -> None:
    """Let this process's children be born into a container's pid namespace.

    A plain user may do that only from within the user namespace that he made for the container.
    """
    try:
        syscalls.setns(container, syscalls.CLONE_NEWPID)
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        syscalls.setns(container, syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID)
        become_root()


@contextlib.contextmanager
def _children_in_namespace_of(container: int) -> Iterator[None]:
    """Let children be born into another pid namespace: one fork less than joining it afterwards.

    Only this process's children are concerned, never itself (setns(2)).
    """
    if container < 0:
        yield
        return
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(container, syscalls.CLONE_NEWPID)
        yield
    finally:
        syscalls.setns(own, syscalls.CLONE_NEWPID)
        os.close(own)


def become(plan: Plan, context: Context, done: Sequence[Outcome] = ()) -> None:
    """Carry a plan out in this process, which is the child; whatever happens, it is not to go on afterwards."""
    # The files an import would read are about to be the container's: everything needed is loaded.
    sys.meta_path.clear()
    # A container that shares our pid namespace must not reach the host's files through our
    # /proc/PID/exe and fd (CVE-2016-9962, CVE-2019-5736); execve makes us dumpable again.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    with contextlib.suppress(Exception):
        carry_out(plan.operations, context, done)
