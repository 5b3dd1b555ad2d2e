"""The sessions that are open, the builds that run, and the builder that carries them out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydock_lab.daemon.builder.builder import Builder, RunningBuild
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.workshop import Resolve
from pydock_lab.daemon.buildkit import output
from pydock_lab.daemon.buildkit.arrivals import Arrivals
from pydock_lab.daemon.buildkit.grpc import calling
from pydock_lab.daemon.buildkit.job import Job
from pydock_lab.daemon.buildkit.options import directories, read_options
from pydock_lab.daemon.buildkit.protos.control import Exporter
from pydock_lab.daemon.buildkit.protos.session import PULL, BytesMessage
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.daemon.buildkit.supply import RemoteSupply, SessionSupply
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import NotImplementedYet

_IMAGE, _FILES = ("moby", "image", "docker"), ("local", "tar")
_KEPT_JOBS = 64
_HANDED_OVER = "http://buildkit-session/"
_EXPORTING = {"local": ("client directory", "copying files"), "tar": ("client tarball", "sending tarball")}


class Controller:
    """One daemon's.

    Args:
        builder: Carries builds out.
        resolve: Finds images, or pulls them.
        layers: Of the images.

    Attributes:
        sessions: Those that are open.
        jobs: Those that run, and the latest that have ended, for their progress.
    """

    def __init__(self, builder: Builder, resolve: Resolve, layers: LayerStore) -> None:
        self.builder = builder
        self.sessions: Arrivals[Session] = Arrivals("no active session for {}: context deadline exceeded")
        self.jobs: Arrivals[Job] = Arrivals("no such job {}", kept=_KEPT_JOBS)
        self._resolve = resolve
        self._layers = layers

    def begin(self, ref: str, session: str, exporters: Sequence[Exporter]) -> Job:
        """Enter a build that a client has asked for.

        Raises:
            NotImplementedYet: its result is to go where this engine can't bring it.
        """
        for exporter in exporters:
            if exporter.type and exporter.type not in (*_IMAGE, *_FILES):
                raise NotImplementedYet(f'exporter "{exporter.type}" could not be found')
        names = [name for exporter in exporters for name in exporter.attrs.get("name", "").split(",") if name]
        job = Job(ref, self.builder, session=session, tags=tuple(names))
        self.jobs.add(ref, job)
        return job

    async def start(self, job: Job, frontend: str, attributes: dict[str, str]) -> None:
        """Begin to build as a frontend's attributes say; return when the Dockerfile is read. Raises LabError."""
        options = read_options(frontend, attributes, job.tags)
        await self.build(job, options, directories(attributes), apart="dockerfilekey" in attributes)

    async def build(
        self,
        job: Job,
        options: BuildOptions,
        named: dict[str, str] | None = None,
        *,
        apart: bool = False,
        upload: AsyncIterator[bytes] | None = None,
    ) -> None:
        """Begin to build; return when the Dockerfile is read.

        Args:
            job: Of the client.
            options: What it asks for; `remote` names the context where that is no directory of the client.
            named: Further contexts: name → what the session calls the directory.
            apart: The Dockerfile does not come with a remote context.
            upload: The context as a tar.

        Raises:
            LabError: the Dockerfile can't be read.
        """
        session = await self.sessions.get(job.session)

        async def fetch(tar: Path) -> None:
            with tar.open("wb") as file:
                async for chunk in upload or _pull(session, options.remote):
                    file.write(chunk)

        def supply(build: RunningBuild, stack: contextlib.AsyncExitStack) -> SessionSupply:
            own = (session, self.builder.mirrors, options.dockerfile, job.progress, build.scratch, stack, named)
            if not options.remote:
                return SessionSupply(*own)
            handed_over = upload is not None or options.remote.startswith(_HANDED_OVER)
            return RemoteSupply(
                *own,
                options=options,
                tar=build.tar,
                apart=apart,
                fetch=fetch if handed_over else None,
                rootless=self.builder.rootless,
            )

        await job.start(options, supply)

    async def export(self, job: Job, exporters: Sequence[Exporter]) -> dict[str, str]:
        """Wait for a build's image and bring it where it is to go; return what is said of it. Raises LabError."""
        image_id = await job.image()
        answer: dict[str, str] = {}
        for number, exporter in enumerate(exporters):
            if exporter.type in _IMAGE:
                answer |= job.export(image_id)
            elif exporter.type in _FILES:
                await self._send_files(job, image_id, exporter.type, number)
        return answer

    async def _send_files(self, job: Job, image_id: str, kind: str, number: int) -> None:
        where, what = _EXPORTING[kind]
        layers = self._layers.lower_paths((await self._resolve(image_id)).chain_id)
        session = await self.sessions.get(job.session)
        with job.progress.doing(f"exporting to {where}") as vertex:
            with job.progress.transferring(vertex, what) as transfer:
                await output.send(session, kind, number, layers, transfer.came)

    async def find_image(self, name: str) -> Image:
        """Find an image, or pull it. Raises LabError."""
        return await self._resolve(name)


async def _pull(session: Session, url: str) -> AsyncIterator[bytes]:
    """Yield what a client hands over behind a URL of its session."""
    parts = urlsplit(url)
    async with calling(session.connection, PULL, [("urlpath", parts.path), ("urlhost", parts.netloc)]) as call:
        while (message := await call.receive()) is not None:
            yield BytesMessage.decode(message).data
        await call.ended()
