"""The engine's side of the keeper: launch, exec, attach, signal, wait; asyncio.

The keeper (keeper.py) is a small single-threaded process that the daemon execs
once. It forks containers and holds their pipes, ptys, logs and exit statuses.
It outlives a daemon that dies, and a new daemon connects to it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydock_lab.daemon.runtime import boot
from pydock_lab.daemon.runtime.cgroup_verbs import CgroupVerbs
from pydock_lab.daemon.runtime.channel import close_all, receive_message, send_message
from pydock_lab.daemon.runtime.failures import KeeperRefusal, launch_error
from pydock_lab.daemon.runtime.failures import LaunchError as LaunchError
from pydock_lab.daemon.runtime.request import ExecRequest, Exit, Launched, LaunchRequest, StepRecord, launch_fields
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Conflict, InvalidParameter, NotFound, SystemFailure, Unavailable

log = logging.getLogger("pydock.runtime")


@dataclass(frozen=True)
class Hold:
    """A client that gets nothing yet.

    Attributes:
        number: What `release` wants.
        position: Inode of the current log file and its size when the client was attached; None where nothing runs.
    """

    number: int
    position: tuple[int, int] | None


class Runtime(CgroupVerbs):
    """The containers of one daemon, by way of its keeper."""

    def __init__(self, exec_root: Path, trace: Trace) -> None:
        super().__init__()
        self.exec_root = exec_root
        self.trace = trace
        self._channel: socket.socket | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._sequence = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._exits: dict[str, asyncio.Future[Exit]] = {}
        self._owners: dict[str, str] = {}
        self._bundles: dict[str, str] = {}
        self._detached: dict[str, asyncio.Event] = {}
        self._awaited: set[str] = set()  # attached to before their launch
        self.on_detached: Callable[[str], None] = lambda process_id: None
        self._sending = asyncio.Lock()
        self._reviving = asyncio.Lock()
        self._lost = False

    # --- the keeper's life

    @property
    def socket_path(self) -> Path:
        """Where the keeper listens."""
        return self.exec_root / "keeper.sock"

    async def start(self) -> list[str]:
        """Start the keeper, or connect to one that a dead daemon left; return ids that still run."""
        self.exec_root.mkdir(parents=True, exist_ok=True)
        channel = boot.connect(self.socket_path)
        if channel is None:
            for bundle, ended in (await asyncio.to_thread(boot.sweep, self.exec_root, self._layout)).items():
                self._remember(bundle.name, bundle.name, 0)
                self._bundles[bundle.name] = str(bundle)
                self._exits[bundle.name].set_result(ended)
            channel, self._keeper = boot.spawn(self.exec_root, self.socket_path)
        channel.setblocking(False)
        self._channel = channel
        asyncio.get_running_loop().add_reader(channel.fileno(), self._on_readable)
        running = []
        for process in await self._request("hello"):
            self._remember(process["id"], process["container_id"], process["pid"])
            self._cgroup_paths[process["id"]] = process.get("cgroup", "")
            self._bundles[process["id"]] = process.get("bundle", "")
            if process["exit"] is not None:
                self._settle(process["id"], process["exit"])
            elif process["id"] == process["container_id"]:
                running.append(process["id"])
        return running

    async def close(self, *, stop_keeper: bool) -> None:
        """Let the keeper go; with `stop_keeper`, kill what still runs and end it."""
        self._lost = False
        if self._channel is None:
            return
        if stop_keeper:
            with contextlib.suppress(Unavailable):
                await self._request("stop")
        await self._hang_up(stop_keeper=stop_keeper)

    async def _hang_up(self, *, stop_keeper: bool) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel.fileno())
            if stop_keeper:
                # The keeper closes its end when it ends; it may still have cgroups to remove.
                await asyncio.to_thread(boot.wait_for_end, channel)
            channel.close()
        if self._keeper is not None and stop_keeper:
            await asyncio.to_thread(self._keeper.wait, 10)
            self.socket_path.unlink(missing_ok=True)
        elif self._keeper is not None:
            self._keeper.returncode = 0  # it lives on by design; nothing to warn about

    # --- processes

    async def launch(self, request: LaunchRequest) -> Launched:
        """Start a container's init process; return when the process has been exec'ed.

        Raises:
            LaunchError: a step failed; nothing of the container is left (mounts, links, cgroups).
                Its `exit_code` is 126 (can't be executed), 127 (not found) or 128 as Docker's.
        """
        self._cgroup_paths[request.id] = request.cgroup_path
        self._bundles[request.id] = request.bundle
        self._expect_exit(request.id, request.id)
        return await self._start("launch", request.id, launch_fields(request), "create failed: runc create failed")

    async def exec(self, request: ExecRequest) -> Launched:
        """Start a further process in a running container."""
        self._expect_exit(request.id, request.container_id)
        return await self._start("exec", request.id, vars(request), "exec failed: exec failed")

    async def _start(self, operation: str, id: str, fields: Mapping[str, Any], what_failed: str) -> Launched:
        try:
            result = await self._request(operation, request=fields)
        except KeeperRefusal as refusal:
            self._forget(id)
            raise launch_error(refusal.failure, what_failed) from None
        except BaseException:
            self._forget(id)
            raise
        steps = [StepRecord(**step) for step in result["steps"]]
        self._pids[id] = result["pid"]
        self._awaited.discard(id)
        self.trace.emit(
            "runtime",
            "process.launched" if operation == "exec" else "container.launched",
            id,
            pid=result["pid"],
            namespaces=result["namespaces"],
            steps=result["steps"],
            duration_ns=sum(step.duration_ns for step in steps),
        )
        return Launched(
            result["pid"],
            result["started_at_ns"],
            result["namespaces"],
            steps,
            result["warnings"],
            tuple(result.get("fds", ())),
        )

    async def wait(self, process_id: str) -> Exit:
        """Wait for a container or an exec to end (any number of waiters; also after it ended)."""
        exit_ = self._exits.get(process_id)
        if exit_ is None:
            raise NotFound(f"No such process: {process_id}")
        return await asyncio.shield(exit_)

    async def signal(self, process_id: str, signum: int) -> None:
        """Send a signal to the init process (or the exec'ed process)."""
        try:
            await self._request("signal", id=process_id, signum=signum)
        except KeeperRefusal:
            raise Conflict(f"process {process_id} is not running") from None

    async def attach(
        self,
        process_id: str,
        fd: int,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
        initial: bytes = b"",
        detach_keys: bytes = b"\x10\x11",
        held: bool = False,
    ) -> Hold:
        """Hand a connected stream socket to the keeper and return at once.

        May come before the launch (Docker's CLI attaches first): the keeper then keeps the client
        until the process starts. The keeper writes Docker's frames (8-byte header, stream 1 or 2)
        or, with `tty`, raw bytes; reads stdin from it, `initial` first; half-close of the client is
        EOF of stdin; when the process has ended and all output is sent, it shuts the socket down.
        The fd is duplicated; the caller closes its own copy.

        With `held` nothing is sent before `release`: the caller first sends what the log has up to
        the position that is returned, and no byte is lost or sent twice.
        """
        asked = (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))
        if process_id not in self._pids:
            self._awaited.add(process_id)
        answer = await self._request(
            "attach",
            [fd],
            id=process_id,
            wants=[name for name, wanted in asked if wanted],
            tty=tty,
            initial=initial.hex(),
            detach_keys=detach_keys.hex(),
            held=held,
        )
        position = answer["position"]
        return Hold(answer["hold"], (position[0], position[1]) if position else None)

    async def release(self, hold: Hold) -> None:
        """Let a held client have what was printed since it was attached."""
        await self._request("release", hold=hold.number)

    def detaches(self, process_id: str) -> asyncio.Event:
        """Return an event that is set when a client has left by its detach keys."""
        return self._detached.setdefault(process_id, asyncio.Event())

    async def detached(self, process_id: str) -> None:
        """Forget a process whose launch never came (create, attach, then rm)."""
        if process_id in self._awaited:
            self._awaited.remove(process_id)
            await self._request("detached", id=process_id)

    async def resize(self, process_id: str, rows: int, columns: int) -> None:
        """Set the size of the process's pty."""
        try:
            await self._request("resize", id=process_id, rows=rows, columns=columns)
        except KeeperRefusal:
            raise Conflict(f"cannot resize a stopped container: {process_id}") from None

    # --- files and links

    async def archive(
        self,
        operation: str,
        fd: int,
        request: LaunchRequest,
        *,
        pid: int | None,
        path: str,
        options: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Read, write or stat files of a container from inside its root, so that links can't escape.

        Args:
            operation: `get` (write a tar of `path` to fd), `put` (unpack a tar read from fd into the
                directory `path`), `stat` (nothing on fd), `export` (tar of the whole rootfs).
            fd: A pipe or socket; duplicated.
            request: The container's launch request (root overlay, mounts); used when it does not run.
            pid: Its init process when it runs, else None.
            path: Absolute inside the container.
            options: `{"no_overwrite_dir_non_dir": bool, "copy_uid_gid": bool}`.

        Returns:
            Docker's PathStat fields for get and stat:
            `{"name", "size", "mode", "mtime", "linkTarget"}`; empty for put and export.

        Raises:
            NotFound: `Could not find the file PATH in container ID`.
            InvalidParameter: a directory would be replaced by something else, or the other way round.
        """
        try:
            result: dict[str, object] = await self._request(
                "archive",
                [fd] if fd >= 0 else [],
                action=operation,
                request=launch_fields(request),
                pid=pid,
                path=path,
                options=options or {},
            )
        except KeeperRefusal as refusal:
            message, kind = str(refusal.failure["message"]), refusal.failure.get("kind")
            if kind == "not_found":
                raise NotFound(f"{message} {request.id}") from None
            raise (InvalidParameter if kind == "invalid" else SystemFailure)(message) from None
        return result

    async def connect(self, container_id: str, attachment: dict[str, object]) -> None:
        """Attach a running container to one more bridge (fields of request.Attachment)."""
        try:
            await self._request("connect", id=container_id, attachment=attachment)
        except KeeperRefusal as refusal:
            raise SystemFailure(refusal.failure["message"]) from None

    async def disconnect(self, container_id: str, ifname: str, routes: list[tuple[str, str]]) -> None:
        """Take a link out of a running container; afterwards its default routes are these (link, gateway)."""
        try:
            await self._request("disconnect", id=container_id, ifname=ifname, routes=routes)
        except KeeperRefusal as refusal:
            raise SystemFailure(refusal.failure["message"]) from None

    async def open_resolver(self, container_id: str, address: str) -> tuple[int, ...]:
        """Open a running container's sockets at `address` port 53, datagram and stream; the caller closes them."""
        try:
            result = await self._request("resolver", id=container_id, address=address)
        except KeeperRefusal as refusal:
            raise SystemFailure(refusal.failure["message"]) from None
        return tuple(result["fds"])

    async def delete(self, container_id: str) -> None:
        """Remove the bundle, cgroups and the keeper's memory of a container that has ended."""
        processes = [id for id, owner in self._owners.items() if owner == container_id]
        answer = await self._ask("delete", id=container_id)
        if processes == [container_id]:
            # Nothing is asked of it again before this is done; execs would have to end first.
            answer.add_done_callback(_retrieve)
        else:
            try:
                await answer
            except KeeperRefusal as refusal:
                raise Conflict(refusal.failure["message"]) from None
        for id in processes:
            self._forget(id)
        bundle = self._bundles.pop(container_id, "")
        self._cgroup_paths.pop(container_id, None)
        if bundle:
            boot.remove_bundle(bundle)

    # --- speaking with the keeper

    def _remember(self, id: str, owner: str, pid: int) -> None:
        self._expect_exit(id, owner)
        self._pids[id] = pid

    def _expect_exit(self, id: str, owner: str) -> None:
        self._exits[id] = asyncio.get_running_loop().create_future()
        self._owners[id] = owner

    def _forget(self, id: str) -> None:
        future = self._exits.pop(id, None)
        if future is not None and not future.done():
            future.cancel()
        for table in (self._owners, self._pids, self._detached):
            table.pop(id, None)

    def _settle(self, id: str, fields: Mapping[str, Any]) -> None:
        future = self._exits.get(id)
        if future is not None and not future.done():
            future.set_result(Exit(**fields))

    async def _request(self, operation: str, fds: Sequence[int] = (), **arguments: Any) -> Any:
        """Ask the keeper and return its result.

        Raises:
            KeeperRefusal: it could not.
            Unavailable: it is not there.
        """
        return await (await self._ask(operation, fds, **arguments))

    async def _ask(self, operation: str, fds: Sequence[int] = (), **arguments: Any) -> asyncio.Future[Any]:
        """Ask the keeper, which answers in the order of the questions; return the result to come."""
        if self._lost:
            await self._revive()
        if self._channel is None:
            raise Unavailable("the runtime's keeper process is not running")
        sequence = next(self._sequence)
        future = self._answers[sequence] = asyncio.get_running_loop().create_future()
        message = {"seq": sequence, "op": operation, **arguments}
        try:
            async with self._sending:
                while self._channel is not None:
                    try:
                        send_message(self._channel, message, fds)
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0.001)
        except BaseException as error:
            del self._answers[sequence]
            if isinstance(error, ConnectionError):
                raise Unavailable("the runtime's keeper process is gone") from None
            raise
        return future

    async def _revive(self) -> None:
        """Start another keeper in the place of one that has died, after what that one has left is gone."""
        async with self._reviving:
            if self._lost:
                if self._keeper is not None:
                    await asyncio.to_thread(self._keeper.wait)
                self._lost = False
                await self.start()

    def _on_readable(self) -> None:
        while self._channel is not None:
            try:
                message, fds = receive_message(self._channel)
            except BlockingIOError:
                return
            except OSError:
                message, fds = None, []
            if message is None:
                self._on_lost()
                return
            event = message.get("event")
            if event == "exit":
                self._settle(message["id"], message["exit"])
            elif event == "detached":
                self.detaches(message["id"]).set()
                self.on_detached(message["id"])
            else:
                future = self._answers.pop(message["seq"], None)
                if future is None or future.done():
                    close_all(fds)
                elif "error" in message:
                    future.set_exception(KeeperRefusal(message["error"]))
                else:
                    future.set_result({**message["result"], "fds": fds} if fds else message["result"])

    def _on_lost(self) -> None:
        """The keeper is gone, and with it every container's output."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._lost = True
        log.error("the keeper has ended, and every container with it; %s may say why", self.exec_root / "keeper.log")
        failure = Unavailable("the runtime's keeper process is gone")
        for future in [*self._answers.values(), *self._exits.values()]:
            if not future.done():
                future.set_exception(failure)
                future.exception()  # nobody may be waiting
        self._answers.clear()


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Take note of how a request went that nobody waits for."""
    if not answer.cancelled():
        answer.exception()
