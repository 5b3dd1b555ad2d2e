"""`/exec`: further processes in running containers.

Source: Docker Engine API 1.47, Exec; moby api/server/router/container/exec.go.
"""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from pydock_lab.daemon.api import hijack
from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.containers import terminal_size
from pydock_lab.daemon.api.detachkeys import parse_detach_keys
from pydock_lab.daemon.api.query import json_body, to_end
from pydock_lab.daemon.api.router import requested_version
from pydock_lab.daemon.engine import bodies, execs
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.execs import Streams
from pydock_lab.errors import InvalidParameter, LabError


class StartBody(TypedDict, total=False):
    """The body of `POST /exec/{id}/start`."""

    Detach: bool
    Tty: bool
    ConsoleSize: list[int] | None


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    h = _Exec(engine)
    return [
        web.post("/containers/{name}/exec", h.post_create),
        web.post("/exec/{id}/start", h.post_start),
        web.post("/exec/{id}/resize", h.post_resize),
        web.get("/exec/{id}/json", h.get_inspect, allow_head=False),
    ]


class _Exec:
    def __init__(self, engine: Engine) -> None:
        self._execs = engine.execs

    async def post_create(self, request: web.Request) -> web.StreamResponse:
        """Prepare a process; 201 with its id."""
        body = await json_body(request)
        config = bodies.read(body, execs.ExecConfig)
        try:
            parse_detach_keys(config.get("DetachKeys") or "")
        except InvalidParameter:
            raise InvalidParameter(f"Invalid escape keys ({config['DetachKeys']}) provided") from None
        process = self._execs.create(request.match_info["name"], config)
        return json_response({"Id": process.id}, status=201)

    async def post_start(self, request: web.Request) -> web.StreamResponse:
        """Run it: detached, or with the request's connection as its streams."""
        with hijack.Hijack(request) as client:
            return await self._start(request, client)

    async def _start(self, request: web.Request, client: hijack.Hijack) -> web.StreamResponse:
        body = bodies.read(await json_body(request) or b"{}", StartBody)
        process = self._execs.get(request.match_info["id"])
        given = body.get("ConsoleSize") or process.config.get("ConsoleSize") or []
        size = (given[0], given[1]) if len(given) == 2 else None
        if body.get("Detach"):
            await to_end(self._execs.start(process, None, size=size))
            return web.Response(status=200)
        client.hold()
        self._execs.check_container(process)
        # Started before, it says so on the stream, as dockerd does: Compose 2 starts each of its execs twice.
        again = process.started
        keys = parse_detach_keys(process.config.get("DetachKeys") or "")
        # Framed or not is for whoever starts it to say, whatever it was created with (moby exec_routes.go).
        raw = body.get("Tty", False)
        await client.accept(hijack.content_type(raw, requested_version(request)))
        try:
            await to_end(self._execs.start(process, Streams(client.fd, client.early, keys, raw), size=size))
        except LabError as error:
            await client.fail(error.message, tty=raw)
            if not again:
                await self._execs.abandon(process)
        return client.response()

    async def post_resize(self, request: web.Request) -> web.StreamResponse:
        """Set the size of its terminal."""
        rows, columns = terminal_size(request)
        await self._execs.resize(self._execs.get(request.match_info["id"]), rows, columns)
        return web.Response(status=200)

    async def get_inspect(self, request: web.Request) -> web.StreamResponse:
        """Its state and exit status."""
        return json_response(self._execs.inspect(self._execs.get(request.match_info["id"])))
