"""`/build`: the classic protocol (a tar goes up, JSON lines come down), prune and cancel.

Source: Docker Engine API 1.47, ImageBuild, BuildPrune; moby api/server/router/build.

BuildKit's own protocol is gRPC (api/buildkit.py). Docker 20.10 begins such a build here, with
`version=2`: the context is in its session, and the stream carries BuildKit's progress. What the
classic protocol has no words for, `pydock build` says in parameters of our own, which other
engines don't know:

    nocachefilter   JSON list: stages that are built anew (--no-cache-filter)
    buildcontexts   JSON object: name → `docker-image://IMAGE` or a git URL (--build-context)
    ssh             JSON object: id → path of an agent's socket on this machine (--ssh)
    reasons=1       messages carry what the cache answered, as `cache`
    extras=1        the tar holds, below `.pydock/`, `secrets/ID` (--secret) and
                    `contexts/NAME/…` (--build-context of a directory)

The answer's header X-Pydock-Build names the build for `/lab/builds/{id}`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.buildkit import BUILDKIT
from pydock_lab.daemon.builder.builder import RunningBuild
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.pruning import Pruned
from pydock_lab.daemon.builder.usage import LOCALS, MOUNTS, STEPS
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.dockerfile.typed import duration_ns
from pydock_lab.errors import DockerfileError, InvalidParameter, SystemFailure
from pydock_lab.spec.platform import Platform

_TRUE = ("1", "true", "True", "TRUE", "t", "T")
_BUILDER_V2 = "2"
_SESSION, _UPLOAD = "client-session", "upload-request"
_AGES = ("until", "unused-for")

T = TypeVar("T")


def routes(engine: Engine) -> list[web.RouteDef]:
    """Return the routes of this noun."""
    build = BuildRoutes(engine)
    return [
        web.post("/build", build.post_build),
        web.post("/build/prune", build.post_prune),
        web.post("/build/cancel", build.post_cancel),
    ]


class BuildRoutes:
    """The handlers of `/build`."""

    def __init__(self, engine: Engine) -> None:
        self._builder = engine.builder

    async def post_build(self, request: web.Request) -> web.StreamResponse:
        """Build an image from the tar in the body; a client that goes away cancels its build."""
        options = read_options(request)
        if request.query.get("version", "") == _BUILDER_V2:
            return await self._build_in_session(request, options)
        build = self._builder.begin(options)
        try:
            await _receive(request, build)
            build.start()
            return await _stream(request, build)
        except BaseException:
            # Also a client that has gone: nothing of the build may go on or stay.
            await asyncio.shield(asyncio.ensure_future(build.cancel()))
            raise

    async def _build_in_session(self, request: web.Request, options: BuildOptions) -> web.StreamResponse:
        """Build for a client that serves its context itself (docker 20.10 with DOCKER_BUILDKIT=1)."""
        purpose, _, build_id = options.build_id.partition(":")
        if purpose == _UPLOAD and build_id:
            await request.app[BUILDKIT].backend.upload(build_id, request.content.iter_any())
            return web.Response()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        outputs = _json(request.query, "outputs", list[dict[str, Any]]) or []
        messages = request.app[BUILDKIT].backend.build(options, request.query.get("session", ""), outputs)
        async with contextlib.aclosing(messages):
            async for message in messages:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(msgspec.json.encode(message) + b"\r\n")
        with contextlib.suppress(ConnectionError):  # the CLI goes as soon as it has heard of a failure
            await response.write_eof()
        return response

    async def post_prune(self, request: web.Request) -> web.Response:
        """Forget the build cache and remove what only it holds."""
        wanted = read_pruned(request)
        return json_response(await asyncio.shield(asyncio.ensure_future(self._builder.prune(wanted))))

    async def post_cancel(self, request: web.Request) -> web.Response:
        """Stop the build that was begun with this `buildid`."""
        build_id = request.query.get("id", "")
        if not build_id:
            raise SystemFailure("build ID not provided")
        await asyncio.shield(asyncio.ensure_future(self._builder.cancel(build_id)))
        return web.Response(status=200)


async def _receive(request: web.Request, build: RunningBuild) -> None:
    """Write the body to the build's tar as it comes."""
    with build.tar.open("wb") as file:
        async for chunk in request.content.iter_any():
            file.write(chunk)


async def _stream(request: web.Request, build: RunningBuild) -> web.StreamResponse:
    """Send the build's messages; a failure before the first one is the answer's status instead."""
    headers = {"Content-Type": "application/json", "X-Pydock-Build": build.id}
    response = web.StreamResponse(headers=headers)
    async with contextlib.aclosing(build.messages()) as messages:
        async for waiting in messages:
            if not response.prepared:
                await response.prepare(request)
            # A cached build says all at once: in one write, not in four for each step.
            await response.write(b"".join(msgspec.json.encode(message) + b"\r\n" for message in waiting))
    if not response.prepared:
        await response.prepare(request)
    await response.write_eof()
    return response


