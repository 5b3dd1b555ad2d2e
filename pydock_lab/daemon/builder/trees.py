"""The files that COPY --from and RUN --mount=from name: of a stage, a named context, or an image."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydock_lab.daemon.builder import remote
from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.digests import DigestMemo
from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.builder.rootfs import Rootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.dockerfile.stages import Program, Stage
from pydock_lab.errors import InvalidParameter, LabError

IMAGE_CONTEXT = "docker-image://"
"""Before the name of an image that `--build-context` puts in the place of another name."""


@dataclass
class Trees:
    """Finds the files behind names, for all stages of one build.

    Args:
        context: The build context.
        contexts: `--build-context` that are no directory: name → image or URL.
        scratch: Of this build.
        built: Waits for a stage.
        image: Finds or pulls an image.
    """

    program: Program
    context: BuildContext
    contexts: dict[str, str]
    scratch: Path
    layers: LayerStore
    memo: DigestMemo
    built: Callable[[Stage], Awaitable[Draft]]
    image: Callable[[str], Awaitable[Image]]
    rootless: bool = False
    _fetched: dict[str, asyncio.Task[SourceTree]] = field(default_factory=dict)

    async def find(self, name: str, stage: Stage) -> SourceTree:
        """Return the files that a stage may read under a name.

        Raises:
            LabError: there is nothing of that name.
        """
        if (own := self.context.named(name)) is not None:
            return own
        target = self.contexts.get(name)
        if target is not None and not target.startswith(IMAGE_CONTEXT):
            return await self._remote(target)
        source = None if target is not None else self.program.find(name)
        if source is None and name.isdigit() and target is None:
            raise InvalidParameter(f"invalid from flag value {name}: index out of bounds")
        if source is not None and source.index != stage.index:
            return self._of((await self.built(source)).chain_id)
        try:
            image = await self.image(self.contexts.get(name, name).removeprefix(IMAGE_CONTEXT))
            return self._of(image.chain_id)
        except LabError as error:
            raise type(error)(f"invalid from flag value {name}: {error.message}", hint=error.hint) from None

    def _of(self, chain_id: str | None) -> SourceTree:
        lowers = self.layers.lower_paths(chain_id)
        if chain_id is None:
            empty = self.scratch / "empty"
            empty.mkdir(exist_ok=True)
            return SourceTree(Rootfs([empty]), is_context=False)
        return SourceTree(Rootfs(lowers, rootless=self.rootless), is_context=False, known=self.memo.of(chain_id))

    async def _remote(self, url: str) -> SourceTree:
        """A repository that is a context of its own; fetched once."""
        if url not in self._fetched:
            if not remote.is_git(url):
                raise InvalidParameter(f"unsupported context source {url}", hint="a directory, docker-image:// or git")
            directory = Path(tempfile.mkdtemp(dir=self.scratch)) / "tree"
            work = asyncio.to_thread(remote.clone, remote.GitSource.read(url), directory)

            async def fetch() -> SourceTree:
                return SourceTree(Rootfs([await finished(work)]), is_context=True)

            self._fetched[url] = asyncio.create_task(fetch())
        return await asyncio.shield(self._fetched[url])
