"""A container's user namespace, and the process that stays outside it.

In a user namespace of its own a launch has power over nothing of the host's: it
can't reach a directory that only root may enter, raise a limit, or write its
own id maps. So it forks: the child goes in and carries on with the plan, and
the parent stays as it is and does for it what needs the old power.

    outside                              inside
    -------                              ------
    clone3(CLONE_NEWUSER) ─────────────▶ waits
    write uid_map, gid_map ────────────▶ becomes root of the namespace
                                         makes the other namespaces, which are then its own
    hold its mount namespace ◀────────── unshares the mount namespace
    clone bind sources, devices ◀──────▶ puts them into place
    set limits ◀───────────────────────▶
    end ◀─────────────────────────────── executes the program

What is cloned is cloned in the container's mount namespace, where the kernel
has locked the flags that mounts have on the host: the container can't take
`ro` off one.

Source: user_namespaces(7), mount_namespaces(7) "Restrictions on mount
namespaces"; runc's nsexec.c has the same division.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydock_lab.daemon.linux import idmaps, syscalls
from pydock_lab.daemon.runtime.channel import Message, close_all, receive_message, send_message
from pydock_lab.daemon.runtime.operations import devices, identity, rootfs
from pydock_lab.daemon.runtime.operations.base import (
    CannotStart,
    Context,
    Findings,
    Operation,
    Skip,
    describe_failure,
)  # fmt: skip

_DONE_OUTSIDE: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (rootfs.MountOverlay, rootfs.BindRootfs, rootfs.CloneMount, devices.CloneDevices, identity.SetLimits)
}


@dataclass
class EnterUserNamespace(Operation):
    """Go into a user namespace, new or existing, and become its root; leave a process outside.

    Attributes:
        uids, gids: Maps of a new one, as in an OCI config.
        path: Of an existing one, or "".
    """

    uids: list[idmaps.Mapping] = field(default_factory=list)
    gids: list[idmaps.Mapping] = field(default_factory=list)
    path: str = ""
    where = "host"

    def describe(self) -> str:
        """Say which, and who root is."""
        if self.path:
            return f"Join the user namespace {self.path} and become its root"
        return f"Fork into a new user namespace, whose root is {idmaps.to_host(0, self.uids)} outside"

    def execute(self, context: Context) -> Findings:
        """Go in; the parent serves from here on and never returns."""
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Else a plain user couldn't write the maps of his own child: its files in /proc would be root's.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0 if self.path else 1)
        new = 0 if self.path else syscalls.CLONE_NEWUSER
        pid, pidfd = syscalls.clone3(syscalls.CLONE_PARENT | new, exit_signal=0)
        if pid:
            ours.close()
            send_message(context.report, {"child": pid}, [pidfd])
            context.report.close()
            self._serve(theirs, pid, context)
        theirs.close()
        context.outside = Outside(ours)
        # Answered when the maps are there, and the keeper has heard of this process.
        context.outside.ask({"operation": "begin"}, context)
        if self.path:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(fd, syscalls.CLONE_NEWUSER)
            os.close(fd)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        identity.become_root()
        return {"inodes": {"user": os.stat("/proc/thread-self/ns/user").st_ino}}

    def _serve(self, channel: socket.socket, pid: int, context: Context) -> None:
        """Do what is asked for until the other side executes its program or ends."""
        theirs = -1
        with contextlib.suppress(Exception):
            while True:
                message, fds = receive_message(channel)
                if message is None:
                    break
                answer: Message = {}
                try:
                    if message["operation"] == "begin":
                        if not self.path:
                            idmaps.write(pid, self.uids, self.gids)
                    elif message["operation"] == "follow":
                        theirs, process = fds
                        context.process = syscalls.pid_of(process)
                        # A plain user has no power here that he has not inside.
                        answer["powerless"] = os.geteuid() != 0
                    else:
                        answer = _do(message, theirs, channel, context)
                except Skip as skip:
                    answer = {"skip": skip.reason, "warning": skip.warning}
                except Exception as error:
                    answer = {"error": describe_failure(error)}
                send_message(channel, answer)
        os._exit(0)


def _do(message: Message, theirs: int, channel: socket.socket, context: Context) -> Message:
    """Execute an operation, and send what it has opened."""
    kind = _DONE_OUTSIDE[message["operation"]]
    operation = kind(**message["fields"])
    if kind is identity.SetLimits:
        findings = operation.execute(context)
    else:
        with _mounts_of(theirs):
            findings = operation.execute(context)
    for trees in (context.trees, context.devices):
        for path, tree in trees.items():
            send_message(channel, {"tree": path, "device": trees is context.devices}, [tree])
            os.close(tree)
        trees.clear()
    warnings, context.warnings = context.warnings, []
    return {"findings": findings, "warnings": warnings}


@contextlib.contextmanager
def _mounts_of(theirs: int) -> Iterator[None]:
    """Be in another mount namespace for a moment: no longer, for pivot_root(2) moves the roots of all who are in it."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(theirs, syscalls.CLONE_NEWNS)
        try:
            yield
        finally:
            syscalls.setns(own, syscalls.CLONE_NEWNS)
    finally:
        os.close(own)


class Outside:
    """The process outside, as the one inside sees it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._powerless = False

    def execute(self, operation: Operation, context: Context) -> Findings:
        """Have an operation done outside, if it is one that has to be."""
        kind = type(operation).__name__
        if kind not in _DONE_OUTSIDE or self._powerless:
            return operation.execute(context)
        answer = self.ask({"operation": kind, "fields": vars(operation)}, context)
        context.warnings += answer["warnings"]
        findings: Findings = answer["findings"]
        return findings

    def follow(self, context: Context) -> None:
        """Let it have this process's mount namespace, and know which process this is."""
        fds = [os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), syscalls.pidfd_open(os.getpid())]
        try:
            self._powerless = bool(self.ask({"operation": "follow"}, context, fds).get("powerless"))
        finally:
            close_all(fds)

    def ask(self, request: Message, context: Context, fds: Sequence[int] = ()) -> Message:
        """Return the answer to a request; trees that come before it go where the plan looks for them.

        Raises:
            Skip, CannotStart: what the operation raised there.
        """
        send_message(self._channel, request, fds)
        while True:
            message, trees = receive_message(self._channel)
            if message is None:
                raise CannotStart("the process outside the user namespace is gone")
            if "tree" not in message:
                break
            places = context.devices if message["device"] else context.trees
            places[message["tree"]] = trees[0]
        if "skip" in message:
            raise Skip(message["skip"], message["warning"])
        if "error" in message:
            raise CannotStart(message["error"]["message"], message["error"]["kind"])
        return message

    def close(self) -> None:
        """Let it end."""
        self._channel.close()
