"""The keeper: fork server and monitor of all containers of one daemon, in one small process.

The daemon execs it once (`python -SIE keeper.py …`), talks to it over a unix
socket and may die: the keeper goes on holding pipes, ptys and logs, and a new
daemon connects to the same socket. It ends when told to, or when nobody is
connected and nothing runs for a while.

Standard library only, one thread; nothing here may block.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pydock_lab.daemon.linux import cgroups, syscalls
from pydock_lab.daemon.runtime.channel import Message, close_all
from pydock_lab.daemon.runtime.daemons import Answer, Connection
from pydock_lab.daemon.runtime.filters import Filters
from pydock_lab.daemon.runtime.initready import when_ready
from pydock_lab.daemon.runtime.launcher import fork_plan
from pydock_lab.daemon.runtime.leftovers import Leftovers
from pydock_lab.daemon.runtime.logfile import LogFile
from pydock_lab.daemon.runtime.loop import READ, Loop, Timer, report
from pydock_lab.daemon.runtime.operations.namespaces import namespace_inodes
from pydock_lab.daemon.runtime.plan import Plan, build_exec_plan, build_plan
from pydock_lab.daemon.runtime.process import Process
from pydock_lab.daemon.runtime.request import EXIT_FILE, Attachment, ExecRequest, LaunchRequest, launch_request
from pydock_lab.daemon.runtime.spare import Spares, dismiss
from pydock_lab.daemon.runtime.streams import Client
from pydock_lab.errors import KernelError, LabError

# How long a keeper without daemon and without containers waits for a new daemon.
GRACE_S = 5.0

# How often it looks whether the execs of a container that has ended are gone, too.
OVERTAKEN_S = 0.005


class Keeper:
    """All processes of one daemon, and the sockets it is spoken to through."""

    def __init__(self, listener: socket.socket) -> None:
        self.loop = Loop()
        self.layout = cgroups.detect()
        self.layout.cgroup("/")  # loads the version's module now: children must not import anything
        self.filters = Filters()
        self.spares = Spares(self.loop, self.layout, self.filters)
        self.leftovers = Leftovers(self.loop, self.layout)
        self.processes: dict[str, Process] = {}
        self.requests: dict[str, LaunchRequest] = {}
        self._held: dict[int, Client] = {}  # attached, waiting for the daemon to send them the log first
        self._listener = listener
        self._connections: list[Connection] = []
        self._grace: Timer | None = None
        self._stopping = False
        listener.setblocking(False)
        self.loop.add(listener.fileno(), READ, self._on_connect)
        self._operations: dict[str, Callable[[Answer, Message, list[int]], None]] = {
            "hello": self._hello,
            "launch": self._launch,
            "exec": self._exec,
            "signal": self._signal,
            "attach": self._attach,
            "release": self._release,
            "detached": self._detached,
            "resize": self._resize,
            "archive": self._archive,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "resolver": self._resolver,
            "delete": self._delete,
            "stop": self._stop,
        }

    # --- connections

    def _on_connect(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            channel, _ = self._listener.accept()
            self._connections.append(
                Connection(self.loop, channel, on_request=self.on_request, on_closed=self.on_disconnected)
            )
            self._rest()

    def on_disconnected(self, connection: Connection) -> None:
        """A daemon is gone."""
        if connection in self._connections:
            self._connections.remove(connection)
        for number in list(self._held):
            self._held.pop(number).release()
        self._rest()

    def _rest(self) -> None:
        """End after a while when nobody is connected and nothing runs."""
        idle = not self._connections and not self._running()
        if idle and self._grace is None:
            self._grace = self.loop.after(GRACE_S, self._end)
        elif not idle and self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if self._stopping and not self._running():
            self._end()

    def _end(self) -> None:
        self.loop.running = False

    def _running(self) -> list[Process]:
        return [process for process in self.processes.values() if process.state in ("starting", "running")]

    def _announce(self, event: Message) -> None:
        for connection in self._connections:
            connection.send(event)

    def on_request(self, connection: Connection, message: Message, fds: list[int]) -> None:
        """Carry out one request; whatever goes wrong becomes its answer."""
        answer = Answer(connection, message["seq"])
        try:
            self._operations[message["op"]](answer, message, fds)
        except LabError as error:
            answer.refuse(error)
        except Exception as error:
            report()
            answer.error({"message": f"{type(error).__name__}: {error}", "kind": "other"})
        finally:
            close_all(fds)

    # --- requests

    def _hello(self, answer: Answer, message: Message, fds: list[int]) -> None:
        """Tell a daemon what there is."""
        answer.result(
            [
                {
                    "id": process.id,
                    "container_id": process.container_id,
                    "pid": process.pid,
                    "state": process.state,
                    "started_at_ns": process.started_at_ns,
                    "exit": process.exit,
                    "cgroup": self._cgroup_path(process.id),
                    "bundle": self.requests[process.id].bundle if process.id in self.requests else "",
                }
                for process in self.processes.values()
                if process.state in ("running", "ended")
            ]
        )

    def _launch(self, answer: Answer, message: Message, fds: list[int]) -> None:
        request = launch_request(message["request"])
        if self._stopping:
            raise LabError("the runtime is shutting down")
        os.makedirs(request.bundle, exist_ok=True)
        self.leftovers.settle(request.cgroup_path)
        process = self._new_process(request.id, request.id, answer, stdin_once=request.stdin_once)
        self.requests[request.id] = request
        log = request.log
        if log.driver != "none" and log.path:
            process.log = LogFile(log.path, log.max_size, log.max_file, log.attrs)
        with self._nothing_half_made(process):
            terminal = bool(request.config["process"].get("terminal"))
            stdio = process.open_stdio(terminal=terminal, stdin_open=request.stdin_open)
            child = self.spares.take(request, message["request"], stdio)
            try:
                # A spare makes the same plan and is on its way; here it tells what the outcomes are of.
                plan = build_plan(request, self.layout)
                filters = self.filters.compile(plan)
            except Exception:
                if child is not None:
                    dismiss(child)
                raise
            if child is None:
                child = fork_plan(plan, stdio, filters, self.layout)
            process.follow(child, plan.operations)
        self._rest()
        # For whoever reads bundles; the child, which is on its way, does not.
        _write_atomically(os.path.join(request.bundle, "config.json"), request.config)

    def _exec(self, answer: Answer, message: Message, fds: list[int]) -> None:
        request = ExecRequest(**message["request"])
        init = self.processes.get(request.container_id)
        if init is None or init.state != "running":
            raise LabError(f"container {request.container_id} is not running")
        launched = self.requests[request.container_id].config
        linux = launched.get("linux") or {}
        path = linux.get("cgroupsPath") or ""
        plan = build_exec_plan(request, init.pid, linux.get("seccomp"), path)
        process = self._new_process(request.id, request.container_id, answer, stdin_once=True)
        with self._nothing_half_made(process):
            stdio = process.open_stdio(terminal=plan.terminal, stdin_open=request.stdin_open)
            child = fork_plan(plan, stdio, self.filters.compile(plan), self.layout, container=init.pidfd)
            process.follow(child, plan.operations)
        self._rest()

    def _new_process(self, id: str, container_id: str, answer: Answer, *, stdin_once: bool) -> Process:
        """Return a process that may have clients waiting since before its launch."""
        waiting = self.processes.get(id)
        if waiting is not None and waiting.state in ("starting", "running"):
            raise LabError(f"{id} is running already")
        process = Process(
            self.loop,
            id,
            container_id,
            stdin_once=stdin_once,
            on_launched=lambda process: self._on_launched(process, answer),
            on_failed=lambda process, failure: self._on_failed(process, failure, answer),
            on_ended=self._on_ended,
        )
        process.on_detached = lambda process, client: self._announce({"event": "detached", "id": process.id})
        if waiting is not None and waiting.state == "waiting":
            for client in waiting.clients:
                process.attach(client)
        self.processes[id] = process
        return process

    @contextlib.contextmanager
    def _nothing_half_made(self, process: Process) -> Iterator[None]:
        """Forget a process where what is done for it fails."""
        try:
            yield
        except Exception:
            process.state = "failed"
            process.close()
            self.processes.pop(process.id, None)
            self.requests.pop(process.id, None)
            self.spares.launch_over()
            raise

    def _signal(self, answer: Answer, message: Message, fds: list[int]) -> None:
        process, signum = self._known(message["id"]), message["signum"]

        def send() -> None:
            try:
                process.signal(signum)
            except KernelError as error:
                answer.refuse(error)
            else:
                answer.result()

        request = self.requests.get(process.id)
        if request is not None and request.init:
            when_ready(self.loop, process, signum, send)
        else:
            send()

    def _attach(self, answer: Answer, message: Message, fds: list[int]) -> None:
        process = self.processes.get(message["id"])
        if process is None:
            process = self._new_process(message["id"], message["id"], answer, stdin_once=False)
        request = self.requests.get(process.container_id)
        logs = request.log.path if request else ""
        client = Client(
            self.loop,
            socket.socket(fileno=fds.pop(0)),
            wants=set(message["wants"]),
            tty=message["tty"],
            initial=bytes.fromhex(message["initial"]),
            detach_keys=bytes.fromhex(message["detach_keys"]),
            spill_directory=os.path.dirname(logs) or "/tmp",
            held=message["held"],
        )
        position = None
        if message["held"]:
            self._held[message["seq"]] = client
            if process.log is not None and process.state in ("starting", "running"):
                # What is in the log up to here the daemon sends; what comes now waits in the client's backlog.
                position = process.log.position
        process.attach(client)
        answer.result({"hold": message["seq"], "position": position})

    def _release(self, answer: Answer, message: Message, fds: list[int]) -> None:
        client = self._held.pop(message["hold"], None)
        if client is not None:
            client.release()
        answer.result()

    def _detached(self, answer: Answer, message: Message, fds: list[int]) -> None:
        process = self.processes.get(message["id"])
        if process is not None and process.state in ("waiting", "failed"):
            process.close()
            del self.processes[process.id]
        answer.result()

    def _resize(self, answer: Answer, message: Message, fds: list[int]) -> None:
        self._known(message["id"]).resize(message["rows"], message["columns"])
        answer.result()

    def _archive(self, answer: Answer, message: Message, fds: list[int]) -> None:
        # tarfile and the compressors weigh 2 MiB; a keeper that copies nothing does without.
        from pydock_lab.daemon.runtime.errand import archive_plan

        request = launch_request(message["request"])
        os.makedirs(request.bundle, exist_ok=True)
        plan = archive_plan(request, message["action"], message["pid"], message["path"], message["options"])
        self._run_errand(plan, answer, fds[0] if fds else -1)

    def _connect(self, answer: Answer, message: Message, fds: list[int]) -> None:
        from pydock_lab.daemon.runtime.errand import connect_plan

        init = self._known(message["id"])
        attachment = Attachment(**message["attachment"])
        self._run_errand(connect_plan(init.id, init.pid, attachment), answer)

    def _disconnect(self, answer: Answer, message: Message, fds: list[int]) -> None:
        from pydock_lab.daemon.runtime.errand import disconnect_plan

        init = self._known(message["id"])
        self._run_errand(disconnect_plan(init.id, init.pid, message["ifname"], message["routes"]), answer)

    def _resolver(self, answer: Answer, message: Message, fds: list[int]) -> None:
        from pydock_lab.daemon.runtime.errand import resolver_plan

        init = self._known(message["id"])
        self._run_errand(resolver_plan(init.id, init.pid, message["address"]), answer)

    def _run_errand(self, plan: Plan, answer: Answer, fd: int = -1) -> None:
        from pydock_lab.daemon.runtime.errand import Errand

        child = fork_plan(plan, (fd, -1, -1), [], self.layout)
        Errand(self.loop, child, on_result=answer.result, on_failed=answer.error)

    def _delete(self, answer: Answer, message: Message, fds: list[int]) -> None:
        container_id = message["id"]
        processes = [p for p in self.processes.values() if container_id in (p.id, p.container_id)]
        living = [p for p in processes if p.state in ("starting", "running")]
        if any(p.id == container_id for p in living):
            raise LabError(f"{container_id} is running")
        if living:
            # Execs, a health check say, that its end has overtaken. One that is starting soon runs or has failed.
            for process in living:
                if process.state == "running":
                    process.kill()
            self.loop.after(OVERTAKEN_S, lambda: self.on_request(answer.connection, message, []))
            return
        for process in processes:
            process.close()
            del self.processes[process.id]
        self.requests.pop(container_id, None)
        answer.result()

    def _stop(self, answer: Answer, message: Message, fds: list[int]) -> None:
        self._stopping = True
        for process in self._running():
            process.kill()
        answer.result()
        self._rest()

    def _known(self, id: str) -> Process:
        process = self.processes.get(id)
        if process is None or process.pidfd < 0:
            raise LabError(f"{id} is not running")
        return process

    # --- what becomes of processes

    def _on_launched(self, process: Process, answer: Answer) -> None:
        answer.result(
            {
                "pid": process.pid,
                "started_at_ns": process.started_at_ns,
                "namespaces": namespace_inodes(process.steps),
                "steps": process.steps,
                "warnings": process.warnings,
            },
            process.resolver,
        )
        process.resolver = []
        process.operations, process.steps = (), []
        self.spares.launch_over()

    def _on_failed(self, process: Process, failure: Message, answer: Answer) -> None:
        self.processes.pop(process.id, None)
        request = self.requests.pop(process.id, None)
        if request is not None:
            self.leftovers.remove(request.cgroup_path)
        answer.error({**failure, "steps": process.steps})
        self.spares.launch_over()
        self._rest()

    def _on_ended(self, process: Process) -> None:
        """A container's init or an exec has ended; a container takes what is left of it along."""
        assert process.exit is not None
        request = self.requests.get(process.id)
        if request is not None:
            path = self._cgroup_path(process.id)
            process.exit["oom_killed"] = self.leftovers.oom_killed(path)
            self.leftovers.add(path)
            if not self._connections:
                # This keeper may be gone, too, when a daemon comes again.
                _write_atomically(os.path.join(request.bundle, EXIT_FILE), process.exit)
        self._announce({"event": "exit", "id": process.id, "exit": process.exit})
        if request is None and self._connections:
            # The daemon knows how the exec ended; a new one would not ask for it.
            self.processes.pop(process.id, None)
        self._rest()

    def _cgroup_path(self, id: str) -> str:
        """Return a container's cgroup path, "" for an exec and for a container without one."""
        request = self.requests.get(id)
        return request.cgroup_path if request else ""

    def run(self) -> None:
        """Serve until told to end; leave nothing."""
        self.spares.prepare()
        self.loop.run()
        self.spares.close()
        for process in list(self.processes.values()):
            process.close()
        self.leftovers.close()
        for connection in self._connections:
            connection.close()
        self._listener.close()
        self.loop.close()


def _write_atomically(path: str, document: Any) -> None:
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(document))  # json.dump writes token by token
    os.replace(temporary, path)


def main(listener_fd: int) -> None:
    """Become the keeper; `listener_fd` is a listening SOCK_SEQPACKET socket."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    syscalls.set_name("pydock-keeper")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    keeper = Keeper(socket.socket(fileno=listener_fd))
    # What is here now lives for ever; leaving it alone keeps children's copies of these pages shared.
    gc.collect()
    gc.freeze()
    keeper.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
