"""One process the keeper holds: a container's init or an exec, from fork to exit.

Its life: *starting* (the plan runs) → *running* (the program runs) → *ended*
(reaped, output drained, exit known). Clients may attach before it starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from pydock_lab.daemon.linux import pty, syscalls
from pydock_lab.daemon.runtime.channel import close_all, receive_message
from pydock_lab.daemon.runtime.launcher import Child
from pydock_lab.daemon.runtime.logfile import LogFile, Pending
from pydock_lab.daemon.runtime.loop import READ, Loop
from pydock_lab.daemon.runtime.operations.base import Operation, record
from pydock_lab.daemon.runtime.streams import CHUNK_BYTES, Client, Input
from pydock_lab.errors import KernelError

# How long output may go on after the process has ended, when something else holds its pipes (as Docker).
LINGER_S = 2.0


class Process:
    """A container's init or an exec, with its stdio, log and attached clients.

    Args:
        loop: The keeper's.
        id: Of the container or exec.
        container_id: The container it belongs to.
        stdin_once: The first client's end of input is the process's.
        on_launched: Called when the program runs.
        on_failed: Called with the failure when it never will.
        on_ended: Called when it has ended and its output is drained.
    """

    def __init__(
        self,
        loop: Loop,
        id: str,
        container_id: str,
        *,
        on_launched: Callable[[Process], None],
        on_failed: Callable[[Process, dict[str, Any]], None],
        on_ended: Callable[[Process], None],
        stdin_once: bool = False,
    ) -> None:
        self._loop = loop
        self.id = id
        self.container_id = container_id
        self.stdin_once = stdin_once
        self.state = "waiting"
        self.pid = 0
        self.pidfd = -1
        self.started_at_ns = 0
        self.operations: Sequence[Operation] = ()
        self.steps: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.resolver: list[int] = []
        self.exit: dict[str, Any] | None = None
        self.clients: list[Client] = []
        self.log: LogFile | None = None
        self.master = -1
        self.input: Input | None = None
        self.on_detached: Callable[[Process, Client], None] = lambda process, client: None
        self._on_launched, self._on_failed, self._on_ended = on_launched, on_failed, on_ended
        self._report: socket.socket | None = None
        self._failure: dict[str, Any] | None = None
        self._outputs: dict[int, Pending] = {}
        self._stopped: set[int] = set()
        self._child_sides: list[int] = []
        self._status: tuple[int, int] | None = None
        self._reaped: list[int] = []

    # --- before and during the launch

    def open_stdio(self, *, terminal: bool, stdin_open: bool) -> tuple[int, int, int]:
        """Make the pipes; return the child's sides (-1 where it opens its own)."""
        if terminal:
            return -1, -1, -1
        child_stdin = -1
        if stdin_open:
            child_stdin, ours = os.pipe2(os.O_CLOEXEC)
            self.input = Input(self._loop, ours, on_drained=self._resume_input)
            self._child_sides.append(child_stdin)
        sides = []
        for name in ("stdout", "stderr"):
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            self._watch_output(ours, name)
            self._child_sides.append(theirs)
            sides.append(theirs)
        return child_stdin, sides[0], sides[1]

    def follow(self, child: Child, operations: Sequence[Operation]) -> None:
        """Take over a forked child that carries out `operations`: its report, its end."""
        self.state = "starting"
        self.operations = operations
        close_all(self._child_sides)
        self._child_sides = []
        self._report = child.report
        self._report.setblocking(False)
        self._loop.add(child.report.fileno(), READ, self._on_report)
        self._take_pid(child.pid, child.pidfd)

    def _take_pid(self, pid: int, pidfd: int) -> None:
        self.pid, self.pidfd = pid, pidfd
        self._loop.add(pidfd, READ, lambda events: self._on_exit(pidfd))

    def _on_report(self, events: int) -> None:
        assert self._report is not None
        while self._report is not None:
            try:
                message, fds = receive_message(self._report)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message, fds = None, []
            if message is None:
                self._loop.remove(self._report.fileno())
                self._report.close()
                self._report = None
                self._after_report()
                return
            steps = zip(self.operations[len(self.steps) :], message.get("outcomes", ()), strict=False)
            self.steps += [record(operation, *outcome) for operation, outcome in steps]
            self.warnings = message.get("warnings", self.warnings)
            if "error" in message:
                self._failure = message["error"]
            if "pty" in message:
                self._take_pty(fds.pop(0))
            if "child" in message:
                # The forked one only prepared; its own child is the process. It is reaped all the same.
                self._take_pid(message["child"], fds.pop(0))
            if "resolver" in message:
                self.resolver, fds = fds, []
            close_all(fds)

    def _after_report(self) -> None:
        if self._failure is None and not self.steps:
            self._failure = {"message": "the process ended before it could report", "kind": "other"}
        if self._failure is not None:
            self._fail_when_reaped()
            return
        self.state = "running"
        self.started_at_ns = time.time_ns()
        for client in list(self.clients):
            self._connect_input(client)
        self._on_launched(self)
        if self._status is not None:
            self._drain()

    def _fail_when_reaped(self) -> None:
        """Report the failure once the child is gone, so that nothing of it is left."""
        self.state = "failed"
        if self._status is not None:
            self.close()
            self._on_failed(self, self._failure or {})

    def _take_pty(self, master: int) -> None:
        self.master = master
        self.input = Input(self._loop, os.dup(master), on_drained=self._resume_input)
        self._watch_output(master, "stdout")

    # --- output

    def _watch_output(self, fd: int, name: str) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = Pending(name)

        def on_readable(events: int) -> None:
            self._pass_output(fd)

        self._loop.add(fd, READ, on_readable)

    def _pass_output(self, fd: int) -> bool:
        """Pass one chunk on; return False when there is nothing to read now or ever again."""
        pending = self._outputs[fd]
        if any(client.congested for client in self.clients) and not self._make_room(fd):
            return False
        try:
            chunk = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last holder of the pty's other side has closed it
            chunk = b""
        if not chunk:
            self._end_output(fd)
            return False
        if self.log is not None:
            self.log.write(pending, chunk)
        if self.clients:
            for client in list(self.clients):
                if pending.name in client.wants:
                    client.send(pending.name, chunk)
        return True

    def _make_room(self, fd: int) -> bool:
        """Drop clients that take nothing; where one is merely slow, stop reading for a moment."""
        for client in list(self.clients):
            if client.congested and client.stalled:
                client.drop()
        if not any(client.congested for client in self.clients):
            return True
        if fd not in self._stopped:
            self._stopped.add(fd)
            self._loop.change(fd, 0)
            self._loop.after(0.05, lambda: self._continue_output(fd))
        return False

    def _continue_output(self, fd: int) -> None:
        self._stopped.discard(fd)
        if fd in self._outputs:
            self._loop.change(fd, READ)

    def _end_output(self, fd: int) -> None:
        pending = self._outputs.pop(fd)
        self._loop.remove(fd)
        os.close(fd)
        if fd == self.master:
            self.master = -1
        if self.log is not None:
            self.log.flush(pending)
        if not self._outputs and self._status is not None:
            self._finish()

    # --- input and clients

    def attach(self, client: Client) -> None:
        """Add a client; it gets what is printed from now on, and its input goes to the process."""
        self.clients.append(client)
        client.on_input = self._on_input
        client.on_input_end = self._on_input_end
        client.on_gone = self._on_gone
        if self.state == "running":
            self._connect_input(client)
        elif self.state == "ended":
            client.finish()

    def _connect_input(self, client: Client) -> None:
        if self.input is not None:
            client.start()
            if self.input is not None and self.input.full:
                client.pause(True)

    def _on_input(self, client: Client, data: bytes) -> None:
        if self.input is None:
            return
        self.input.write(data)
        if self.input.full:
            for other in self.clients:
                other.pause(True)

    def _resume_input(self) -> None:
        for client in self.clients:
            client.pause(False)

    def _on_input_end(self, client: Client) -> None:
        """As Docker: with stdin_once it ends the process's stdin, else it ends this client's attachment."""
        if self.stdin_once and self.master < 0:
            self._end_input()
        else:
            client.finish()

    def _end_input(self) -> None:
        if self.input is not None:
            self.input.end()
            self.input = None

    def _on_gone(self, client: Client, detached: bool) -> None:
        if client in self.clients:
            self.clients.remove(client)
        if detached:
            self.on_detached(self, client)
        elif self.stdin_once and "stdin" in client.wants and self.master < 0:
            self._end_input()

    def resize(self, rows: int, columns: int) -> None:
        """Set the pty's size."""
        if self.master >= 0:
            pty.set_size(self.master, rows, columns)

    def signal(self, signum: int) -> None:
        """Send a signal; KernelError (ESRCH) where it has ended."""
        syscalls.pidfd_send_signal(self.pidfd, signum)

    # --- the end

    def _on_exit(self, pidfd: int) -> None:
        """Reap what a pidfd stands for."""
        self._loop.remove(pidfd)
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        if pidfd != self.pidfd:
            return  # only the one that prepared
        if self._report is not None:
            self._on_report(READ)
            if self.pidfd != pidfd:
                return
        assert result is not None
        self.pidfd = -1
        signum = 0 if result.si_code == os.CLD_EXITED else result.si_status
        code = result.si_status if signum == 0 else 128 + signum
        self._status = (code, signum)
        if self._failure is not None:
            self._fail_when_reaped()
        elif self.state == "running":
            self._drain()

    def _drain(self) -> None:
        """Read what is left of the output; it is over when nobody holds the pipes any more, or soon after."""
        for fd in list(self._outputs):
            while fd in self._outputs and self._pass_output(fd):
                pass
        if self._outputs:
            self._loop.after(LINGER_S, self._give_up_output)
        elif self.state == "running":
            self._finish()

    def _give_up_output(self) -> None:
        for fd in list(self._outputs):
            if fd in self._outputs:
                self._end_output(fd)

    def _finish(self) -> None:
        if self.state == "ended" or self._status is None:
            return
        self.state = "ended"
        code, signum = self._status
        self.exit = {"code": code, "signal": signum, "oom_killed": False, "finished_at_ns": time.time_ns()}
        if self.input is not None:
            self.input.close()
            self.input = None
        if self.log is not None:
            self.log.close()
        self._on_ended(self)
        for client in list(self.clients):
            client.finish()

    def close(self) -> None:
        """Let go of everything; the process has ended or never started."""
        if self._report is not None:
            self._loop.remove(self._report.fileno())
            self._report.close()
            self._report = None
        for fd in list(self._outputs):
            self._outputs.pop(fd)
            self._loop.remove(fd)
            os.close(fd)
        if self.input is not None:
            self.input.close()
            self.input = None
        if self.log is not None:
            self.log.close()
        close_all([*self._child_sides, *self.resolver])
        self._child_sides, self.resolver = [], []
        for client in list(self.clients):
            if self.state == "failed":
                client.leave()
            else:
                client.finish()

    def kill(self) -> None:
        """SIGKILL, whatever its state."""
        if self.pidfd >= 0:
            with contextlib.suppress(KernelError):
                self.signal(signal.SIGKILL)
