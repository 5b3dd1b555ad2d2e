"""`/lab/registry`: the daemon's embedded registry, up and down.

POST {"Port": 5000} starts it (0 or nothing: any free port), GET tells where it is, DELETE stops it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import to_end
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.errors import InvalidParameter


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route table."""
    handlers = _Registry(engine)
    return [
        web.get("/lab/registry", handlers.get_registry),
        web.post("/lab/registry", handlers.post_registry),
        web.delete("/lab/registry", handlers.delete_registry),
    ]


class _Registry:
    def __init__(self, engine: Engine) -> None:
        self._registry = engine.registry

    async def get_registry(self, request: web.Request) -> web.Response:
        """Whether it runs, and where."""
        return self._status()

    async def post_registry(self, request: web.Request) -> web.Response:
        """Start it."""
        try:
            document = msgspec.json.decode(await request.read() or b"{}")
            port = int(document.get("Port") or 0)
        except (msgspec.DecodeError, AttributeError, TypeError, ValueError) as error:
            raise InvalidParameter(f"invalid JSON: {error}") from None
        if not 0 <= port <= 65535:
            raise InvalidParameter(f"invalid port: {port}")
        await to_end(self._registry.start(port))
        return self._status()

    async def delete_registry(self, request: web.Request) -> web.Response:
        """Stop it; its images stay."""
        await to_end(self._registry.stop())
        return self._status()

    def _status(self) -> web.Response:
        address = self._registry.address
        return json_response({"Running": bool(address), "Address": address, "Root": str(self._registry.root)})
