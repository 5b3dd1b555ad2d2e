"""The two doors of BuildKit's house: connections that were upgraded to HTTP/2, and builds over `POST /build`."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.builder import Builder
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.workshop import Resolve
from pydock_lab.daemon.buildkit.contexts import Contexts
from pydock_lab.daemon.buildkit.control import Services
from pydock_lab.daemon.buildkit.grpc import server
from pydock_lab.daemon.buildkit.house import House
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.job import Job
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.errors import InvalidParameter, LabError

_TRACE, _IMAGE_ID = "moby.buildkit.trace", "moby.image.id"


class Door:
    """What the API opens for clients that speak BuildKit.

    Args:
        builder: Carries builds out.
        data_root: The daemon's.
        resolve: Finds images, or pulls them.
    """

    def __init__(self, builder: Builder, data_root: Path, resolve: Resolve) -> None:
        self._house = House(builder, Contexts(data_root / "contexts"), resolve)
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

    async def build(self, options: BuildOptions, session: str) -> AsyncGenerator[dict[str, Any], None]:
        """Build for a client of `POST /build?version=2`; yield the messages of its stream.

        The progress is `moby.buildkit.trace`: BuildKit's own messages, base64.
        """
        job = self._house.begin(options.build_id or secrets.token_hex(32), session, [])
        job.tags = options.tags
        work = asyncio.create_task(self._build(options, job))
        try:
            async for response in job.progress.follow():
                yield {"id": _TRACE, "aux": base64.b64encode(response.encode()).decode()}
            yield {"id": _IMAGE_ID, "aux": {"ID": await work}}
        except LabError as error:
            yield {"errorDetail": {"message": error.message}, "error": error.message}
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _build(self, options: BuildOptions, job: Job) -> str:
        try:
            await self._house.build(job, options)
            return str((await self._house.export(job, []))["containerimage.digest"])
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
