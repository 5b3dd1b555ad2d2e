"""The catalogue over HTTP (our own routes): what stands in for base images, and make one now.

Outside of Docker's API: `pydock catalog` and the notebook ask here.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.catalog.recipe import Recipe
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.spec import reference as references


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    catalog = engine.catalog

    async def get_catalog(request: web.Request) -> web.Response:
        """The recipes."""
        return json_response([_document(recipe) for recipe in await asyncio.to_thread(catalog.recipes)])

    async def post_catalog_build(request: web.Request) -> web.Response:
        """Assemble and tag the stand-in for a reference, `/lab/catalog/python:3.12-alpine/build`."""
        reference = references.parse(request.match_info["reference"])
        # A client that goes away does not undo it: the image is whole or not there.
        image = await asyncio.shield(asyncio.to_thread(catalog.build, reference))
        name = reference.familiar
        engine.events.publish("image", "pull", name, {"name": name})
        return json_response(
            {"Id": image.id, "Reference": name, "Size": image.size, "Notice": catalog.notice(reference, image)},
            status=201,
        )

    return [
        web.get("/lab/catalog", get_catalog),
        web.post("/lab/catalog/{reference:.+}/build", post_catalog_build),
    ]


def _document(recipe: Recipe) -> dict[str, object]:
    return {
        "Name": recipe.name,
        "StandsFor": recipe.stands_for,
        "Summary": recipe.summary,
        "From": recipe.base,
        "Layers": [layer.comment for layer in recipe.layers],
        "Hint": recipe.hint,
    }
