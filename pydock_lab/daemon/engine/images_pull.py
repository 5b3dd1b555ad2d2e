"""Getting an image from outside: registry first, and a stand-in where none answers.

The order is DESIGN.md's: local store → mirror → registry → catalogue. A stand-in
says in the progress what it stands in for and what differs; it never takes the
place of a real image.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pydock_lab.daemon.catalog.catalog import LABEL, Catalog
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.registry.client import RegistryClient
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.daemon.registry.progress import Progress
from pydock_lab.daemon.registry.refusals import RateLimited, Unreachable
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import LabError
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.reference import Reference


class ImagePull:
    """Finds images for `docker pull`, for `FROM`, and for whoever wants to run one."""

    def __init__(
        self, store: ImageStore, registry: RegistryClient, catalog: Catalog, events: Events, trace: Trace
    ) -> None:
        self._store = store
        self._registry = registry
        self._catalog = catalog
        self._events = events
        self._trace = trace

    async def pull(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> Image:
        """Fetch an image, tag it, and tell Docker's last lines; `asked`: the client's request, for the record.

        Raises:
            LabError: the registry says no, or none answers and the catalogue has no stand-in.
        """
        before = self._store.target(str(reference))
        image = await self._fetch(reference, platform, credentials, progress, asked)
        news = "Image is up to date" if before == image.id else "Downloaded newer image"
        progress({"status": f"Status: {news} for {reference.familiar}"})
        return image

    async def pull_all(
        self,
        repository: Reference,
        *,
        platform: Platform | None = None,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> None:
        """Fetch every tag of a repository (`docker pull -a`); where no registry answers, `latest` or its stand-in.

        Raises:
            LabError: the registry says no.
        """
        try:
            tags = await self._registry.tags(repository, credentials)
        except Unreachable:
            latest = replace(repository, tag="latest")
            await self.pull(latest, platform=platform, credentials=credentials, progress=progress, asked=asked)
            return
        before = {tag: self._store.target(str(replace(repository, tag=tag))) for tag in tags}
        after = {
            tag: (await self._fetch(replace(repository, tag=tag), platform, credentials, progress, asked)).id
            for tag in tags
        }
        news = "Image is up to date" if before == after else "Downloaded newer image"
        progress({"status": f"Status: {news} for {repository.familiar_name}"})

    async def _fetch(
        self,
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
        asked: str,
    ) -> Image:
        """Fetch one image and name it."""
        try:
            image, digest = await self._registry.pull(
                reference, platform=platform, credentials=credentials, progress=progress, asked=asked
            )
        except (Unreachable, RateLimited) as error:
            image = await self._instead(reference, platform or Platform.host(), error, progress)
            digest = ""
        if digest:
            pinned = replace(reference, tag="", digest=digest)
            for name in dict.fromkeys((str(replace(reference, digest="") if reference.tag else pinned), str(pinned))):
                if self._store.target(name) != image.id:
                    self._store.tag(name, image.id)
            progress({"status": f"Digest: {digest}"})
        self._events.publish("image", "pull", reference.familiar, {**image.labels, "name": reference.familiar_name})
        return image

    async def _instead(self, reference: Reference, platform: Platform, error: LabError, progress: Progress) -> Image:
        """Without a registry: the real image that is here, or else a stand-in; either only for the right platform."""
        if image_id := self._store.target(str(reference)):
            image = self._store.get(image_id)
            if not is_stand_in(image) and platform.rank(Platform.of(image.config)) is not None:
                progress({"status": f"No registry answered ({error.message}); the image that is here is used"})
                return image
        if reference.digest or self._catalog.recipe_for(reference) is None:
            known = ", ".join(recipe.name for recipe in self._catalog.recipes())
            error.hint = f"no registry answers, and the catalogue has stand-ins for these only: {known}"
            raise error
        if platform.rank(Platform.host()) is None:
            error.hint = f"no registry answers, and stand-ins are made for {Platform.host()}, not for {platform}"
            raise error
        progress({"status": f"Pulling from {reference.path}", "id": reference.tag})
        image = await asyncio.to_thread(self._catalog.build, reference)
        for line in self._catalog.notice(reference, image):
            progress({"status": line})
        self._trace.emit("catalog", "standin.used", image.id, reference=reference.familiar, reason=error.message)
        return image


def is_stand_in(image: Image) -> bool:
    """Whether the catalogue made the image."""
    return LABEL in image.labels
