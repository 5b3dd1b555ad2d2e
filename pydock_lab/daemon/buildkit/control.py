"""The services that are served on `/grpc`: moby.buildkit.v1.Control and frontend.LLBBridge.

A client solves in one of two ways: it names a frontend in Control.Solve, or it leads the build
itself (buildx does): Control.Solve waits, while LLBBridge.Solve begins and LLBBridge.Return ends it.

Source: moby/buildkit control/control.go, control/gateway/gateway.go.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from pydock_lab.daemon.builder.pruning import Pruned
from pydock_lab.daemon.buildkit.controller import Controller
from pydock_lab.daemon.buildkit.grpc import UNIMPLEMENTED, Call, GrpcError, Method, unary
from pydock_lab.daemon.buildkit.job import Job
from pydock_lab.daemon.buildkit.protos import control, gateway
from pydock_lab.daemon.buildkit.protos.control import Timestamp, UsageRecord
from pydock_lab.errors import LabError
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.protobuf import Message

_BUILD_ID = "buildkit-controlapi-buildid"
_FRONTEND_CAPS = (
    "solve.base",
    "return",
    "returnmap",
    "proto.refarray",
    "frontend.caps",
    "gateway.solve.evaluate",
    "gateway.solve.metadata",
    "resolveimage",
    "resolveimage.resolvemode",
)
_LLB_CAPS = ("source.image", "source.local", "source.git", "source.http", "exec.meta.network", "exec.mount.secret")


class Services:
    """The methods of both services.

    Args:
        controller: Where builds are carried out.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def methods(self) -> dict[str, Method]:
        """Return each path with its method."""
        own = {
            "ListWorkers": unary(control.ListWorkersRequest, self.list_workers),
            "Solve": unary(control.SolveRequest, self.solve),
            "Status": self.status,
            "DiskUsage": unary(control.DiskUsageRequest, self.disk_usage),
            "Prune": self.prune,
        }
        led = {
            "Ping": unary(gateway.Empty, self.ping),
            "Solve": unary(gateway.SolveRequest, self.led_solve),
            "Return": unary(gateway.ReturnRequest, self.returned),
            "ResolveImageConfig": unary(gateway.ResolveImageConfigRequest, self.resolve_image_config),
        }
        return {
            **{f"/moby.buildkit.v1.Control/{name}": method for name, method in own.items()},
            **{f"/moby.buildkit.v1.frontend.LLBBridge/{name}": method for name, method in led.items()},
        }

    # -- Control

    async def list_workers(self, request: control.ListWorkersRequest, call: Call) -> Message:
        """There is one worker, named as dockerd names its own."""
        return control.ListWorkersResponse([_worker()])

    async def solve(self, request: control.SolveRequest, call: Call) -> Message:
        """Build, led by a frontend or by the client; answer when the image is in the store."""
        exporters = request.exporters or [control.Exporter(request.exporter, request.exporter_attrs)]
        job = self._controller.begin(request.ref, request.session, exporters)
        try:
            if request.frontend:
                await self._controller.start(job, request.frontend, request.frontend_attrs)
            elif request.definition:
                raise GrpcError(UNIMPLEMENTED, "this engine builds Dockerfiles only: it does not solve graphs of LLB")
            elif not await job.returned:
                return control.SolveResponse()
            return control.SolveResponse(await self._controller.export(job, exporters))
        finally:
            await job.close()

    async def status(self, call: Call) -> None:
        """Tell of a build's progress until it has ended."""
        request = await call.request(control.StatusRequest)
        job = await self._controller.jobs.get(request.ref)
        call.start()
        async for response in job.progress.follow():
            await call.send(response)

    async def disk_usage(self, request: control.DiskUsageRequest, call: Call) -> Message:
        """Tell what the build cache holds."""
        rows = await asyncio.to_thread(self._controller.builder.usage)
        return control.DiskUsageResponse([_usage(row) for row in rows])

    async def prune(self, call: Call) -> None:
        """Remove what the build cache holds; tell what has gone."""
        request = await call.request(control.PruneRequest)
        until_ns = Timestamp.now().nanoseconds - request.keep_duration if request.keep_duration else None
        rows = {row["ID"]: row for row in await asyncio.to_thread(self._controller.builder.usage)}
        report = await self._controller.builder.prune(Pruned(until_ns=until_ns, keep_bytes=request.keep_bytes))
        freed = int(report["SpaceReclaimed"])
        for key in report["CachesDeleted"] or ():
            record = _usage(rows[key]) if key in rows else UsageRecord(key)
            freed -= record.size
            await call.send(record)
        if freed > 0:
            await call.send(UsageRecord("layers", size=freed, description="layers that only the cache held"))

    # -- LLBBridge

    async def ping(self, request: gateway.Empty, call: Call) -> Message:
        """Tell what the gateway can."""
        await self._job(call)
        return gateway.Pong(
            [gateway.Capability(name, enabled=True) for name in _FRONTEND_CAPS],
            [gateway.Capability(name, enabled=True) for name in _LLB_CAPS],
            [_worker()],
        )

    async def led_solve(self, request: gateway.SolveRequest, call: Call) -> Message:
        """Begin to build what the client asks for; its result may be waited for or returned."""
        job = await self._job(call)
        await self._controller.start(job, request.frontend, request.frontend_opt)
        if request.evaluate:
            await job.image()
        ref = gateway.Ref(job.result_id)
        if not request.allow_result_array_ref:
            return gateway.SolveResponse(ref.id, gateway.Result(ref.id))
        return gateway.SolveResponse(result=gateway.Result(ref=ref))

    async def returned(self, request: gateway.ReturnRequest, call: Call) -> Message:
        """The client has led its build to a result, or to a failure."""
        job = await self._job(call)
        if job.returned.done():
            return gateway.Empty()
        if request.error is not None and request.error.code:
            error = request.error
            job.returned.set_exception(GrpcError(error.code, error.message, tuple(error.details)))
            # Control.Solve may have gone already, with the client's connection.
            job.returned.exception()
        else:
            job.returned.set_result(request.result.id if request.result is not None else "")
        return gateway.Empty()

    async def resolve_image_config(self, request: gateway.ResolveImageConfigRequest, call: Call) -> Message:
        """Find an image, or pull it; tell its config."""
        image = await self._controller.find_image(request.ref)
        return gateway.ResolveImageConfigResponse(image.id, image.raw, request.ref)

    async def _job(self, call: Call) -> Job:
        return await self._controller.jobs.get(call.metadata(_BUILD_ID))


def _worker() -> control.WorkerRecord:
    here = Platform.host()
    return control.WorkerRecord("moby", platforms=[control.Platform(here.architecture, here.os, here.variant)])


def _usage(row: dict[str, object]) -> UsageRecord:
    """Turn Docker's BuildCache document into BuildKit's."""
    return UsageRecord(
        str(row["ID"]),
        mutable=True,
        in_use=bool(row.get("InUse")),
        size=int(str(row.get("Size", 0))),
        created_at=_moment(row.get("CreatedAt")),
        last_used_at=_moment(row.get("LastUsedAt")),
        usage_count=int(str(row.get("UsageCount", 0))),
        description=str(row.get("Description", "")),
        record_type=str(row.get("Type", "")),
        shared=bool(row.get("Shared")),
    )


def _moment(text: object) -> Timestamp | None:
    """Read a time as Docker's API writes it."""
    try:
        return Timestamp(int(datetime.fromisoformat(str(text)[:19] + "+00:00").timestamp()))
    except (ValueError, LabError):
        return None
