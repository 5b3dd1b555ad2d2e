"""BuildKit's house: the sessions that are open, the builds that run, and the builder that carries them out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from pydock_lab.daemon.builder.builder import Builder, RunningBuild
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.supply import Supply
from pydock_lab.daemon.builder.workshop import Resolve
from pydock_lab.daemon.buildkit import output
from pydock_lab.daemon.buildkit.job import Job, Jobs
from pydock_lab.daemon.buildkit.options import read_options
from pydock_lab.daemon.buildkit.protos.control import Exporter
from pydock_lab.daemon.buildkit.sessions import Session, Sessions
from pydock_lab.daemon.buildkit.supply import SessionSupply
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import NotImplementedYet

_IMAGE, _FILES = ("moby", "image", "docker"), ("local", "tar")
_EXPORTING = {"local": ("client directory", "copying files"), "tar": ("client tarball", "sending tarball")}


class House:
    """One daemon's.

    Args:
        builder: Carries builds out.
        resolve: Finds images, or pulls them.
        layers: Of the images.
    """

    def __init__(self, builder: Builder, resolve: Resolve, layers: LayerStore) -> None:
        self.builder = builder
        self.sessions = Sessions()
        self.jobs = Jobs()
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
        self.jobs.add(job)
        return job

    async def start(self, job: Job, frontend: str, attributes: dict[str, str]) -> None:
        """Begin to build as a frontend's attributes say; return when the Dockerfile is read. Raises LabError."""
        await self.build(job, read_options(frontend, attributes, job.tags))

    async def build(self, job: Job, options: BuildOptions) -> None:
        """Begin to build; return when the Dockerfile is read. Raises LabError."""
        session = await self.sessions.get(job.session)

        def supply(build: RunningBuild, stack: contextlib.AsyncExitStack) -> Supply | None:
            return self._supply(session, options, job, build, stack)

        await job.start(options, supply)

    def _supply(
        self, session: Session, options: BuildOptions, job: Job, build: RunningBuild, stack: contextlib.AsyncExitStack
    ) -> Supply | None:
        if options.remote:
            return None  # the builder fetches it itself
        return SessionSupply(session, self.builder.mirrors, options.dockerfile, job.progress, build.scratch, stack)

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
