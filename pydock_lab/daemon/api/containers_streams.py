"""The streams of a container: attach, logs, wait, stats.

Source: Docker Engine API 1.47, ContainerAttach, ContainerLogs, ContainerWait, ContainerStats.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import msgspec
from aiohttp import web

from pydock_lab.daemon.api import hijack, websocket
from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.detachkeys import parse_detach_keys
from pydock_lab.daemon.api.query import flag, moment_ns, number, to_end
from pydock_lab.daemon.api.router import requested_version
from pydock_lab.daemon.engine.containers.logs import LogQuery, read_logs
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.containers.stats import read_stats
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.runtime.client import Hold
from pydock_lab.errors import Conflict, InvalidParameter, LabError, NotImplementedYet

_FIRST_WORDS_S = 0.05
_CONDITIONS = ("", "not-running", "next-exit", "removed")


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    h = _Streams(engine)
    return [
        web.post("/containers/{name}/attach", h.post_attach),
        web.get("/containers/{name}/attach/ws", h.get_attach_websocket, allow_head=False),
        web.get("/containers/{name}/logs", h.get_logs, allow_head=False),
        web.post("/containers/{name}/wait", h.post_wait),
        web.get("/containers/{name}/stats", h.get_stats, allow_head=False),
    ]


class _Streams:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._containers = engine.containers

    async def post_attach(self, request: web.Request) -> web.StreamResponse:
        """`docker attach`, and the first thing `docker run` does."""
        try:
            return await self._attach(request)
        except LabError as error:
            # Text, as in dockerd, which has the connection by now.
            return web.Response(body=f"{error.message}\r\n", status=error.status, content_type=hijack.RAW)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        with hijack.Hijack(request) as client:
            client.hold()
            container = self._containers.get(request.match_info["name"])
            keys = parse_detach_keys(request.query.get("detachKeys", ""))
            self._check_attachable(container, request.match_info["name"])
            # Told first: with the answer in hand the client starts the container.
            self._engine.events.publish("container", "attach", container.id, container.event_attributes())
            await client.accept(hijack.content_type(container.tty, requested_version(request)))
            hold = None
            # Who asks for nothing has it all at once.
            if flag(request, "stream") and any(flag(request, name) for name in ("stdin", "stdout", "stderr")):
                hold = await to_end(
                    self._engine.runtime.attach(
                        container.id,
                        client.fd,
                        stdin=flag(request, "stdin") and bool(container.record.config["OpenStdin"]),
                        stdout=flag(request, "stdout"),
                        stderr=flag(request, "stderr"),
                        tty=container.tty,
                        initial=client.early,
                        detach_keys=keys,
                        held=flag(request, "logs"),
                    )
                )
            if flag(request, "logs"):
                if hold is None:
                    await _first_words(container)
                # The log first, up to where the attachment began; then what has come meanwhile.
                try:
                    await self._replay(container, client, request, hold)
                finally:
                    if hold is not None:
                        await to_end(self._engine.runtime.release(hold))
            return client.response()

    async def get_attach_websocket(self, request: web.Request) -> web.StreamResponse:
        """Attach through a WebSocket, as browsers do: raw bytes both ways, without frames of Docker's own."""
        container = self._containers.get(request.match_info["name"])
        self._check_attachable(container, request.match_info["name"])
        keys = parse_detach_keys(request.query.get("detachKeys", ""))
        response = web.WebSocketResponse()
        await response.prepare(request)
        self._engine.events.publish("container", "attach", container.id, container.event_attributes())
        ours, theirs = socket.socketpair()
        with theirs:
            await to_end(
                self._engine.runtime.attach(
                    container.id,
                    theirs.fileno(),
                    stdin=flag(request, "stdin") and bool(container.record.config["OpenStdin"]),
                    stdout=flag(request, "stdout"),
                    stderr=flag(request, "stderr"),
                    tty=True,
                    detach_keys=keys,
                )
            )
        await websocket.relay(response, ours)
        return response

    async def get_logs(self, request: web.Request) -> web.StreamResponse:
        """`docker logs`."""
        container = self._containers.get(request.match_info["name"])
        query = _log_query(request, container)
        if container.record.host_config["LogConfig"]["Type"] == "none":
            raise NotImplementedYet("configured logging driver does not support reading")
        response = web.StreamResponse(
            headers={"Content-Type": hijack.content_type(container.tty, requested_version(request))}
        )
        await response.prepare(request)
        if not query.follow:
            await _first_words(container)
        path = self._containers.launcher.log_path(container.id)
        async for chunk in read_logs(container, path, query, self._containers.log_watch):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def post_wait(self, request: web.Request) -> web.StreamResponse:
        """`docker wait`: the header at once (clients start the container after it), the status at the end."""
        container = self._containers.get(request.match_info["name"])
        condition = request.query.get("condition", "")
        if condition not in _CONDITIONS:
            raise InvalidParameter(f'invalid condition: "{condition}"')
        end = _condition(container, condition)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        # An empty write makes aiohttp send the header now.
        await response.write(b"")
        answer: dict[str, Any] = {"StatusCode": await end if end is not None else container.state.exit_code}
        if container.state.error and condition != "removed" and not container.state.running:
            answer["Error"] = {"Message": container.state.error}
        await response.write(msgspec.json.encode(answer) + b"\n")
        await response.write_eof()
        return response

    async def get_stats(self, request: web.Request) -> web.StreamResponse:
        """`docker stats`: one document, or one a second until the client goes."""
        container = self._containers.get(request.match_info["name"])
        stream, one_shot = flag(request, "stream", True), flag(request, "one-shot")
        document = await read_stats(self._engine.runtime, container, None)
        if not stream:
            if not one_shot and container.state.running:
                await asyncio.sleep(1)
                document = await read_stats(self._engine.runtime, container, document)
            return json_response(document)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(msgspec.json.encode(document) + b"\n")
        while self._containers.table.holds(container):
            await asyncio.sleep(1)
            document = await read_stats(self._engine.runtime, container, document)
            await response.write(msgspec.json.encode(document) + b"\n")
        await response.write_eof()
        return response

    @staticmethod
    def _check_attachable(container: Container, name: str) -> None:
        if container.state.status == "paused":
            raise Conflict(f"container {name} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise Conflict(f"container {name} is restarting, wait until the container is running")

    async def _replay(
        self, container: Container, client: hijack.Hijack, request: web.Request, hold: Hold | None
    ) -> None:
        """Write what the container printed so far (`logs=1`)."""
        query = LogQuery(
            stdout=flag(request, "stdout"),
            stderr=flag(request, "stderr"),
            tty=container.tty,
            end=hold.position if hold else None,
        )
        path = self._containers.launcher.log_path(container.id)
        async for chunk in read_logs(container, path, query, self._containers.log_watch):
            await client.send(chunk)


async def _first_words(container: Container) -> None:
    """Give a container that has only just started the time to say something, or to end.

    Clients ask for the logs of a short command right after its start. dockerd's start takes so long that they find
    them; ours is over before the process has run at all.
    """
    left_s = _FIRST_WORDS_S - (time.time_ns() - container.state.started_at_ns) / 1e9
    if container.state.running and 0 < left_s <= _FIRST_WORDS_S:
        end = container.next_exit()
        await asyncio.wait((end,), timeout=left_s)
        end.cancel()


def _condition(container: Container, condition: str) -> asyncio.Future[int] | None:
    """Return a future of the status, or None where the condition holds already."""
    if condition == "removed":
        return container.removal()
    if condition == "next-exit":
        return container.next_exit()
    active = container.state.running or container.state.status == "restarting"
    return container.next_exit() if active else None


def _log_query(request: web.Request, container: Container) -> LogQuery:
    stdout, stderr = flag(request, "stdout"), flag(request, "stderr")
    if not (stdout or stderr):
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    tail = request.query.get("tail", "all")
    return LogQuery(
        stdout=stdout,
        stderr=stderr,
        since_ns=moment_ns(request, "since") or 0,
        until_ns=moment_ns(request, "until") or 0,
        tail=number(request, "tail", -1) if tail.lstrip("-").isdigit() else -1,
        follow=flag(request, "follow"),
        timestamps=flag(request, "timestamps"),
        details=flag(request, "details"),
        tty=container.tty,
    )
