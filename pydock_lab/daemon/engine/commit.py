"""`docker commit`: a container's changes become a layer, its settings an image.

Source: moby daemon/commit.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import secrets
import time
from typing import Any

from pydock_lab.daemon.engine.containers.containers import Containers
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.images import Images
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import EMPTY_DIFF_ID, TRANSIENT, LayerStore
from pydock_lab.errors import Conflict
from pydock_lab.spec import timestamps
from pydock_lab.spec.reference import Reference

# What a commit's own Config may set; the rest (Hostname, Tty, …) is the container's.
_IMAGE_CONFIG = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
    *("StopSignal", "Healthcheck", "OnBuild", "Shell", "ArgsEscaped"),
)


class Committer:
    """Makes images of containers."""

    def __init__(self, containers: Containers, images: Images, layers: LayerStore, events: Events) -> None:
        self._containers = containers
        self._images = images
        self._layers = layers
        self._events = events

    async def commit(
        self,
        name: str,
        reference: Reference | None,
        *,
        config: dict[str, Any] | None = None,
        changes: list[str],
        author: str = "",
        comment: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of a container, running or not.

        Args:
            name: Of the container, or its id.
            reference: The image's name, or None.
            config: Docker's Config; what is set in it goes before the container's own.
            changes: Dockerfile instructions.
            author: Goes into the image.
            comment: Goes into its history.
            pause: Freeze the container meanwhile, so that files fit together.

        Raises:
            NotFound, InvalidParameter: in Docker's words.
        """
        container = self._containers.get(name)
        record = container.record
        freeze = pause and record.state.status == "running"
        holder = f"{TRANSIENT}commit:{secrets.token_hex(8)}"
        if freeze:
            # One that ends this moment is committed as well.
            with contextlib.suppress(Conflict):
                await self._containers.lifecycle.pause(container)
        try:
            upper = self._containers.launcher.upper(container.id)
            layer = await asyncio.to_thread(self._layers.snapshot, upper, record.chain_id, holder=holder)
        finally:
            if freeze:
                with contextlib.suppress(Conflict):
                    await self._containers.lifecycle.unpause(container)
        try:
            diff_id = layer.diff_id if layer.diff_id != EMPTY_DIFF_ID else None
            document = self._document(container, config or {}, diff_id, author, comment)
            image = self._images.create(self._images.changed(document, changes), reference, parent=record.image_id)
        finally:
            await asyncio.to_thread(self._layers.release, holder)
        attributes = {**container.event_attributes(), "comment": comment, "imageID": image.id}
        if reference is not None:
            attributes["imageRef"] = reference.familiar
        self._events.publish("container", "commit", container.id, attributes)
        return image

    def _document(
        self, container: Container, config: dict[str, Any], diff_id: str | None, author: str, comment: str
    ) -> dict[str, Any]:
        """The image's document before it had the changes, with the new layer, if any, and its line of history."""
        record = container.record
        base = copy.deepcopy(self._images.resolve(record.image_id).config)
        own = copy.deepcopy(record.config)
        own |= {key: config[key] for key in _IMAGE_CONFIG if config.get(key)}
        created = timestamps.render(time.time_ns())
        line: dict[str, Any] = {"created": created, "created_by": " ".join([record.path, *record.args])}
        line |= {"comment": comment} if comment else {}
        line |= {"author": author} if author else {}
        line |= {"empty_layer": True} if diff_id is None else {}
        document = {key: base[key] for key in ("architecture", "variant", "os", "os.version") if base.get(key)}
        document |= {"author": author} if author else {}
        return document | {
            "comment": comment,
            "config": own,
            "container": container.id,
            "container_config": record.config,
            "created": created,
            "history": [*(base.get("history") or []), line],
            "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], *([diff_id] if diff_id else [])]},
        }
