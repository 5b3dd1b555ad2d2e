"""`/lab/registry`: the daemon's embedded registry, up and down.

POST {"Port": 5000} starts it (0 or nothing: any free port), GET tells where it is, DELETE stops it.
`/lab/registry/images` lists what it keeps; POST `/lab/registry/gc` sweeps (`?delete-untagged=1`, `?dry-run=1`,
`?grace=SECONDS`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import to_end
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.registry.server_gc import GRACE_S
from pydock_lab.errors import InvalidParameter


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route table."""
    handlers = _Registry(engine)
    return [
        web.get("/lab/registry", handlers.get_registry),
        web.post("/lab/registry", handlers.post_registry),
        web.delete("/lab/registry", handlers.delete_registry),
        web.get("/lab/registry/images", handlers.get_images),
        web.post("/lab/registry/gc", handlers.post_gc),
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

    async def get_images(self, request: web.Request) -> web.Response:
        """The tags it keeps, also while it does not run."""
        return json_response(await asyncio.to_thread(self._registry.images))

    async def post_gc(self, request: web.Request) -> web.Response:
        """Delete the blobs that no manifest names."""
        untagged, dry_run = (request.query.get(name, "") == "1" for name in ("delete-untagged", "dry-run"))
        try:
            grace_s = float(request.query.get("grace", GRACE_S))
        except ValueError:
            raise InvalidParameter(f"invalid grace: {request.query['grace']}") from None
        found = await to_end(
            asyncio.to_thread(self._registry.collect, delete_untagged=untagged, dry_run=dry_run, grace_s=grace_s)
        )
        return json_response({"Manifests": found.manifests, "Blobs": found.blobs, "FreedBytes": found.freed_bytes})

    def _status(self) -> web.Response:
        address = self._registry.address
        return json_response({"Running": bool(address), "Address": address, "Root": str(self._registry.root)})
