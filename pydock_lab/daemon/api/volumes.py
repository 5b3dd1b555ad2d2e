"""`/volumes`: list, create, inspect, remove, prune. Source: Docker Engine API 1.47, "Volume"."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import json_body
from pydock_lab.daemon.api.router import requested_version
from pydock_lab.daemon.engine import bodies
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.volumes import Volumes


class VolumeCreate(TypedDict, total=False):
    """Docker's VolumeCreateOptions."""

    Name: str
    Driver: str
    DriverOpts: dict[str, str]
    Labels: dict[str, str]


def routes(engine: Engine) -> list[web.RouteDef]:
    """The routes of the noun."""
    handlers = _Handlers(engine.volumes)
    return [
        web.get("/volumes", handlers.get_volumes, allow_head=False),
        web.post("/volumes/create", handlers.post_create),
        web.post("/volumes/prune", handlers.post_prune),
        web.get("/volumes/{name:.+}", handlers.get_volume, allow_head=False),
        web.delete("/volumes/{name:.+}", handlers.delete_volume),
    ]


class _Handlers:
    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    async def get_volumes(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"))
        return json_response({"Volumes": self._volumes.list(filters), "Warnings": None})

    async def post_create(self, request: web.Request) -> web.Response:
        options = bodies.read(await json_body(request), VolumeCreate)
        return json_response(await asyncio.shield(self._volumes.create(dict(options))), status=201)

    async def get_volume(self, request: web.Request) -> web.Response:
        return json_response(self._volumes.inspect(request.match_info["name"]))

    async def delete_volume(self, request: web.Request) -> web.Response:
        force = request.query.get("force", "").lower() in ("1", "true")
        await self._volumes.remove(request.match_info["name"], force=force)
        return web.Response(status=204)

    async def post_prune(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"))
        before_anonymous_only = requested_version(request) < (1, 42)
        report = await asyncio.shield(self._volumes.prune(filters, everything=before_anonymous_only))
        return json_response(report)
