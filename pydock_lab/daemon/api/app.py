"""The HTTP application: one route table per noun, one place that maps errors to statuses.

Source: Docker Engine API 1.47; moby api/server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from importlib import import_module

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from pydock_lab import __version__
from pydock_lab.daemon.api.buildkit import BUILDKIT, BuildKit
from pydock_lab.daemon.api.router import API_VERSION, VersionedRouter, check_version
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.errors import LabError, NotModified
from pydock_lab.spec.agents import ONLOOKER

log = logging.getLogger("pydock.api")

NOUNS = (
    "system",
    "containers",
    "exec",
    "images",
    "build",
    "buildkit",
    "volumes",
    "networks",
    "lab.routes",
    "lab.builds",
    "lab.images",
    "lab.network",
    "lab.registry",
    "lab.storage",
    "catalog",
)

_HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"pydock_lab/{__version__} (linux)",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(document: object, status: int = 200) -> web.Response:
    """Encode a document as Docker does (compact, UTF-8)."""
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


@web.middleware
async def docker_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into Docker's `{"message": …}` with the status of its category."""
    try:
        check_version(request)
        return await handler(request)
    except NotModified:
        return web.Response(status=304)
    except LabError as error:
        document = {"message": error.message}
        if error.hint:
            document["hint"] = error.hint
        return json_response(document, status=error.status)
    except web.HTTPNotFound:
        return json_response({"message": "page not found"}, status=404)
    except web.HTTPMethodNotAllowed:
        return json_response({"message": "page not found"}, status=404)
    except (web.HTTPException, asyncio.CancelledError, ConnectionError):
        raise
    except OSError as error:
        # Such as a full disk; Go's wording of the same.
        log.exception("%s %s failed", request.method, request.rel_url)
        where = f"{error.filename}: " if error.filename else ""
        return json_response({"message": where + os.strerror(error.errno or 0).lower()}, status=500)
    except Exception as error:
        # A bug here: whoever asked is told which, and the log has the rest.
        log.exception("%s %s failed", request.method, request.rel_url)
        return json_response({"message": f"{type(error).__name__}: {error}"}, status=500)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)  # aiohttp has put its own Server there already


def _tracing(engine: Engine) -> Middleware:
    """Make the middleware that records each request with its answer; not those of the lab and of views that look on."""

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        looks_on = request.headers.get("User-Agent") == ONLOOKER
        if looks_on or request.path.startswith("/lab/") or request.path.endswith("/_ping"):
            return await handler(request)
        began, status = time.monotonic_ns(), 499  # as nginx has it: the client left before the answer
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            engine.trace.emit(
                "api",
                "request.answered",
                method=request.method,
                path=request.path_qs,
                status=status,
                duration_ns=time.monotonic_ns() - began,
            )

    return traced


def make_app(engine: Engine) -> web.Application:
    """Assemble the routes of every noun; each `api/NOUN.py` has `routes(engine)`."""
    app = web.Application(
        middlewares=[_tracing(engine), docker_errors], router=VersionedRouter(), client_max_size=2**62
    )
    app[BUILDKIT] = buildkit = BuildKit(engine)
    app.on_shutdown.append(buildkit.close)
    for noun in NOUNS:
        app.add_routes(import_module(f"pydock_lab.daemon.api.{noun}").routes(engine))
    app.on_response_prepare.append(_add_headers)
    return app
