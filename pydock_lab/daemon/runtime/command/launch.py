"""`create` and `exec`: fork a child that carries out a plan, and stay until it is on its way.

The same plans as the engine's keeper makes; here the process inherits this
command's stdio, or a pty whose master goes to `--console-socket`, and outlives
this command.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydock_lab.daemon.linux import cgroups, syscalls
from pydock_lab.daemon.runtime.channel import close_all, receive_message, send_message
from pydock_lab.daemon.runtime.command import mappings
from pydock_lab.daemon.runtime.command.config import Config, check_process
from pydock_lab.daemon.runtime.command.state import State, Store, process_start
from pydock_lab.daemon.runtime.filters import Filters
from pydock_lab.daemon.runtime.launcher import Child, fork_plan
from pydock_lab.daemon.runtime.operations.base import Operation
from pydock_lab.daemon.runtime.operations.identity import Execute
from pydock_lab.daemon.runtime.operations.lifecycle import AwaitHooks, ExecuteWhenStarted, RunHooks, run_hooks
from pydock_lab.daemon.runtime.operations.rootfs import PivotRoot
from pydock_lab.daemon.runtime.plan import Plan, build_exec_plan, build_plan
from pydock_lab.daemon.runtime.request import ExecRequest, LaunchRequest
from pydock_lab.errors import InvalidParameter, LabError


@dataclass
class Console:
    """Where a process's terminal goes, or what it has in its place.

    Attributes:
        path: Of the `--console-socket`, or "" to keep the master here.
        master: fd of the pty's master once it is there and was kept, else -1.
        stdio: fds of a process without a terminal.
        detached: This command will not stay with the process.
    """

    path: str = ""
    master: int = -1
    stdio: tuple[int, int, int] = (0, 1, 2)
    detached: bool = False

    def check(self, process: Config) -> None:
        """Refuse a terminal that nobody would hold, and a socket for none."""
        terminal = bool(process.get("terminal"))
        if self.path and not terminal:
            raise InvalidParameter("cannot use console socket if runc will not detach or allocate tty")
        if terminal and self.detached and not self.path:
            raise InvalidParameter("cannot allocate tty if runc will detach without setting console socket")

    def give(self, owner: tuple[int, int]) -> None:
        """Give pipes that were made for a process to its user."""
        for fd in self.stdio:
            if fd > 2:
                os.fchown(fd, *owner)

    def take(self, name: str, master: int) -> None:
        """Pass a master on, as containerd's and podman's monitors expect it, or keep it."""
        if not self.path:
            self.master = master
            return
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as receiver:
            receiver.connect(self.path)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))]
            receiver.sendmsg([name.encode()], rights)
        os.close(master)


def check_preserved(count: int) -> None:
    """Refuse `--preserve-fds` of more fds than there are."""
    for number in range(count):
        if not os.path.exists(f"/proc/self/fd/{3 + number}"):
            words = f"stat /proc/self/fd/{3 + number}: no such file or directory"
            raise InvalidParameter(f"unable to stat preserved-fd {number} (of {count}): {words}")


def create(
    store: Store, id: str, bundle: str, config: Config, console: Console, *, preserved: int = 0, rootless: bool = False
) -> State:
    """Create a container: everything but the program runs.

    Args:
        store: Where it is noted.
        id: Its name there.
        bundle: Absolute directory of its config.json.
        config: What is in there; see read_config.
        console: Takes its terminal.
        preserved: How many of our fds after stdio the program inherits.
        rootless: We are nobody on the host: what takes a power over cgroups is left out.

    Raises:
        LabError: it can't be; nothing of it is left.
    """
    console.check(config["process"])
    check_preserved(preserved)
    directory = store.reserve(id)
    layout = cgroups.detect()
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}Z"
    rootfs = os.path.join(bundle, config["root"]["path"])
    config["linux"]["cgroupsPath"] = config["linux"]["cgroupsPath"] or f"/{id}"
    state = State(id, bundle, rootfs, 0, 0, created, config["linux"]["cgroupsPath"], config)
    try:
        os.mkfifo(os.path.join(directory, "exec.fifo"), 0o600)
        # For both directions, so that opening it does not wait for somebody at the other end.
        fifo = os.open(os.path.join(directory, "exec.fifo"), os.O_RDWR | os.O_CLOEXEC)
        plan = build_plan(LaunchRequest(id, bundle, config, rootless=rootless), layout)
        _add_lifecycle(plan, state, fifo, preserved)

        def outside(child: Child) -> None:
            state.pid = child.pid
            hooks = config.get("hooks") or {}
            for name in ("prestart", "createRuntime"):
                run_hooks(name, hooks.get(name) or (), state.document("creating"))

        console.give(mappings.root(config["linux"]))
        child = fork_plan(plan, console.stdio, Filters().compile(plan), layout, mortal=False)
        os.close(fifo)
        state.pid = follow(child, console, outside, during="error during container init: ")
        state.start_time = process_start(state.pid)
        store.save(state)
    except BaseException:
        if layout.version:
            with contextlib.suppress(OSError):
                layout.cgroup(state.cgroup).kill()
                layout.cgroup(state.cgroup).delete()
        store.forget(id)
        raise
    return state


def _add_lifecycle(plan: Plan, state: State, fifo: int, preserved: int) -> None:
    """Put hooks and the wait for `start` into a plan."""
    hooks = state.config.get("hooks") or {}
    document = state.document("created")
    document["pid"] = 1
    at = next(i for i, operation in enumerate(plan.operations) if isinstance(operation, PivotRoot))
    before_pivot: list[Operation] = []
    if hooks.get("prestart") or hooks.get("createRuntime"):
        before_pivot.append(AwaitHooks([name for name in ("prestart", "createRuntime") if hooks.get(name)]))
    if hooks.get("createContainer"):
        creating = {**document, "status": "creating"}
        before_pivot.append(RunHooks("createContainer", hooks["createContainer"], creating))
    plan.operations[at:at] = before_pivot
    args = list(state.config["process"]["args"])
    plan.operations[-1] = ExecuteWhenStarted(args, preserved, fifo, hooks.get("startContainer") or [], document)


def execute(state: State, process: Config, console: Console, *, preserved: int = 0) -> int:
    """Start a further process in a running container; return its pid."""
    layout = cgroups.detect()
    linux = state.config["linux"]
    check_process(process)
    console.check(process)
    check_preserved(preserved)
    mappings.check_user(process.get("user") or {}, linux)
    request = ExecRequest(f"{state.id}-exec", state.id, process)
    plan = build_exec_plan(request, state.pid, linux.get("seccomp"), state.cgroup)
    plan.operations[-1] = Execute(list(process["args"]), preserved)
    init = syscalls.pidfd_open(state.pid)
    try:
        console.give(mappings.root(linux))
        child = fork_plan(plan, console.stdio, Filters().compile(plan), layout, mortal=False, container=init)
    finally:
        os.close(init)
    return follow(child, console)


def follow(
    child: Child, console: Console, outside: Callable[[Child], None] = lambda child: None, *, during: str = ""
) -> int:
    """Read a child's report until it is about to become the program; return the pid.

    Args:
        child: Just forked.
        console: Takes the pty.
        outside: Called when the child waits for the hooks that run here.
        during: What failed, as runc says it of all that isn't the program's own fault.

    Raises:
        LabError: the plan failed.
    """
    forked, ready = [child.pid], False
    with contextlib.closing(child.report):
        while not ready:
            try:
                message, fds = receive_message(child.report)
            except ConnectionResetError:
                message, fds = None, []
            if message is None:
                _reap(forked)
                raise LabError("unable to start container process: the process ended before it could report")
            if "pty" in message:
                console.take(message["pty"], fds.pop())
            elif "child" in message:
                # The one that was forked here only prepared; its own child, which is ours too, is the process.
                os.close(child.pidfd)
                child.pid, child.pidfd = message["child"], fds.pop()
                forked.append(child.pid)
            elif "hooks" in message:
                _answer_hooks(child, outside)
            close_all(fds)
            if "error" in message:
                _reap(forked)
                kind = message["error"].get("kind")
                blame = "" if kind in ("not_found", "not_executable", "setup") else during
                raise LabError(f"unable to start container process: {blame}{message['error']['message']}")
            ready = "outcomes" in message
    _reap(forked[:-1])
    os.close(child.pidfd)
    return child.pid


def _reap(pids: Sequence[int]) -> None:
    """Wait for the ends of children."""
    for pid in pids:
        os.waitpid(pid, 0)


def _answer_hooks(child: Child, outside: Callable[[Child], None]) -> None:
    try:
        outside(child)
    except LabError as error:
        send_message(child.report, {"error": error.message})
    else:
        send_message(child.report, {})
