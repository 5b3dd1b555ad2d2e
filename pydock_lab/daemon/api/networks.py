"""`/networks`: list, inspect, create, remove, connect, disconnect, prune. Source: Docker Engine API 1.47, "Network"."""

from __future__ import annotations

from typing import Any, TypedDict

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import json_body, to_end
from pydock_lab.daemon.engine import bodies
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.networks import EngineNetworks
from pydock_lab.errors import InvalidParameter


class NetworkCreate(TypedDict, total=False):
    """Docker's NetworkCreateRequest."""

    Name: str
    Driver: str
    Scope: str
    EnableIPv6: bool
    Internal: bool
    Attachable: bool
    Ingress: bool
    ConfigOnly: bool
    ConfigFrom: dict[str, Any]
    IPAM: dict[str, Any]
    Options: dict[str, str]
    Labels: dict[str, str]


class NetworkConnect(TypedDict, total=False):
    """Docker's NetworkConnect."""

    Container: str
    EndpointConfig: dict[str, Any]


class NetworkDisconnect(TypedDict, total=False):
    """Docker's NetworkDisconnect."""

    Container: str
    Force: bool


def routes(engine: Engine) -> list[web.RouteDef]:
    """The routes of the noun."""
    handlers = _Handlers(EngineNetworks(engine.networks, engine.containers, engine.runtime, engine.events))
    return [
        web.get("/networks", handlers.get_networks, allow_head=False),
        web.get("/networks/", handlers.get_networks, allow_head=False),
        web.post("/networks/create", handlers.post_create),
        web.post("/networks/prune", handlers.post_prune),
        web.get("/networks/{id:.+}", handlers.get_network, allow_head=False),
        web.delete("/networks/{id:.+}", handlers.delete_network),
        web.post("/networks/{id:.+}/connect", handlers.post_connect),
        web.post("/networks/{id:.+}/disconnect", handlers.post_disconnect),
    ]


class _Handlers:
    def __init__(self, networks: EngineNetworks) -> None:
        self._networks = networks

    async def get_networks(self, request: web.Request) -> web.Response:
        return json_response(self._networks.list(Filters.parse(request.query.get("filters"))))

    async def get_network(self, request: web.Request) -> web.Response:
        scope = request.query.get("scope", "")
        return json_response(self._networks.inspect(request.match_info["id"], scope=scope))

    async def post_create(self, request: web.Request) -> web.Response:
        body = bodies.read(await json_body(request), NetworkCreate)
        network_id = await to_end(self._networks.create(dict(body)))
        return json_response({"Id": network_id, "Warning": ""}, status=201)

    async def delete_network(self, request: web.Request) -> web.Response:
        await to_end(self._networks.remove(request.match_info["id"]))
        return web.Response(status=204)

    async def post_connect(self, request: web.Request) -> web.Response:
        body = bodies.read(await json_body(request), NetworkConnect)
        container, settings = _container(body), body.get("EndpointConfig") or {}
        await to_end(self._networks.connect(request.match_info["id"], container, settings))
        return web.Response()

    async def post_disconnect(self, request: web.Request) -> web.Response:
        body = bodies.read(await json_body(request), NetworkDisconnect)
        force = bool(body.get("Force"))
        await to_end(self._networks.disconnect(request.match_info["id"], _container(body), force=force))
        return web.Response()

    async def post_prune(self, request: web.Request) -> web.Response:
        pruned = await to_end(self._networks.prune(Filters.parse(request.query.get("filters"))))
        return json_response({"NetworksDeleted": pruned or None})


def _container(body: NetworkConnect | NetworkDisconnect) -> str:
    if not (name := body.get("Container")):
        raise InvalidParameter('invalid name or ID supplied: ""')
    return name
