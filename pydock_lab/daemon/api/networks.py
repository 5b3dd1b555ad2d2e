"""`/networks`: list, inspect, create, remove, connect, disconnect, prune. Source: Docker Engine API 1.47, "Network"."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import json_body, to_end
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.networks import EngineNetworks
from pydock_lab.errors import InvalidParameter

_CREATE_FIELDS: dict[str, type] = {"Name": str, "Driver": str, "Options": dict, "Labels": dict, "IPAM": dict}
_CONNECT_FIELDS: dict[str, type] = {"Container": str, "EndpointConfig": dict}


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
        body = await _body(request, _CREATE_FIELDS)
        network_id = await to_end(self._networks.create(body))
        return json_response({"Id": network_id, "Warning": ""}, status=201)

    async def delete_network(self, request: web.Request) -> web.Response:
        await to_end(self._networks.remove(request.match_info["id"]))
        return web.Response(status=204)

    async def post_connect(self, request: web.Request) -> web.Response:
        body = await _body(request, _CONNECT_FIELDS)
        container, settings = _container(body), body.get("EndpointConfig") or {}
        await to_end(self._networks.connect(request.match_info["id"], container, settings))
        return web.Response()

    async def post_disconnect(self, request: web.Request) -> web.Response:
        body = await _body(request, _CONNECT_FIELDS)
        force = bool(body.get("Force"))
        await to_end(self._networks.disconnect(request.match_info["id"], _container(body), force=force))
        return web.Response()

    async def post_prune(self, request: web.Request) -> web.Response:
        pruned = await to_end(self._networks.prune(Filters.parse(request.query.get("filters"))))
        return json_response({"NetworksDeleted": pruned or None})


def _container(body: dict[str, Any]) -> str:
    if not body.get("Container"):
        raise InvalidParameter('invalid name or ID supplied: ""')
    return str(body["Container"])


async def _body(request: web.Request, fields: dict[str, type]) -> dict[str, Any]:
    """Read a JSON object. Raises InvalidParameter for anything else, as Docker words it."""
    text = await json_body(request)
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        message = "unexpected EOF" if "truncated" in str(error) else f"invalid JSON: {error}"
        raise InvalidParameter(message) from None
    if not isinstance(body, dict):
        raise InvalidParameter("invalid JSON: an object is expected")
    for name, kind in fields.items():
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise InvalidParameter(f"invalid JSON: {name} is of the wrong type")
    return body
