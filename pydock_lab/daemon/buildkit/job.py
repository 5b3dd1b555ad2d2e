"""One build of a BuildKit client, from its solve request to the exporter's answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from pydock_lab.daemon.builder.builder import Builder, RunningBuild
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.supply import Supply
from pydock_lab.daemon.buildkit.grpc import CANCELED, UNKNOWN, Anything, GrpcError
from pydock_lab.daemon.buildkit.progress import Progress, told
from pydock_lab.errors import LabError, NotFound, NotImplementedYet
from pydock_lab.spec import reference

_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"

MakeSupply = Callable[[RunningBuild, contextlib.AsyncExitStack], Supply]


class Job:
    """A build and its progress.

    Args:
        ref: As its client named it.
        builder: Carries it out.

    Attributes:
        session: Id of the session that serves it.
        tags: Names for the image.
        returned: What the client, leading the build itself, makes its result: the result's id, "" for none.
    """

    def __init__(self, ref: str, builder: Builder, *, session: str = "", tags: tuple[str, ...] = ()) -> None:
        self.ref = ref
        self.session = session
        self.tags = tags
        self.result_id = ""
        self.progress = Progress(ref)
        self.returned: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._builder = builder
        self._options = BuildOptions()
        self._build: RunningBuild | None = None
        self._ending: asyncio.Task[str] | None = None

    async def start(self, options: BuildOptions, make_supply: MakeSupply) -> None:
        """Begin to build; return when the Dockerfile is read and its images are here.

        Raises:
            LabError: it can't be read, or an image can't be had.
        """
        if self._ending is not None and not self._ending.done():
            raise NotImplementedYet("a second build in the time of the first is not supported: ask for it apart")
        self._options = options
        self._build = self._builder.begin(options)
        self.result_id = secrets.token_hex(12)
        self._ending = asyncio.create_task(self._run(self._build, make_supply), name=f"solve {self.ref}")
        steps: list[asyncio.Future[Any]] = [self._ending, self.progress.planning]
        await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
        if self._ending.done():
            self._ending.result()

    async def _run(self, build: RunningBuild, make_supply: MakeSupply) -> str:
        async with contextlib.AsyncExitStack() as stack:
            build.start(make_supply(build, stack), self.progress)
            with contextlib.suppress(LabError):  # `result` has it
                async for _ in build.messages():
                    await self.progress.room()  # so that a step that says much waits for the client
        if isinstance(build.result, LabError):
            raise self._told(build, build.result)
        if not build.result:
            raise GrpcError(CANCELED, "context canceled")
        return build.result

    async def image(self) -> str:
        """Wait for the end of the build; return the image's id.

        Raises:
            GrpcError: it has failed, with the place in the Dockerfile.
        """
        if self._ending is None:
            raise NotFound(f"nothing is built for {self.ref}")
        return await asyncio.shield(self._ending)

    def export(self, image_id: str) -> dict[str, str]:
        """Show that the image is in the store, under its names; return what the exporter answers."""
        names = [str(reference.parse(tag)) for tag in self.tags]
        with self.progress.doing("exporting to image") as vertex:
            self.progress.note(vertex, "exporting layers")
            self.progress.note(vertex, f"writing image {image_id}")
            for name in names:
                self.progress.note(vertex, f"naming to {name}")
        answer = {"containerimage.digest": image_id, "containerimage.config.digest": image_id}
        return answer | ({"image.name": ",".join(names)} if names else {})

    async def close(self) -> None:
        """The client has its answer or has gone: what still runs ends."""
        if self._build is not None and self._ending is not None and not self._ending.done():
            await asyncio.shield(asyncio.ensure_future(self._build.cancel()))
        if self._ending is not None:
            await asyncio.gather(self._ending, return_exceptions=True)
        if not self.returned.done():
            self.returned.cancel()
        self.progress.close()

    def _told(self, build: RunningBuild, error: LabError) -> GrpcError:
        """Return a failure in BuildKit's words, with the place in the Dockerfile."""
        document = self._builder.record(build.id)
        failed = [step["line"] for step in document["steps"] if step["state"] == "failed"]
        line = int((document.get("error") or {}).get("line") or (failed[0] if failed else 0))
        message = told(error.message)
        if error.hint:
            message += "\n" + error.hint.replace("pydock build", "docker build")
        return GrpcError(UNKNOWN, message, (self._place(document["dockerfile"], line),) if line else ())

    def _place(self, dockerfile: str, line: int) -> Anything:
        """Name a line, so that the client shows it with those around it; as JSON, as the type's name says."""
        info = {"filename": self._options.dockerfile, "data": dockerfile.encode(), "language": "Dockerfile"}
        place = {"start": {"line": line}, "end": {"line": line}}
        return Anything(_SOURCE, msgspec.json.encode({"info": info, "ranges": [place]}))
