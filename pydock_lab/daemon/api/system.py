"""`/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth`; and what this engine is not: swarm, plugins.

Source: Docker Engine API 1.47, System; moby api/server/router/system.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, TypedDict

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import moment_ns
from pydock_lab.daemon.api.router import API_VERSION, MIN_API_VERSION, requested_version
from pydock_lab.daemon.engine import bodies, machine
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.events import EventFilter
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.errors import NOT_A_SWARM, InvalidParameter, NotImplementedYet, Unavailable

_PING_HEADERS = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}
_SWARM_NOUNS = ("services", "tasks", "nodes", "secrets", "configs")
_DF_TYPES = ("container", "image", "volume", "build-cache")


class AuthConfig(TypedDict, total=False):
    """Docker's AuthConfig."""

    username: str
    password: str
    auth: str
    email: str
    serveraddress: str
    identitytoken: str
    registrytoken: str


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    h = _System(engine)
    return [
        web.options("/{path:.*}", h.options),
        web.get("/_ping", h.get_ping, allow_head=False),
        web.head("/_ping", h.head_ping),
        web.get("/version", h.get_version, allow_head=False),
        web.get("/info", h.get_info, allow_head=False),
        web.get("/events", h.get_events, allow_head=False),
        web.get("/system/df", h.get_disk_usage, allow_head=False),
        web.post("/auth", h.post_auth),
        web.get("/swarm", h.not_a_swarm, allow_head=False),
        web.get("/swarm/unlockkey", h.not_a_swarm, allow_head=False),
        web.post("/swarm/{verb}", h.post_swarm),
        *(web.route("*", f"/{noun}", h.not_a_swarm) for noun in _SWARM_NOUNS),
        *(web.route("*", f"/{noun}/{{rest:.+}}", h.not_a_swarm) for noun in _SWARM_NOUNS),
        web.get("/plugins", h.get_plugins, allow_head=False),
        web.route("*", "/plugins/{rest:.+}", h.no_plugins),
    ]


class _System:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def options(self, request: web.Request) -> web.StreamResponse:
        """Nothing, of any path: a browser asks this before it asks what it wants."""
        return web.Response()

    async def get_ping(self, request: web.Request) -> web.StreamResponse:
        """The cheapest sign of life; clients read the API version from its headers."""
        return web.Response(text="OK", headers=_PING_HEADERS)

    async def head_ping(self, request: web.Request) -> web.StreamResponse:
        """The same without the two letters."""
        return web.Response(headers={**_PING_HEADERS, "Content-Type": "text/plain; charset=utf-8"})

    async def get_version(self, request: web.Request) -> web.StreamResponse:
        """`docker version`."""
        return json_response(machine.version(API_VERSION, MIN_API_VERSION))

    async def get_info(self, request: web.Request) -> web.StreamResponse:
        """`docker info`."""
        return json_response(await asyncio.to_thread(machine.info, self._engine))

    async def get_events(self, request: web.Request) -> web.StreamResponse:
        """`docker events`: what is remembered since a time, then what happens until a time."""
        since, until = (request.query.get(name, "") for name in ("since", "until"))
        since_ns, until_ns = moment_ns(request, "since"), moment_ns(request, "until")
        if since_ns is not None and until_ns is not None and since_ns > until_ns:
            raise InvalidParameter(f"`since` time ({since}) cannot be after `until` time ({until})")
        wanted = EventFilter(Filters.parse(request.query.get("filters")))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"")
        async for event in self._engine.events.stream(since_ns, until_ns):
            if wanted.matches(event):
                await response.write(msgspec.json.encode(event) + b"\n")
        await response.write_eof()
        return response

    async def get_disk_usage(self, request: web.Request) -> web.StreamResponse:
        """`docker system df`."""
        types = request.query.getall("type", []) or list(_DF_TYPES)
        for kind in types:
            if kind not in _DF_TYPES:
                raise InvalidParameter(f"unknown object type: {kind}")
        usage: dict[str, Any] = {}
        if "image" in types:
            usage |= await asyncio.to_thread(self._engine.images.usage)
            users = Counter(container.record.image_id for container in self._engine.containers.table)
            for document in usage["Images"]:
                document["Containers"] = users[document["Id"]]
        if "container" in types:
            usage["Containers"] = await self._container_usage()
        if "volume" in types:
            usage["Volumes"] = await asyncio.to_thread(self._engine.volumes.usage)
        if "build-cache" in types:
            usage["BuildCache"] = await asyncio.to_thread(self._engine.builder.usage)
            if requested_version(request) < (1, 42):
                usage["BuilderSize"] = sum(document["Size"] for document in usage["BuildCache"])
        return json_response(usage)

    async def post_auth(self, request: web.Request) -> web.StreamResponse:
        """`docker login`: the registry says whether the credentials are good."""
        given = bodies.read(await request.read(), AuthConfig)
        await self._engine.images.login(dict(given))
        return json_response({"Status": "Login Succeeded", "IdentityToken": ""})

    async def not_a_swarm(self, request: web.Request) -> web.StreamResponse:
        """Every request that needs a swarm."""
        raise Unavailable(
            NOT_A_SWARM,
            hint="this engine runs containers on one machine; use docker compose for several of them",
        )

    async def post_swarm(self, request: web.Request) -> web.StreamResponse:
        """`docker swarm init` and its kind."""
        if request.match_info["verb"] in ("init", "join"):
            raise NotImplementedYet(
                "swarm mode is not supported by this engine",
                hint="it is one machine; `docker compose` runs several services together on it",
            )
        if request.match_info["verb"] == "leave":
            raise Unavailable("This node is not part of a swarm")
        return await self.not_a_swarm(request)

    async def get_plugins(self, request: web.Request) -> web.StreamResponse:
        """`docker plugin ls`: there are none."""
        return json_response([])

    async def no_plugins(self, request: web.Request) -> web.StreamResponse:
        """Everything else about plugins."""
        raise NotImplementedYet("plugins are not supported by this engine")

    async def _container_usage(self) -> list[dict[str, Any]]:
        documents = []
        for container in self._engine.containers.select(Filters(), everything=True):
            document = self._engine.containers.summary(container)
            document["SizeRw"] = await self._engine.containers.files.size_rw(container)
            document["SizeRootFs"] = await self._engine.containers.files.size_root(container, document["SizeRw"])
            if not document["SizeRw"]:
                del document["SizeRw"]  # as Go leaves it out
            documents.append(document)
        return documents
