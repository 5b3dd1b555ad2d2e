"""The files of a container: archive (`docker cp`), export, changes (`docker diff`).

Tars go straight between the client and the keeper through a pipe.
Source: Docker Engine API 1.47, ContainerArchive, PutContainerArchive, ContainerExport.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import flag
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.errors import InvalidParameter, LabError

_CHUNK = 1 << 18
_STAT_HEADER = "X-Docker-Container-Path-Stat"


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    h = _Files(engine)
    return [
        web.head("/containers/{name}/archive", h.head_archive),
        web.get("/containers/{name}/archive", h.get_archive, allow_head=False),
        web.put("/containers/{name}/archive", h.put_archive),
        web.get("/containers/{name}/export", h.get_export, allow_head=False),
        web.get("/containers/{name}/changes", h.get_changes, allow_head=False),
    ]


class _Files:
    def __init__(self, engine: Engine) -> None:
        self._containers = engine.containers
        self._files = engine.containers.files
        self._events = engine.events

    async def head_archive(self, request: web.Request) -> web.StreamResponse:
        """What stands at a path."""
        container, path = self._target(request)
        stat = await self._files.stat(container, path)
        return web.Response(headers={_STAT_HEADER: _encode_stat(stat), "Content-Type": "application/json"})

    async def get_archive(self, request: web.Request) -> web.StreamResponse:
        """A tar of a path."""
        container, path = self._target(request)
        stat = await self._files.stat(container, path)
        self._publish(container, "archive-path")
        return await _send(
            request, lambda fd: self._files.get(container, path, fd), headers={_STAT_HEADER: _encode_stat(stat)}
        )

    async def put_archive(self, request: web.Request) -> web.StreamResponse:
        """Unpack a tar into a directory."""
        container, path = self._target(request)
        work = self._put(request, container, path)
        await work
        self._publish(container, "extract-to-dir")
        return web.Response(status=200)

    async def get_export(self, request: web.Request) -> web.StreamResponse:
        """`docker export`: a tar of the whole root."""
        container = self._containers.get(request.match_info["name"])
        self._publish(container, "export")
        return await _send(request, lambda fd: self._files.export(container, fd))

    async def get_changes(self, request: web.Request) -> web.StreamResponse:
        """`docker diff`."""
        container = self._containers.get(request.match_info["name"])
        return json_response(await self._files.changes(container) or None)

    async def _put(self, request: web.Request, container: Container, path: str) -> None:
        """Feed the request's body to the keeper; what it can't unpack ends the request at once."""
        reader, writer = os.pipe()
        unpacking = asyncio.ensure_future(
            self._files.put(
                container,
                path,
                reader,
                no_overwrite=flag(request, "noOverwriteDirNonDir"),
                copy_uid_gid=flag(request, "copyUIDGID"),
            )
        )
        unpacking.add_done_callback(lambda _: os.close(reader))
        try:
            async for chunk in request.content.iter_chunked(_CHUNK):
                await asyncio.to_thread(_write_all, writer, chunk)
        except BrokenPipeError:
            pass
        finally:
            os.close(writer)
        await asyncio.shield(unpacking)

    def _target(self, request: web.Request) -> tuple[Container, str]:
        container = self._containers.get(request.match_info["name"])
        path = request.query.get("path", "")
        if not path:
            raise InvalidParameter("bad parameter: path cannot be empty")
        return container, path

    def _publish(self, container: Container, action: str) -> None:
        self._events.publish("container", action, container.id, container.event_attributes())


async def _send(
    request: web.Request,
    produce: Callable[[int], Coroutine[Any, Any, object]],
    *,
    headers: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Answer with the tar that `produce` writes to the pipe it is given."""
    reader, writer = os.pipe()
    producing = asyncio.ensure_future(produce(writer))
    # The keeper has its own copy; ours must go, or the pipe never ends.
    producing.add_done_callback(lambda _: os.close(writer))
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar", **(headers or {})})
    try:
        first = await asyncio.to_thread(os.read, reader, _CHUNK)
        if not first:
            await producing
        await response.prepare(request)
        chunk = first
        while chunk:
            await response.write(chunk)
            chunk = await asyncio.to_thread(os.read, reader, _CHUNK)
        await producing
    except LabError:
        if response.prepared and request.transport is not None:
            # Too late for a status: a broken connection tells the client that the tar is not whole.
            request.transport.abort()
        raise
    finally:
        os.close(reader)
    await response.write_eof()
    return response


def _encode_stat(stat: dict[str, Any]) -> str:
    return base64.b64encode(msgspec.json.encode(stat)).decode()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
