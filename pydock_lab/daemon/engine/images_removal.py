"""Taking images away: `docker rmi` and `docker image prune`, with Docker's conflicts.

Source: moby daemon/images/image_delete.go and image_prune.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.engine import timestamps
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.errors import Conflict, LabError, NotFound
from pydock_lab.spec.reference import Reference, parse

_PRUNE_FILTERS = ("dangling", "label", "label!", "until")


@dataclass(frozen=True)
class ImageUser:
    """A container, as far as images are concerned."""

    container_id: str
    image_id: str
    running: bool


Users = Callable[[], Iterable[ImageUser]]
Records = list[dict[str, str]]


class ImageRemoval:
    """Removes references, images and their layers. Methods run on the event loop."""

    def __init__(self, store: ImageStore, events: Events) -> None:
        self._store = store
        self._events = events
        self.users: Users = lambda: ()

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> Records:
        """Remove a reference, and the image with its last one.

        Args:
            name: A reference (only that goes, unless it is the last) or an id.
            force: Also where several references, or stopped containers, use it.
            prune: Also parents that nothing else needs.

        Returns:
            Docker's `Untagged` and `Deleted` records.

        Raises:
            NotFound, Conflict: in Docker's words.
        """
        image = self._store.resolve(name)
        references = self._references(image.id)
        records: Records = []
        by_name = not _is_id_prefix(image.id, name)
        if by_name:
            if not force and _is_single(references):
                self._check_unused(image, name)
            self._untag_by_name(image, parse(name), records)
            if self._references(image.id):
                return records
        elif _is_single(references):
            self._check(image.id, hard=True, stopped=not force, referenced=False)
            for reference in references:
                self._untag(image.id, reference, records)
        await self._delete(image.id, records, force=force, prune=prune, quiet=by_name)
        return records

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove images that nothing uses; return Docker's ImagesPruneReport.

        Args:
            filters: dangling (true unless it says otherwise), label, label!, until.
        """
        filters.check(_PRUNE_FILTERS)
        dangling_only = filters.flag("dangling", default=True)
        until_ns = timestamps.until_ns(filters)
        deleted: Records = []
        sizes = {layer.chain_id: layer.size for image in self._store.list() for layer in self._layers(image)}
        for image in self._store.list():
            if image.id not in self._store or (until_ns is not None and image.created_ns > until_ns):
                continue
            if not filters.labels(image.labels):
                continue
            references = self._references(image.id)
            if not references and self._store.children(image.id):
                continue
            if dangling_only and any(reference.tag for reference in references):
                continue
            for name in [str(reference) for reference in references] or [image.id]:
                # Used by a container; or a digest, which has gone with the last tag of its repository.
                with contextlib.suppress(LabError):
                    deleted += await self.remove(name)
        reclaimed = sum(sizes.get(record.get("Deleted", ""), 0) for record in deleted)
        self._events.publish("image", "prune", "", {"reclaimed": str(reclaimed)})
        return {"ImagesDeleted": deleted or None, "SpaceReclaimed": reclaimed}

    def _layers(self, image: Image) -> list[Any]:
        return self._store.layers.stack(image.chain_id)

    def _references(self, image_id: str) -> list[Reference]:
        return [parse(text) for text in self._store.references(image_id)]

    def _untag_by_name(self, image: Image, reference: Reference, records: Records) -> None:
        if reference.digest:
            reference = Reference(reference.domain, reference.path, digest=reference.digest)
        self._untag(image.id, reference, records)
        left = self._references(image.id)
        if reference.tag and not any(other.tag and other.name == reference.name for other in left):
            # A digest alone would keep the image of a repository whose last tag has gone.
            for other in left:
                if other.name == reference.name:
                    self._untag(image.id, other, records)

    def _untag(self, image_id: str, reference: Reference, records: Records) -> None:
        self._store.untag(str(reference))
        records.append({"Untagged": reference.familiar})
        self._events.publish("image", "untag", image_id, self._attributes(image_id))

    async def _delete(self, image_id: str, records: Records, *, force: bool, prune: bool, quiet: bool) -> None:
        try:
            self._check(image_id, hard=True, stopped=not force, referenced=not force)
        except Conflict:
            if quiet and (not self._is_dangling(image_id) or self._uses(image_id)):
                return
            raise
        image = self._store.get(image_id)
        for reference in self._references(image_id):
            self._untag(image_id, reference, records)
        layers = await asyncio.to_thread(self._store.remove, image_id)
        self._events.publish("image", "delete", image_id, self._attributes(image_id))  # without labels, as Docker's
        records.append({"Deleted": image_id})
        records += [{"Deleted": layer.chain_id} for layer in layers]
        if prune and image.parent in self._store and not self._references(image.parent):
            await self._delete(image.parent, records, force=False, prune=True, quiet=True)

    def _is_dangling(self, image_id: str) -> bool:
        return not self._store.references(image_id) and not self._store.children(image_id)

    def _uses(self, image_id: str) -> list[ImageUser]:
        return [user for user in self.users() if user.image_id == image_id]

    def _check_unused(self, image: Image, name: str) -> None:
        """Refuse to take an image's only reference while a container uses it."""
        for user in self._uses(image.id):
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - container '
                f"{user.container_id[:12]} is using its referenced image {_short(image.id)}",
                hint=f"remove the container first: docker rm {user.container_id[:12]}",
            )

    def _check(self, image_id: str, *, hard: bool, stopped: bool, referenced: bool) -> None:
        """Refuse to delete an image that something needs; `hard` conflicts can't be forced."""
        if hard and self._store.children(image_id):
            raise _conflict(image_id, "cannot be forced", "image has dependent child images")
        uses = self._uses(image_id)
        for user in uses:
            if hard and user.running:
                what = f"image is being used by running container {user.container_id[:12]}"
                raise _conflict(image_id, "cannot be forced", what)
        if referenced and self._store.references(image_id):
            raise _conflict(image_id, "must be forced", "image is referenced in multiple repositories")
        for user in uses:
            if stopped and not user.running:
                what = f"image is being used by stopped container {user.container_id[:12]}"
                raise _conflict(image_id, "must be forced", what)

    def _attributes(self, image_id: str) -> dict[str, str]:
        try:
            image = self._store.get(image_id)
        except NotFound:
            return {"name": image_id}
        return image.labels | {"name": image_id}


def _is_id_prefix(image_id: str, name: str) -> bool:
    return image_id.startswith(name) or image_id.removeprefix("sha256:").startswith(name)


def _is_single(references: list[Reference]) -> bool:
    """At most one tag, and everything in one repository."""
    tags = [reference for reference in references if reference.tag]
    return len(tags) <= 1 and len({reference.name for reference in references}) <= 1


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


def _conflict(image_id: str, force: str, what: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {_short(image_id)} ({force}) - {what}")
