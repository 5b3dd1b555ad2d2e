"""`/session` and `/grpc`: HTTP/1 ends here, and BuildKit's clients go on in gRPC; see buildkit/.

Of BuildKit nothing is imported before the first of them comes: a daemon that serves none starts without it.

Source: moby api/server/router/session, router/grpc; moby/buildkit session/manager.go for the headers.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

from aiohttp import web

from pydock_lab.daemon.api.hijack import Hijack
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.errors import InvalidParameter

if TYPE_CHECKING:
    from pydock_lab.daemon.buildkit.backend import Backend

_H2C = "h2c"
_HEADER = "X-Docker-Expose-Session-"


class BuildKit:
    """One engine's BuildKit, built when it is first asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @cached_property
    def backend(self) -> Backend:
        """The way in."""
        from pydock_lab.daemon.buildkit.backend import Backend
        from pydock_lab.daemon.buildkit.controller import Controller

        engine = self._engine
        return Backend(Controller(engine.builder, engine.images.resolve_or_pull, engine.layers))

    async def close(self, app: web.Application) -> None:
        """Let the clients go: the daemon stops."""
        if "backend" in vars(self):
            self.backend.close()


BUILDKIT = web.AppKey("buildkit", BuildKit)
"""Where the application keeps it."""


def routes(engine: Engine) -> list[web.RouteDef]:
    """Return the routes of this noun."""
    return [web.post("/grpc", post_grpc), web.post("/session", post_session)]


async def post_grpc(request: web.Request) -> web.StreamResponse:
    """Serve BuildKit's control and gateway services on this connection."""
    with Hijack(request) as client:
        await request.app[BUILDKIT].backend.serve(*await _upgraded(request, client))
        return client.response()


async def post_session(request: web.Request) -> web.StreamResponse:
    """Keep this connection: its client serves files and secrets on it."""
    headers = request.headers
    with Hijack(request) as client:
        reader, writer = await _upgraded(request, client)
        await request.app[BUILDKIT].backend.hold(
            reader,
            writer,
            session_id=headers.get(f"{_HEADER}Uuid", ""),
            shared_key=headers.get(f"{_HEADER}Sharedkey", ""),
            methods=frozenset(headers.getall(f"{_HEADER}Grpc-Method", [])),
        )
        return client.response()


async def _upgraded(request: web.Request, client: Hijack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Answer the upgrade. Raises InvalidParameter where the client does not ask for HTTP/2."""
    wanted = request.headers.get("Upgrade", "")
    if not wanted:
        raise InvalidParameter("no upgrade header")
    if wanted.lower() != _H2C:
        raise InvalidParameter(f"protocol {wanted} is not supported")
    client.hold()
    return await client.upgrade(_H2C)
