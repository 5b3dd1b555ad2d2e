"""What an operation is, what operations share while they run, and how a list of them is carried out.

Runs between clone and exec in the container's first process, which is a copy of
the keeper: standard library only, one thread, no fd it does not need.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydock_lab.daemon.linux.cgroups import Layout
from pydock_lab.daemon.linux.netlink import Netlink
from pydock_lab.daemon.runtime.channel import send_message
from pydock_lab.errors import KernelError, LabError

if TYPE_CHECKING:
    from pydock_lab.daemon.runtime.operations.outside import Outside

Findings = dict[str, Any] | None


class Skip(Exception):
    """An operation was left out; `warning` (if any) goes to the user in Docker's words."""

    def __init__(self, reason: str, warning: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.warning = warning


class CannotStart(LabError):
    """The process can't be started for a reason that lies in the image or the request.

    Args:
        message: Docker's words, without the prefix that names runc.
        kind: `not_found` (exit 127), `not_executable` (126), `user` (no prefix), `setup` (not said to be
            during init) or `other`.
    """

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Context:
    """What the operations of one launch hand to each other.

    Attributes:
        id: The container's or exec's id.
        report: Socket to the keeper: step records, the pty's master; close-on-exec.
        layout: Where cgroups are.
        stdio: fds to become 0, 1, 2; -1 for the container's own /dev/null (stdin) or its pty.
        netlink: A route socket of the host's network namespace, or None.
        bridge_indexes: Link index of each bridge, looked up in the host's namespace.
        trees: Destination → fd of a detached mount waiting for its place.
        devices: Host path → fd of a detached mount of a device node (rootless).
        old_root: fd of the host's root between pivot_root and its unmount, or -1.
        uid, gid, groups: The user, once resolved inside the rootfs.
        environment: The process's environment, once HOME is known.
        executable: Path of args[0], once found.
        filters: Compiled seccomp programs, to be installed in this order.
        mortal: The process is to be killed when its parent, the keeper, dies: nobody else could
            read its output or reap it.
        container: pidfd of the init process of the container to be joined, or -1.
        outside: Does what needs the host's power, when this process is in a user namespace of its own.
        process: Whose limits are set: 0 for this process, else (outside) the one inside.
        warnings: For the user.
    """

    id: str
    report: socket.socket
    layout: Layout
    stdio: tuple[int, int, int]
    netlink: Netlink | None = None
    bridge_indexes: dict[str, int] = field(default_factory=dict)
    trees: dict[str, int] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    old_root: int = -1
    uid: int = 0
    gid: int = 0
    groups: list[int] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    executable: str = ""
    filters: list[bytes] = field(default_factory=list)
    mortal: bool = False
    container: int = -1
    outside: Outside | None = None
    process: int = 0
    warnings: list[str] = field(default_factory=list)


class Operation:
    """One step of a launch; subclasses are dataclasses of plain values."""

    where = "container"

    def describe(self) -> str:
        """Return one English sentence in the present tense."""
        raise NotImplementedError

    def execute(self, context: Context) -> Findings:
        """Do it; return what was found out (inodes, names), if anything."""
        raise NotImplementedError


def record(operation: Operation, duration_ns: int, findings: Findings = None, error: str = "") -> dict[str, Any]:
    """Return the fields of a request.StepRecord."""
    return {
        "operation": type(operation).__name__,
        "description": operation.describe(),
        "duration_ns": duration_ns,
        "where": operation.where,
        "data": {**vars(operation), **(findings or {})},
        "error": error,
    }


# How one operation went, as the child reports it: nanoseconds, findings, error. The parent has the
# plan and makes the record: words cost a fresh child a page fault for each page Python touches.
Outcome = tuple[int, Findings, str]


def carry_out(operations: Sequence[Operation], context: Context, done: Sequence[Outcome] = ()) -> None:
    """Execute operations in order; the last one replaces this process.

    The outcomes go to the parent before the last operation, and again as far as
    they came when one fails. Returns only by raising.

    Args:
        operations: Of one plan.
        context: Of the launch.
        done: Outcomes of the first operations, which have been executed before.

    Raises:
        LabError: of the operation that failed; the parent has been told already.
    """
    outcomes = list(done)
    for operation in operations[len(done) :]:
        if operation is operations[-1]:
            outcomes.append((0, None, ""))
            send_message(context.report, {"outcomes": outcomes, "warnings": context.warnings})
            outcomes = []
        started = time.perf_counter_ns()
        try:
            outcomes.append(perform(operation, context))
        except Exception as error:
            failure = describe_failure(error)
            outcomes.append((time.perf_counter_ns() - started, None, failure["message"]))
            send_message(context.report, {"outcomes": outcomes, "warnings": context.warnings, "error": failure})
            raise


def perform(operation: Operation, context: Context) -> Outcome:
    """Execute one operation; one that could not and need not be done is an outcome too."""
    started = time.perf_counter_ns()
    try:
        findings = context.outside.execute(operation, context) if context.outside else operation.execute(context)
    except Skip as skip:
        if skip.warning:
            context.warnings.append(skip.warning)
        return time.perf_counter_ns() - started, None, skip.reason
    return time.perf_counter_ns() - started, findings, ""


def describe_failure(error: Exception) -> dict[str, Any]:
    """Return an error as data for the keeper."""
    if isinstance(error, CannotStart):
        return {"message": error.message, "kind": error.kind}
    if isinstance(error, KernelError):
        return {"message": error.message, "kind": "kernel", "syscall": error.syscall, "errno": error.errno}
    if isinstance(error, OSError) and error.filename:
        return {"message": f"{error.filename}: {(error.strerror or str(error)).lower()}", "kind": "other"}
    return {"message": str(error), "kind": "other"}
