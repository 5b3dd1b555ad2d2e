"""`/containers`: everything but streams and files, which have their own modules.

Source: Docker Engine API 1.47, Container; moby api/server/router/container.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pydock_lab.daemon.api import containers_files, containers_streams
from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.query import flag, json_body, number, to_end
from pydock_lab.daemon.api.router import requested_version
from pydock_lab.daemon.engine.containers import links, processes, signals
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.containers.request import decode_create, decode_update
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.errors import InvalidParameter, NotFound


def routes(engine: Engine) -> list[web.RouteDef]:
    """The route table."""
    h = _Containers(engine)
    return [
        web.get("/containers/json", h.get_list, allow_head=False),
        web.post("/containers/create", h.post_create),
        web.post("/containers/prune", h.post_prune),
        web.get("/containers/{name}/json", h.get_inspect, allow_head=False),
        web.get("/containers/{name}/top", h.get_top, allow_head=False),
        web.post("/containers/{name}/start", h.post_start),
        web.post("/containers/{name}/stop", h.post_stop),
        web.post("/containers/{name}/restart", h.post_restart),
        web.post("/containers/{name}/kill", h.post_kill),
        web.post("/containers/{name}/pause", h.post_pause),
        web.post("/containers/{name}/unpause", h.post_unpause),
        web.post("/containers/{name}/rename", h.post_rename),
        web.post("/containers/{name}/resize", h.post_resize),
        web.post("/containers/{name}/update", h.post_update),
        web.delete("/containers/{name:.+}", h.delete_container),
        *containers_streams.routes(engine),
        *containers_files.routes(engine),
    ]


class _Containers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._containers = engine.containers

    async def get_list(self, request: web.Request) -> web.StreamResponse:
        """`docker ps`."""
        chosen = self._containers.select(
            Filters.parse(request.query.get("filters")),
            everything=flag(request, "all"),
            limit=number(request, "limit", 0),
        )
        known_as = links.names(self._containers.table)
        documents = [self._containers.summary(container, known_as.get(container.name, ())) for container in chosen]
        if flag(request, "size"):
            for container, document in zip(chosen, documents, strict=True):
                await self._add_sizes(container, document)
                if not document["SizeRw"]:
                    del document["SizeRw"]  # which Go leaves out here, but not when it inspects
        return json_response(documents)

    async def post_create(self, request: web.Request) -> web.StreamResponse:
        """`docker create`; 201 with the id."""
        body = decode_create(await json_body(request))
        if requested_version(request) < (1, 40):
            # What those clients expect; see moby's postContainersCreate.
            host = body["HostConfig"]
            host["IpcMode"] = host.get("IpcMode") or "shareable"
        name, platform = request.query.get("name", ""), request.query.get("platform", "")
        created = await to_end(self._containers.create(body, name, platform))
        return json_response({"Id": created.container.id, "Warnings": created.warnings}, status=201)

    async def get_inspect(self, request: web.Request) -> web.StreamResponse:
        """`docker inspect`."""
        container = self._find(request)
        document = self._containers.inspect(container)
        if requested_version(request) < (1, 45):
            _add_own_aliases(container, document["NetworkSettings"]["Networks"])
        if flag(request, "size"):
            await self._add_sizes(container, document)
        return json_response(document)

    async def get_top(self, request: web.Request) -> web.StreamResponse:
        """`docker top`."""
        container = self._find(request)
        container.check_running()
        pids = await self._engine.runtime.processes(container.id)
        listed = await processes.top(pids, request.query.get("ps_args") or "-ef")
        self._engine.events.publish("container", "top", container.id, container.event_attributes())
        return json_response(listed)

    async def post_start(self, request: web.Request) -> web.StreamResponse:
        """`docker start`."""
        if len(await request.read()) > 7:  # `null` and `{}` are nothing, as in dockerd
            raise InvalidParameter(
                "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
            )
        await to_end(self._containers.lifecycle.start(self._find(request)))
        return web.Response(status=204)

    async def post_stop(self, request: web.Request) -> web.StreamResponse:
        """`docker stop`."""
        await to_end(self._containers.lifecycle.stop(self._find(request), **_stop_arguments(request)))
        return web.Response(status=204)

    async def post_restart(self, request: web.Request) -> web.StreamResponse:
        """`docker restart`."""
        await to_end(self._containers.lifecycle.restart(self._find(request), **_stop_arguments(request)))
        return web.Response(status=204)

    async def post_kill(self, request: web.Request) -> web.StreamResponse:
        """`docker kill`."""
        if signum := request.query.get("signal"):
            signals.parse(signum)
        try:
            container = self._find(request)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {request.match_info['name']}: {error.message}") from None
        await to_end(self._containers.lifecycle.kill(container, request.query.get("signal")))
        return web.Response(status=204)

    async def post_pause(self, request: web.Request) -> web.StreamResponse:
        """`docker pause`."""
        await to_end(self._containers.lifecycle.pause(self._find(request)))
        return web.Response(status=204)

    async def post_unpause(self, request: web.Request) -> web.StreamResponse:
        """`docker unpause`."""
        await to_end(self._containers.lifecycle.unpause(self._find(request)))
        return web.Response(status=204)

    async def post_rename(self, request: web.Request) -> web.StreamResponse:
        """`docker rename`."""
        self._containers.rename(self._find(request), request.query.get("name", ""))
        return web.Response(status=204)

    async def post_resize(self, request: web.Request) -> web.StreamResponse:
        """Set the size of the container's terminal."""
        container = self._find(request)
        rows, columns = terminal_size(request)
        container.check_running()
        await self._engine.runtime.resize(container.id, rows, columns)
        size = {"height": str(rows), "width": str(columns)}
        self._engine.events.publish("container", "resize", container.id, container.event_attributes() | size)
        return web.Response(status=200)

    async def post_update(self, request: web.Request) -> web.StreamResponse:
        """`docker update`."""
        changes = decode_update(await json_body(request))
        warnings = await to_end(self._containers.update(self._find(request), changes))
        return json_response({"Warnings": warnings or None})

    async def post_prune(self, request: web.Request) -> web.StreamResponse:
        """`docker container prune`."""
        return json_response(await to_end(self._containers.prune(Filters.parse(request.query.get("filters")))))

    async def delete_container(self, request: web.Request) -> web.StreamResponse:
        """`docker rm`."""
        if flag(request, "link"):
            self._containers.unlink(request.match_info["name"])
            return web.Response(status=204)
        work = self._containers.remove(self._find(request), force=flag(request, "force"), volumes=flag(request, "v"))
        await to_end(work)
        return web.Response(status=204)

    def _find(self, request: web.Request) -> Container:
        return self._containers.get(request.match_info["name"])

    async def _add_sizes(self, container: Container, document: dict[str, Any]) -> None:
        written = await self._containers.files.size_rw(container)
        document["SizeRw"] = written
        document["SizeRootFs"] = await self._containers.files.size_root(container, written)


def _add_own_aliases(container: Container, networks: dict[str, dict[str, Any]]) -> None:
    """Tell old clients its short id and host name among the aliases; new ones find them in DNSNames."""
    for name, endpoint in networks.items():
        if name not in ("bridge", "host", "none"):
            own = (container.id[:12], str(container.record.config["Hostname"]))
            endpoint["Aliases"] = list(dict.fromkeys((*(endpoint["Aliases"] or ()), *own)))


def terminal_size(request: web.Request) -> tuple[int, int]:
    """Return `h` and `w` of a resize request, which has to have both. Raises InvalidParameter."""
    for name in ("h", "w"):
        if not request.query.get(name):
            raise InvalidParameter('strconv.Atoi: parsing "": invalid syntax')
    return number(request, "h", 0), number(request, "w", 0)


def _stop_arguments(request: web.Request) -> dict[str, Any]:
    timeout = request.query.get("t", "")
    signum = request.query.get("signal") if requested_version(request) >= (1, 42) else None
    return {"signum": signum or None, "timeout_s": number(request, "t", 0) if timeout else None}
