"""What the API hands BuildKit's clients to: connections upgraded to HTTP/2, and builds over `POST /build`."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.buildkit.arrivals import Arrivals
from pydock_lab.daemon.buildkit.control import Services
from pydock_lab.daemon.buildkit.controller import Controller
from pydock_lab.daemon.buildkit.grpc import server
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.job import Job
from pydock_lab.daemon.buildkit.protos.control import Exporter
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.errors import InvalidParameter, LabError, NotFound

_UPLOAD = "upload-request"  # what docker 20.10 names as the remote where another request brings the context
_PATIENCE_S = 5
_TRACE, _IMAGE_ID = "moby.buildkit.trace", "moby.image.id"


class _Upload:
    """A context on its way from one request to another."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunks = chunks
        self.begun = asyncio.Event()
        self.taken = asyncio.Event()


class Backend:
    """What the API opens for clients that speak BuildKit.

    Args:
        controller: Where the clients' builds are carried out.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._serve = server(Services(controller).methods())
        self._connections: set[Connection] = set()
        self._uploads: Arrivals[_Upload] = Arrivals("no context has come for {}", patience_s=_PATIENCE_S)

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
        self._controller.sessions.add(session_id, session)
        try:
            await running
        finally:
            self._controller.sessions.remove(session_id, session)
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
        job = self._controller.begin(options.build_id or secrets.token_hex(32), session, exporters)
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

    async def upload(self, build_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Hand over the context of a build that says `upload-request`; return when that has taken it.

        Raises:
            NotFound: the build does not come.
        """
        upload = _Upload(chunks)
        self._uploads.add(build_id, upload)
        try:
            await asyncio.wait_for(upload.begun.wait(), _PATIENCE_S)
            await upload.taken.wait()
        except asyncio.TimeoutError:
            raise NotFound(f"no build takes the context of {build_id}") from None
        finally:
            self._uploads.remove(build_id, upload)

    async def _uploaded(self, build_id: str) -> AsyncIterator[bytes]:
        """Yield the context that a client hands over for a build, a moment before or after it."""
        upload = await self._uploads.get(build_id)
        upload.begun.set()
        try:
            async for chunk in upload.chunks:
                yield chunk
        finally:
            upload.taken.set()

    async def _build(self, options: BuildOptions, job: Job, exporters: list[Exporter]) -> dict[str, str]:
        try:
            upload = self._uploaded(options.build_id) if options.remote == _UPLOAD else None
            await self._controller.build(job, options, upload=upload)
            return await self._controller.export(job, exporters)
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
