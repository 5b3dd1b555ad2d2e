"""The lab's own routes, all under /lab/: how things happened, for the notebook, graders and tests.

Routes:
    /lab/trace                        what the engine did; ?follow=1 goes on as a stream of lines
    /lab/containers/{name}/trace      the same of one container: its launch plan as carried out
    /lab/builds, /lab/builds/{id}     builds step by step, with the reason of every cache miss
    /lab/images/{name}/layers         an image instruction by instruction; layers.py
    /lab/volumes/{name}/files         a volume as the host and each container see it; volumes.py
    /lab/processes                    containers' processes with both pids, and namespaces; processes.py
    /lab/network                      bridges, cables, rules, the way to each published port; network.py
    /lab/doctor                       which boundaries are real on this machine; doctor.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.lab import processes as lab_processes
from pydock_lab.daemon.api.lab.doctor import examine
from pydock_lab.daemon.api.lab.layers import PAGE, LayerReader
from pydock_lab.daemon.api.lab.volumes import VolumeReader
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.trace import TraceEvent
from pydock_lab.errors import InvalidParameter

_LISTED = ("id", "state", "started_at_ns", "duration_ns", "tags", "image", "error")


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route table."""
    handlers = _Lab(engine)
    return [
        web.get("/lab/trace", handlers.get_trace),
        web.get("/lab/containers/{name}/trace", handlers.get_container_trace),
        web.get("/lab/builds", handlers.get_builds),
        web.get("/lab/builds/{id}", handlers.get_build),
        web.get("/lab/images/{name:.+}/layers/{step}", handlers.get_layer_files),
        web.get("/lab/images/{name:.+}/layers", handlers.get_layers),
        web.get("/lab/volumes/{name}/files", handlers.get_volume_files),
        web.get("/lab/processes", handlers.get_processes),
        web.get("/lab/doctor", handlers.get_doctor),
    ]


class _Lab:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._layers = LayerReader(engine)
        self._volumes = VolumeReader(engine)

    async def get_trace(self, request: web.Request) -> web.StreamResponse:
        """Events after ?since=SEQ, of ?subject=ID; with ?follow=1 one JSON document a line, for ever."""
        subject, since = request.query.get("subject"), _number(request, "since", 0)
        past = self._engine.trace.select(subject, since)
        if request.query.get("follow", "0") in ("0", "false", ""):
            return json_response(past)
        return await _stream(request, past, self._engine.trace.follow(subject))

    async def get_container_trace(self, request: web.Request) -> web.StreamResponse:
        """What was done for one container, oldest first."""
        container = self._engine.containers.table.get(request.match_info["name"])
        return json_response(self._engine.containers.history.events(container.id, _number(request, "since", 0)))

    async def get_builds(self, request: web.Request) -> web.StreamResponse:
        """All remembered builds without their steps, newest first."""
        builds = self._engine.builder.records()
        return json_response([{key: build[key] for key in _LISTED} for build in builds])

    async def get_build(self, request: web.Request) -> web.StreamResponse:
        """One build by id or unambiguous prefix, step by step; also while it runs."""
        return json_response(self._engine.builder.record(request.match_info["id"]))

    async def get_layers(self, request: web.Request) -> web.StreamResponse:
        """An image, instruction by instruction."""
        return json_response(await asyncio.to_thread(self._layers.document, request.match_info["name"]))

    async def get_layer_files(self, request: web.Request) -> web.StreamResponse:
        """A directory of one step's tree, or paths: ?directory=/etc&offset=0&limit=200, or &search=TEXT."""
        try:
            step = int(request.match_info["step"])
        except ValueError:
            raise InvalidParameter(f"no number of a step: {request.match_info['step']}") from None
        page = await asyncio.to_thread(
            self._layers.entries,
            request.match_info["name"],
            step,
            directory=request.query.get("directory", ""),
            offset=_number(request, "offset", 0),
            limit=_number(request, "limit", PAGE),
            search=request.query.get("search", ""),
        )
        return json_response(page)

    async def get_volume_files(self, request: web.Request) -> web.StreamResponse:
        """A volume's files as the host and every container that mounts it see them."""
        look = self._volumes.plan(request.match_info["name"])
        return json_response(await asyncio.to_thread(look))

    async def get_processes(self, request: web.Request) -> web.StreamResponse:
        """The processes of every running container, and the host they share."""
        look = await lab_processes.plan(self._engine)
        return json_response(await asyncio.to_thread(look))

    async def get_doctor(self, request: web.Request) -> web.StreamResponse:
        """What this machine gives the engine."""
        return json_response(await asyncio.to_thread(examine, self._engine.config))


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    try:
        number = int(text) if text else default
    except ValueError:
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    return max(number, 0)


async def _stream(
    request: web.Request, past: list[TraceEvent], coming: AsyncIterator[TraceEvent]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    await response.write(b"".join(msgspec.json.encode(event) + b"\n" for event in past))
    async for event in coming:
        await response.write(msgspec.json.encode(event) + b"\n")
    return response