def read_options(request: web.Request) -> BuildOptions:
    """Read the query and the registry header of `POST /build`.

    Raises:
        InvalidParameter: a parameter is malformed.
        NotImplementedYet: a parameter asks for what this engine can't do.
    """
    query = request.query
    _refuse(query)
    memory, memory_swap = _number(query, "memory"), _number(query, "memswap")
    return BuildOptions(
        dockerfile=query.get("dockerfile") or "Dockerfile",
        tags=tuple(tag for tag in query.getall("t", []) if tag),
        build_args=_json(query, "buildargs", dict[str, str | None]) or {},
        labels=_json(query, "labels", dict[str, str]) or {},
        no_cache=_flag(query, "nocache"),
        pull=_flag(query, "pull"),
        remove=_flag(query, "rm", default=True),
        force_remove=_flag(query, "forcerm"),
        quiet=_flag(query, "q"),
        target=query.get("target", ""),
        network=query.get("networkmode") or "default",
        extra_hosts=_extra_hosts(query),
        shm_bytes=_number(query, "shmsize"),
        resources=_resources(query, memory, memory_swap),
        rlimits=_ulimits(query),
        platform=str(Platform.parse(query["platform"])) if query.get("platform") else "",
        cache_from=tuple(_json(query, "cachefrom", list[str]) or ()),
        registry_auth=_registry_auth(request),
        build_id=query.get("buildid", ""),
        cgroup_parent=query.get("cgroupparent", ""),
        remote=query.get("remote", "").removeprefix(_SESSION),
        extras=_flag(query, "extras"),
        contexts=_json(query, "buildcontexts", dict[str, str]) or {},
        ssh=_json(query, "ssh", dict[str, str]) or {},
        reasons=_flag(query, "reasons"),
        no_cache_filter=tuple(_json(query, "nocachefilter", list[str]) or ()),
    )


def _refuse(query: Any) -> None:
    """Say plainly what this engine does not do."""
    if query.get("remote", "") == _SESSION and query.get("version", "") != _BUILDER_V2:
        raise InvalidParameter("the classic builder takes no context from a session: version=2 is BuildKit's")
    isolation = query.get("isolation", "")
    if isolation.lower() not in ("", "default"):
        raise InvalidParameter(f'Unsupported isolation: "{isolation}"')
    if _flag(query, "squash"):
        raise InvalidParameter("squash is only supported with experimental mode")


def read_pruned(request: web.Request) -> Pruned:
    """Read what of the build cache is to go. `all` makes no difference: nothing of it is internal.

    Raises:
        InvalidParameter: an unknown filter, or a value that is none.
    """
    filters = Filters.parse(request.query.get("filters", ""))
    keep = [_number(request.query, name) for name in ("keep-storage", "reserved-space")]
    try:
        filters.check((*_AGES, "id", "type"))
        return Pruned(
            until_ns=_unused_since_ns(filters),
            ids=tuple(text.removeprefix("sha256:") for text in filters.values("id")),
            types=tuple(filters.values("type")) or (STEPS, MOUNTS, LOCALS),
            keep_bytes=max(keep),
        )
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to prune build cache: {error.message}") from None


def _unused_since_ns(filters: Filters) -> int | None:
    """Read `until=24h` (once called `unused-for`) as nanoseconds since the epoch; None where all is to go."""
    for key in _AGES:
        for text in filters.values(key):
            try:
                return time.time_ns() - duration_ns(text)
            except DockerfileError as error:
                what = f"\"{key}\" filter expects a duration (e.g., '24h'): {error.message}"
                raise InvalidParameter(what) from None
    return None


def _flag(query: Any, name: str, *, default: bool = False) -> bool:
    value = query.get(name)
    return default if value is None else value in _TRUE


def _number(query: Any, name: str) -> int:
    """Read a number; what is none counts as 0, as in Docker (httputils.Int64ValueOrZero)."""
    try:
        return int(query.get(name, ""))
    except ValueError:
        return 0


def _json(query: Any, name: str, kind: type[T]) -> T | None:
    value = query.get(name, "")
    if not value:
        return None
    try:
        return msgspec.json.decode(value, type=kind | None)
    except msgspec.MsgspecError as error:
        raise InvalidParameter(f"error reading {name}: {error}") from None


def _extra_hosts(query: Any) -> tuple[str, ...]:
    """Docker's CLI repeats the parameter, docker-py sends one JSON object."""
    hosts: list[str] = []
    for value in query.getall("extrahosts", []):
        if value.startswith("{"):
            pairs: dict[str, str] = msgspec.json.decode(value, type=dict[str, str])
            hosts += [f"{name}:{address}" for name, address in pairs.items()]
        elif value.startswith("["):
            hosts += msgspec.json.decode(value, type=list[str])
        elif value:
            hosts.append(value)
    return tuple(hosts)


def _resources(query: Any, memory: int, memory_swap: int) -> dict[str, Any]:
    """Limits for RUN as OCI `linux.resources`."""
    limits: dict[str, Any] = {}
    if memory > 0:
        limits["memory"] = {"limit": memory, "swap": memory_swap or 2 * memory}
    cpu = {
        "shares": _number(query, "cpushares"),
        "quota": _number(query, "cpuquota"),
        "period": _number(query, "cpuperiod"),
        "cpus": query.get("cpusetcpus", ""),
        "mems": query.get("cpusetmems", ""),
    }
    if any(cpu.values()):
        limits["cpu"] = {name: value for name, value in cpu.items() if value}
    return limits


def _ulimits(query: Any) -> tuple[tuple[str, int, int], ...]:
    rows = _json(query, "ulimits", list[dict[str, Any]]) or []
    try:
        return tuple((row["Name"], int(row["Soft"]), int(row["Hard"])) for row in rows)
    except (KeyError, ValueError, TypeError):
        raise InvalidParameter("error reading ulimit settings") from None


def _registry_auth(request: web.Request) -> dict[str, dict[str, str]]:
    """Read `X-Registry-Config`: base64 of registry → AuthConfig; a malformed one counts as none, as in Docker."""
    header = request.headers.get("X-Registry-Config", "")
    if not header:
        return {}
    try:
        padded = header + "=" * (-len(header) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=dict[str, dict[str, str]])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return {}
