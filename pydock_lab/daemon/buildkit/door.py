"""The two doors of BuildKit's house: connections that were upgraded to HTTP/2, and builds over `POST /build`."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from pydock_lab.daemon.builder.builder import Builder
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.workshop import Resolve
from pydock_lab.daemon.buildkit.control import Services
from pydock_lab.daemon.buildkit.grpc import server
from pydock_lab.daemon.buildkit.house import House
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.job import Job
from pydock_lab.daemon.buildkit.protos.control import Exporter
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import InvalidParameter, LabError

_TRACE, _IMAGE_ID = "moby.buildkit.trace", "moby.image.id"


class Door:
    """What the API opens for clients that speak BuildKit.

    Args:
        builder: Carries builds out.
        resolve: Finds images, or pulls them.
        layers: Of the images.
    """

    def __init__(self, builder: Builder, resolve: Resolve, layers: LayerStore) -> None:
        self._house = House(builder, resolve, layers)
        self._serve = server(Services(self._house).methods())
        self._connections: set[Connection] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client (`/grpc`) until it goes."""
        await self._run(Connection(reader, writer, self._serve))

    async def hold(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        session_id: str,
        shared_key: str,
        methods: frozenset[str],
    ) -> None:
        """Keep a client's session (`/session`) until it goes.

        Raises:
            InvalidParameter: it has no id.
        """
        if not session_id:
            raise InvalidParameter("invalid session: no id")
        connection = Connection(reader, writer)
        session = Session(session_id, shared_key, methods, connection)
        running = asyncio.create_task(self._run(connection))
        self._house.sessions.add(session)
        try:
            await running
        finally:
            self._house.sessions.remove(session)
            running.cancel()

    async def build(
        self, options: BuildOptions, session: str, outputs: list[dict[str, Any]]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Build for a client of `POST /build?version=2`; yield the messages of its stream.

        The progress is `moby.buildkit.trace`: BuildKit's own messages, base64.

        Args:
            options: What was asked for.
            session: Id of the client's session.
            outputs: `Type` and `Attrs` of each exporter; none is an image.
        """
        exporters = [Exporter(str(entry.get("Type", "")), entry.get("Attrs") or {}) for entry in outputs]
        job = self._house.begin(options.build_id or secrets.token_hex(32), session, exporters)
        job.tags = options.tags
        work = asyncio.create_task(self._build(options, job, exporters or [Exporter("moby")]))
        held: list[dict[str, Any]] = []  # a quiet build tells its progress only if it fails
        try:
            async for response in job.progress.follow():
                message = {"id": _TRACE, "aux": base64.b64encode(response.encode()).decode()}
                if options.quiet:
                    held.append(message)
                else:
                    yield message
            image_id = (await work).get("containerimage.digest", "")
            if options.quiet:
                yield {"stream": f"{image_id}\n"}
            elif image_id:
                yield {"id": _IMAGE_ID, "aux": {"ID": image_id}}
        except LabError as error:
            for message in held:
                yield message
            yield {"errorDetail": {"message": error.message}, "error": error.message}
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _build(self, options: BuildOptions, job: Job, exporters: list[Exporter]) -> dict[str, str]:
        try:
            await self._house.build(job, options)
            return await self._house.export(job, exporters)
        finally:
            await job.close()

    async def _run(self, connection: Connection) -> None:
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def close(self) -> None:
        """Say goodbye to all clients."""
        for connection in list(self._connections):
            connection.close()
