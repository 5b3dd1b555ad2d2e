"""The embedded registry: a distribution-spec server for a classroom, or for one learner's loopback.

    pydock registry serve --addr 127.0.0.1:5000 --root DIR
    %registry up                     the same inside the daemon, on DATA_ROOT/registry

Any client may use it: docker, podman, skopeo, buildah, oras. What it keeps is in
server_storage.py. Source: distribution-spec 1.1; distribution/distribution's API
for what clients expect beyond (Docker-Upload-UUID, `_catalog`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from pydock_lab.daemon.registry.server_auth import Users
from pydock_lab.daemon.registry.server_blobs import BlobHandlers
from pydock_lab.daemon.registry.server_errors import RegistryError
from pydock_lab.daemon.registry.server_manifests import ManifestHandlers
from pydock_lab.daemon.registry.server_storage import RegistryStorage

log = logging.getLogger("pydock.registry")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RegistryServer:
    """One registry on one socket.

    Args:
        root: Absolute directory of what it keeps.
        users: Who may come in; everybody where there are none.
        tls: Serve https with these certificates, or None.
    """

    def __init__(self, root: Path, *, users: Users | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.root = root
        self._users = users or Users()
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.address = ""

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._runner is not None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a bound TCP socket, which is the server's from now on."""
        storage = await asyncio.to_thread(RegistryStorage, self.root)
        runner = web.AppRunner(self._app(storage), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.SockSite(runner, listener, ssl_context=self._tls)
        await site.start()
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._runner = runner

    async def stop(self) -> None:
        """Stop serving; uploads can be taken up again after the next start."""
        runner, self._runner, self.address = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    def _app(self, storage: RegistryStorage) -> web.Application:
        app = web.Application(middlewares=[self._answer], client_max_size=2**62)
        app.add_routes([web.get("/v2/", _get_base), web.get("/v2", _get_base)])
        blobs = BlobHandlers(storage)
        app.add_routes(blobs.routes())
        app.on_cleanup.append(blobs.close)
        app.add_routes(ManifestHandlers(storage).routes())
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may, and turn every refusal into the specification's form."""
        try:
            await self._authenticate(request)
            response = await handler(request)
        except RegistryError as error:
            response = _refusal(error)
        except web.HTTPNotFound:
            response = _refusal(RegistryError("NAME_UNKNOWN", 404))
        except web.HTTPMethodNotAllowed as error:
            response = _refusal(RegistryError("UNSUPPORTED", 405, headers={"Allow": error.headers["Allow"]}))
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            log.exception("%s %s", request.method, request.rel_url)
            response = _refusal(RegistryError("UNKNOWN", 500, detail=os.strerror(error.errno or 0).lower()))
        if not response.prepared:
            response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        log.info("%s %s %s", request.method, request.rel_url, response.status)
        return response

    async def _authenticate(self, request: web.Request) -> None:
        if not self._users:
            return
        if not await asyncio.to_thread(self._users.allow, request.headers.get("Authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="pydock registry"'}
            raise RegistryError("UNAUTHORIZED", 401, headers=challenge)


async def _get_base(_request: web.Request) -> web.Response:
    return web.json_response({})


def _refusal(error: RegistryError) -> web.Response:
    return web.Response(
        status=error.status, body=error.document(), content_type="application/json", headers=error.headers
    )
