"""Execs: further processes in running containers. They are not remembered across daemons.

Source: moby daemon/exec.go; Docker Engine API 1.47, Exec.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import Any, TypedDict

from pydock_lab.daemon.engine.containers.containers import Containers
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import ExecRequest
from pydock_lab.errors import Conflict, InvalidParameter, LabError, NotFound, SystemFailure
from pydock_lab.spec.ids import fresh_id


class ExecConfig(TypedDict, total=False):
    """The body of `POST /containers/{id}/exec`."""

    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    ConsoleSize: list[int] | None
    DetachKeys: str
    Tty: bool
    Env: list[str] | None
    Cmd: list[str] | None
    Privileged: bool
    User: str
    WorkingDir: str


_ENDED_KEPT = 100
_START_PATIENCE_S = 10.0


@dataclass
class Exec:
    """One exec of one container.

    Attributes:
        process: OCI process.
        ready: It has been started, or could not be.
        exit_code: None until it has ended.
    """

    id: str
    container: Container
    config: ExecConfig
    command: list[str]
    pid: int = 0
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Task[None] | None = None

    @property
    def title(self) -> str:
        """What events call it: the program, a space, its arguments."""
        return f"{self.command[0]} {' '.join(self.command[1:])}"

    @property
    def tty(self) -> bool:
        """Its output is one raw stream."""
        return self.config.get("Tty", False)


@dataclass(frozen=True)
class Streams:
    """The client that an exec is attached to.

    Args:
        fd: Connected socket.
        initial: What the client sent already.
        detach_keys: Key sequence that detaches.
        raw: Output goes without frames, as clients with a terminal take it.
    """

    fd: int
    initial: bytes = b""
    detach_keys: bytes = b"\x10\x11"
    raw: bool = False


class Execs:
    """All execs of one daemon; used from the event loop only."""

    def __init__(self, containers: Containers, runtime: Runtime, events: Events) -> None:
        self._containers = containers
        self._runtime = runtime
        self._events = events
        self._execs: dict[str, Exec] = {}
        containers.lifecycle.probe = self.run
        runtime.on_detached = self._client_detached

    def create(self, called: str, config: ExecConfig) -> Exec:
        """Prepare a process in the container of that name or id.

        Raises:
            NotFound: there is no such container.
            Conflict: it does not run, or is paused.
            InvalidParameter: no command.
        """
        return self._add(self._containers.get(called), config, called)

    def get(self, exec_id: str) -> Exec:
        """Find by full id. Raises NotFound `No such exec instance: …`."""
        found = self._execs.get(exec_id)
        if found is None or not self._containers.table.holds(found.container):
            raise NotFound(f"No such exec instance: {exec_id}")
        return found

    async def start(self, process: Exec, streams: Streams | None, *, size: tuple[int, int] | None = None) -> None:
        """Start a prepared process, attached to a client or on its own.

        When it fails, the client is still there to be told; `abandon` lets it go.

        Raises:
            Conflict: it was started before, or the container does not run.
            InvalidParameter: the command can't be executed (the message tells 126 from 127).
        """
        container, config = process.container, process.config
        self._check_startable(process)
        process.started = process.running = True
        if streams is not None:
            await self._attach(process, streams)
        self._publish(process, f"exec_start: {process.title}")
        try:
            request = ExecRequest(
                id=process.id,
                container_id=container.id,
                process=self._oci_process(process),
                stdin_open=streams is not None and config.get("AttachStdin", False),
                privileged=config.get("Privileged", False),
                console_size=size,
            )
            launched = await self._runtime.exec(request)
        except LabError as error:
            process.running = False
            process.ready.set()
            # An exec that can't start is 126 or 127; 125 is for containers (moby daemon/exec.go).
            process.exit_code = 127 if getattr(error, "exit_code", 126) == 127 else 126
            process.ended.set()
            self._forget_in_container(process)
            raise
        process.pid = launched.pid
        process.ready.set()
        process.watch = asyncio.create_task(self._watch(process), name=f"exec {process.id[:12]}")

    async def abandon(self, process: Exec) -> None:
        """Let the client go of a process that could not be started."""
        await self._runtime.detached(process.id)

    def check_container(self, process: Exec) -> None:
        """Refuse to start it in a container that does not run. Raises Conflict."""
        self._check_running(process.container)

    def _check_startable(self, process: Exec) -> None:
        if process.started:
            state = "is already running" if process.running else "has already run"
            raise Conflict(f"Error: Exec command {process.id} {state}")
        self._check_running(process.container)

    async def resize(self, process: Exec, rows: int, columns: int) -> None:
        """Set the size of its terminal, as soon as it has one: clients ask while it is being started.

        Raises:
            Conflict: it has ended.
            SystemFailure: nobody starts it.
        """
        try:
            await asyncio.wait_for(process.ready.wait(), _START_PATIENCE_S)
        except asyncio.TimeoutError:
            raise SystemFailure("timeout waiting for exec session ready") from None
        if not process.running:
            raise Conflict(f"cannot resize a stopped container: exec {process.id} is not running")
        await self._runtime.resize(process.id, rows, columns)

    def inspect(self, process: Exec) -> dict[str, Any]:
        """Return Docker's document."""
        config = process.config
        return {
            "ID": process.id,
            "Running": process.running,
            "ExitCode": process.exit_code,
            "ProcessConfig": {
                "tty": process.tty,
                "entrypoint": process.command[0],
                "arguments": process.command[1:],
                "privileged": config.get("Privileged", False),
                **({"user": config["User"]} if config.get("User") else {}),
            },
            "OpenStdin": config.get("AttachStdin", False),
            "OpenStderr": config.get("AttachStderr", False),
            "OpenStdout": config.get("AttachStdout", False),
            "CanRemove": process.exit_code is not None,
            "ContainerID": process.container.id,
            "DetachKeys": "",
            "Pid": process.pid,
        }

    async def run(self, container: Container, command: list[str], timeout_s: float) -> tuple[int, str]:
        """Run a command to its end and return its status and output (health checks).

        Raises:
            asyncio.TimeoutError: it did not end in time; it has been killed.
        """
        process = self._add(container, {"Cmd": command, "AttachStdout": True, "AttachStderr": True, "Tty": False})
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                await self.start(process, Streams(theirs.fileno()))
            output = asyncio.create_task(_read_frames(ours))
            try:
                await asyncio.wait_for(process.ended.wait(), timeout_s)
            except asyncio.TimeoutError:
                output.cancel()
                with contextlib.suppress(LabError):
                    await self._runtime.signal(process.id, 9)
                raise
            return process.exit_code or 0, (await output).decode(errors="replace")
        finally:
            ours.close()

    def _add(self, container: Container, config: ExecConfig, called: str = "") -> Exec:
        self._check_running(container, called)
        words = list(config.get("Cmd") or [])
        if not words:
            raise InvalidParameter("No exec command specified")
        self._drop_ended()
        process = Exec(fresh_id(), container, config, words)
        self._execs[process.id] = process
        container.exec_ids.append(process.id)
        self._publish(process, f"exec_create: {process.title}")
        return process

    async def _attach(self, process: Exec, streams: Streams) -> None:
        config = process.config
        await self._runtime.attach(
            process.id,
            streams.fd,
            stdin=config.get("AttachStdin", False),
            stdout=config.get("AttachStdout", False),
            stderr=config.get("AttachStderr", False),
            tty=streams.raw,
            initial=streams.initial,
            detach_keys=streams.detach_keys,
        )

    def _oci_process(self, process: Exec) -> dict[str, Any]:
        config = process.config
        if config.get("WorkingDir") and not config["WorkingDir"].startswith("/"):
            raise InvalidParameter(
                "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown",
                hint="a working directory begins with a slash",
            )
        init = process.container.process
        return oci.exec_process(
            self._containers.launcher.request(process.container, []).config if init is None else {"process": init},
            process.command,
            env=config.get("Env") or [],
            cwd=config.get("WorkingDir", ""),
            user=config.get("User") or None,
            tty=process.tty,
            privileged=config.get("Privileged", False),
        )

    async def _watch(self, process: Exec) -> None:
        end = await self._runtime.wait(process.id)
        process.running, process.exit_code = False, end.code
        process.ended.set()
        self._forget_in_container(process)
        self._publish(process, "exec_die", exitCode=str(end.code))

    def _client_detached(self, process_id: str) -> None:
        """A client has left by its detach keys, an exec or a container."""
        if process := self._execs.get(process_id):
            self._publish(process, "exec_detach")
            return
        with contextlib.suppress(NotFound):
            container = self._containers.get(process_id)
            self._events.publish("container", "detach", container.id, container.event_attributes())

    def _forget_in_container(self, process: Exec) -> None:
        with contextlib.suppress(ValueError):
            process.container.exec_ids.remove(process.id)

    def _drop_ended(self) -> None:
        """Forget old execs and those of removed containers; clients inspect one soon after its end."""
        ended = [e for e in self._execs.values() if e.exit_code is not None]
        gone = [e for e in ended if not self._containers.table.holds(e.container)]
        for process in {e.id: e for e in (*gone, *ended[:-_ENDED_KEPT])}.values():
            del self._execs[process.id]

    @staticmethod
    def _check_running(container: Container, called: str = "") -> None:
        if container.state.status == "paused":
            raise Conflict(f"Container {called or container.id} is paused, unpause the container before exec")
        container.check_running()

    def _publish(self, process: Exec, action: str, **attributes: str) -> None:
        container = process.container
        self._events.publish(
            "container",
            action,
            container.id,
            {**container.event_attributes(), "execID": process.id, **attributes},
        )


async def _read_frames(connection: socket.socket) -> bytes:
    """Read Docker's frames to the end and return what they carry."""
    reader, writer = await asyncio.open_connection(sock=connection.dup())
    output = b""
    try:
        while True:
            header = await reader.readexactly(8)
            output += await reader.readexactly(int.from_bytes(header[4:], "big"))
    except asyncio.IncompleteReadError:
        return output
    finally:
        writer.close()
