"""The life of a container between create and remove: start, signals, its end, and what follows.

`start` and the end of a process hold the container's lock, so they never
overlap; `stop` and `kill` only send signals and wait, as Docker's do.
Source: moby daemon/{start,stop,kill,pause,monitor}.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine

from pydock_lab.daemon.engine.containers import signals, sources
from pydock_lab.daemon.engine.containers.history import ContainerHistory
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.networking import Networking
from pydock_lab.daemon.engine.containers.record import Container, State, Status
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.health import watch_health
from pydock_lab.daemon.engine.restart import RestartPolicy
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import Exit, Launched
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Conflict, InvalidParameter, LabError, NotModified, SystemFailure, Unavailable

log = logging.getLogger("pydock.containers")

_DEFAULT_STOP_TIMEOUT_S = 10
_KILL_PATIENCE_S = 10.0
_KILLED = 128 + signal.SIGKILL

ExecInContainer = Callable[[Container, list[str], float], Awaitable[tuple[int, str]]]
Remove = Callable[[Container], Coroutine[None, None, None]]


class Lifecycle:
    """The verbs that change whether a container runs."""

    def __init__(
        self,
        table: ContainerTable,
        launcher: Launcher,
        networking: Networking,
        runtime: Runtime,
        events: Events,
        trace: Trace,
        history: ContainerHistory,
        auto_remove: Remove,
    ) -> None:
        self._table = table
        self._launcher = launcher
        self._networking = networking
        self._runtime = runtime
        self._events = events
        self._trace = trace
        self._history = history
        self._auto_remove = auto_remove
        self._policies: dict[str, RestartPolicy] = {}
        self.probe: ExecInContainer | None = None
        self.shutting_down = False

    async def start(self, container: Container) -> None:
        """Start a container that does not run.

        Raises:
            NotModified: it runs already.
            Conflict: it is paused or being removed.
            InvalidParameter: its command can't be executed (the message tells 126 from 127).
        """
        async with container.lock:
            state = container.state
            if state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead")
            if state.running or state.status == "restarting":
                raise NotModified("container already started")
            if state.status in ("removing", "dead") or not self._table.holds(container):
                raise Conflict("container is marked for removal and cannot be started")
            container.record.stopped_by_hand = False
            container.record.restart_count = 0
            self._policies.pop(container.id, None)
            await self._launch(container)

    async def stop(self, container: Container, *, signum: str | None = None, timeout_s: int | None = None) -> None:
        """Ask the process to end, then make it.

        Args:
            container: Any.
            signum: Name or number; None for the container's own stop signal.
            timeout_s: Seconds to wait before SIGKILL, -1 for ever, None for the container's own.

        Raises:
            NotModified: it does not run.
        """
        restarting = container.state.status == "restarting"
        container.record.stopped_by_hand = not self.shutting_down
        await self._cancel_restart(container)
        if not container.state.running:
            if restarting:
                return
            raise NotModified("container already stopped")
        number = signals.parse(signum or container.record.config.get("StopSignal") or "SIGTERM")
        if timeout_s is None:
            timeout_s = container.record.config.get("StopTimeout", _DEFAULT_STOP_TIMEOUT_S)
        end = container.next_exit()
        if signals.can_be_sent(number):
            await self._send(container, number)
        else:
            timeout_s = 0
        try:
            await asyncio.wait_for(asyncio.shield(end), None if timeout_s < 0 else timeout_s)
        except asyncio.TimeoutError:
            await self._kill_and_wait(container, end)
        self._publish(container, "stop")

    async def kill(self, container: Container, signum: str | None) -> None:
        """Send a signal; SIGKILL is waited for.

        Raises:
            Conflict: it does not run.
        """
        number = signals.parse(signum or "SIGKILL")
        if not signals.can_be_sent(number):
            raise InvalidParameter(
                f"cannot kill container: {container.name}: the linux daemon does not support signal {number}"
            )
        if container.state.status == "restarting":
            # Between two starts it counts as running, and a kill ends the trying.
            container.record.stopped_by_hand = True
            await self._cancel_restart(container)
            if not container.state.running:
                return
        if not container.state.running:
            raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
        if number in (signal.SIGKILL, signals.parse(container.record.config.get("StopSignal") or "SIGTERM")):
            container.record.stopped_by_hand = True
        if number == signal.SIGKILL:
            await self._kill_and_wait(container, container.next_exit())
        else:
            await self._send(container, number)

    async def restart(self, container: Container, *, signum: str | None, timeout_s: int | None) -> None:
        """Stop a container if it runs, and start it."""
        # With --rm it must not vanish between its end and its new start.
        container.held = True
        try:
            with contextlib.suppress(NotModified):
                await self.stop(container, signum=signum, timeout_s=timeout_s)
            await self.start(container)
        finally:
            container.held = False
        self._publish(container, "restart")

    async def pause(self, container: Container) -> None:
        """Freeze every process. Raises Conflict."""
        async with container.lock:
            container.check_running()
            if container.state.status == "paused":
                raise Conflict(f"Container {container.id} is already paused")
            await self._runtime.pause(container.id)
            self._set_status(container, "paused", "pause")

    async def unpause(self, container: Container) -> None:
        """Thaw a paused container. Raises Conflict."""
        async with container.lock:
            if container.state.status != "paused":
                raise Conflict(f"Container {container.id} is not paused")
            await self._runtime.resume(container.id)
            self._set_status(container, "running", "unpause")

    async def end(self, container: Container) -> None:
        """Kill whatever runs of a container that is being removed, and restart nothing."""
        container.record.stopped_by_hand = True
        await self._cancel_restart(container)
        if container.state.running:
            await self._kill_and_wait(container, container.next_exit())

    def adopt(self, container: Container) -> None:
        """Watch a container that an earlier daemon started and that still runs."""
        container.monitor = asyncio.create_task(self._watch(container), name=f"monitor {container.id[:12]}")
        self._watch_health(container)

    def schedule(self, container: Container, delay_s: float) -> None:
        """Start a container after a while, unless somebody stops it before."""
        container.state.status = "restarting"
        container.restart = asyncio.create_task(self._restart_later(container, delay_s))

    def forget_policy(self, container: Container) -> None:
        """Read the restart policy anew (it was updated)."""
        self._policies.pop(container.id, None)

    async def close(self) -> None:
        """Stop watching; containers may live on."""
        for container in self._table:
            for task in (container.restart, container.health, container.monitor):
                if task is not None:
                    task.cancel()

    async def _launch(self, container: Container) -> None:
        record = container.record
        try:
            for point in record.mounts:
                sources.resolve(point)
            self._launcher.share_names(container)
            attachments = await self._networking.connect(container)
            self._networking.write_files(container, self._launcher.directory(container.id))
            request = self._launcher.request(container, attachments)
            launched = await self._runtime.launch(request)
            self._networking.serve_names(container, launched.resolver)
            self._publish_volumes(container, "mount")
        except BaseException as error:
            await self._launch_failed(container, error)
            raise
        container.process = request.config["process"]
        self._running(container, launched)
        self._networking.tell_linked(container, self._launcher.directory)

    def _running(self, container: Container, launched: Launched) -> None:
        container.record.state = State(status="running", pid=launched.pid, started_at_ns=launched.started_at_ns,
                                       finished_at_ns=container.state.finished_at_ns)  # fmt: skip
        container.record.warnings = list(launched.warnings)
        container.namespaces = launched.namespaces
        # First of all: its end must be seen even if what follows fails.
        container.monitor = asyncio.create_task(self._watch(container), name=f"monitor {container.id[:12]}")
        self._table.save(container)
        self._history.note(container.id)
        self._publish(container, "start")
        self._watch_health(container)

    async def _launch_failed(self, container: Container, error: BaseException) -> None:
        await self._networking.disconnect(container)
        state = container.state
        state.exit_code = getattr(error, "exit_code", 128)
        state.error = error.message if isinstance(error, LabError) else str(error)
        if state.status == "restarting":
            state.status = "exited"
        self._table.save(container)
        if container.record.host_config["AutoRemove"]:
            asyncio.get_running_loop().call_soon(self._spawn_auto_remove, container)

    async def _watch(self, container: Container) -> None:
        """Wait for the end of the process and do what follows from it."""
        try:
            end = await self._runtime.wait(container.id)
        except Unavailable:
            # The keeper has died, and every container with it.
            end = Exit(code=_KILLED, signal=signal.SIGKILL, oom_killed=False, finished_at_ns=time.time_ns())
        async with container.lock:
            delay_s = await self._ended(container, end)
        if delay_s is not None:
            self.schedule(container, delay_s)
        container.ended()
        if container.record.host_config["AutoRemove"] and not container.held and delay_s is None:
            await self._auto_remove(container)

    async def _ended(self, container: Container, end: Exit) -> float | None:
        record, state = container.record, container.state
        if container.health is not None:
            container.health.cancel()
        ran_s = (end.finished_at_ns - state.started_at_ns) / 1e9
        state.status, state.pid = "exited", 0
        state.exit_code, state.oom_killed, state.finished_at_ns = end.code, end.oom_killed, end.finished_at_ns
        self._trace.emit(
            "engine", "container.ended", container.id, exit_code=end.code, signal=end.signal, oom_killed=end.oom_killed
        )
        self._history.note(container.id)
        if end.oom_killed:
            self._publish(container, "oom")
        self._publish(container, "die", exitCode=str(end.code), execDuration=str(int(ran_s)))
        await self._networking.disconnect(container)
        self._publish_volumes(container, "unmount")
        with contextlib.suppress(Unavailable):
            await self._runtime.delete(container.id)
        policy = self._policies.setdefault(container.id, RestartPolicy(record.host_config["RestartPolicy"]))
        delay_s = policy.delay_after(
            end.code, ran_s, record.restart_count, stopped_by_hand=record.stopped_by_hand or self.shutting_down
        )
        if delay_s is not None:
            record.restart_count += 1
            state.status = "restarting"
        self._table.save(container)
        return delay_s

    async def _restart_later(self, container: Container, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        async with container.lock:
            container.restart = None
            if container.state.status != "restarting":
                return
            try:
                await self._launch(container)
            except LabError as error:
                log.warning("restart of %s failed: %s", container.name, error.message)

    async def _cancel_restart(self, container: Container) -> None:
        task, container.restart = container.restart, None
        if task is None:
            return
        async with container.lock:
            task.cancel()
            if container.state.status == "restarting":
                container.state.status = "exited"
                self._table.save(container)

    async def _send(self, container: Container, signum: int) -> None:
        paused = container.state.status == "paused"
        # It may have ended this moment; what follows from that is under way.
        with contextlib.suppress(Conflict):
            await self._runtime.signal(container.id, signum)
        self._publish(container, "kill", signal=str(signum))
        if paused:
            # A frozen process can't take a signal: Docker thaws it for that.
            async with container.lock:
                if container.state.status == "paused":
                    await self._runtime.resume(container.id)
                    container.state.status = "running"

    async def _kill_and_wait(self, container: Container, end: asyncio.Future[int]) -> None:
        await self._send(container, signal.SIGKILL)
        try:
            await asyncio.wait_for(asyncio.shield(end), _KILL_PATIENCE_S)
        except asyncio.TimeoutError:
            raise SystemFailure(
                f"cannot kill container: {container.name}: tried to kill container, but did not receive an exit event"
            ) from None

    def _set_status(self, container: Container, status: Status, action: str) -> None:
        container.state.status = status
        self._table.save(container)
        self._publish(container, action)

    def _spawn_auto_remove(self, container: Container) -> None:
        container.monitor = asyncio.create_task(self._auto_remove(container))

    def _watch_health(self, container: Container) -> None:
        check = container.record.config.get("Healthcheck") or {}
        if self.probe is not None and check.get("Test") and check["Test"][0] != "NONE":
            container.health = asyncio.create_task(watch_health(container, check, self.probe, self._health_changed))

    def _health_changed(self, container: Container, status: str) -> None:
        self._table.save(container)
        self._publish(container, f"health_status: {status}")

    def _publish_volumes(self, container: Container, action: str) -> None:
        for point in container.record.mounts:
            if point.type == "volume":
                attributes = {"container": container.id, "driver": point.driver}
                if action == "mount":
                    attributes |= {"destination": point.destination, "propagation": point.propagation}
                    attributes["read/write"] = str(point.rw).lower()
                self._events.publish("volume", action, point.name, attributes)

    def _publish(self, container: Container, action: str, **attributes: str) -> None:
        self._events.publish("container", action, container.id, {**container.event_attributes(), **attributes})
