"""`/lab/images`: transfers request by request, wasted bytes, two images side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.images_files import ImageFiles


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route table."""
    handlers = _LabImages(engine)
    return [
        web.get("/lab/images/transfers", handlers.get_transfers),
        web.get("/lab/images/transfers/{id}", handlers.get_transfer),
        web.get("/lab/images/{name:.+}/waste", handlers.get_waste),
        web.get("/lab/images/{name:.+}/compare/{other:.+}", handlers.get_comparison),
    ]


class _LabImages:
    def __init__(self, engine: Engine) -> None:
        self._images = engine.images
        self._files = ImageFiles(engine.layers)

    async def get_transfers(self, request: web.Request) -> web.Response:
        """The latest pulls and pushes, newest first."""
        return json_response(self._images.transfers())

    async def get_transfer(self, request: web.Request) -> web.Response:
        """One of them with every request."""
        return json_response(self._images.transfer(request.match_info["id"]))

    async def get_waste(self, request: web.Request) -> web.Response:
        """Bytes of an image that no container sees."""
        image = self._images.resolve(request.match_info["name"])
        return json_response(await asyncio.to_thread(self._files.waste, image))

    async def get_comparison(self, request: web.Request) -> web.Response:
        """Two images: shared layers, files that differ, settings that differ."""
        one, other = (self._images.resolve(request.match_info[key]) for key in ("name", "other"))
        return json_response(await asyncio.to_thread(self._files.compare, one, other))
