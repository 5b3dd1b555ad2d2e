"""Images: configs by digest, and the references that point at them.

Source: OCI image-spec config.md; moby image/store.go and reference/store.go for
how names are looked up. May be called from any thread.
"""

from __future__ import annotations

import builtins
import hashlib
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.layers import Layer, LayerStore, chain_id
from pydock_lab.errors import InvalidParameter, NotFound
from pydock_lab.spec import timestamps
from pydock_lab.spec.reference import is_digest, parse


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        id: `sha256:…`, the digest of `raw`.
        raw: The image config exactly as it was made, pulled or loaded.
        config: `raw` decoded (OCI image config: config, rootfs.diff_ids, history, created, …).
        parent: Image id of the step before in a classic build, or "".
        chain_id: Top of its stack of layers, or None for an image without layers.
        size: Bytes of all its layers.
        tagged_ns: When a reference was last pointed at it, nanoseconds since the epoch, or 0.
    """

    id: str
    raw: bytes
    config: dict[str, Any]
    parent: str
    chain_id: str | None
    size: int
    tagged_ns: int = 0

    @property
    def labels(self) -> dict[str, str]:
        """Its own, which its events carry too."""
        return (self.config.get("config") or {}).get("Labels") or {}

    @property
    def created_ns(self) -> int:
        """Nanoseconds since the epoch, or 0 where the config doesn't say."""
        try:
            return timestamps.parse(self.config.get("created") or "")
        except InvalidParameter:
            return 0


class ImageStore:
    """All images of one data root. Tags are full references (`docker.io/library/alpine:latest`)."""

    def __init__(self, database: Database, layers: LayerStore) -> None:
        self.layers = layers
        self._database = database
        self._documents = database.table("images")
        self._tag_documents = database.table("tags")
        self._lock = database.lock
        self._images = {image_id: _decode(image_id, document) for image_id, document in self._documents.items()}
        self._tags: dict[str, str] = {
            reference: image_id for reference, image_id in self._tag_documents.items() if image_id in self._images
        }

    def put(self, raw: bytes, *, parent: str = "") -> Image:
        """Add an image whose layers are all there; the same config twice is one image.

        Raises:
            InvalidParameter: `raw` is no image config.
            NotFound: one of its layers is missing.
        """
        image_id = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        config = _decode_config(raw)
        stack: str | None = None
        for diff_id in config["rootfs"]["diff_ids"]:
            stack = chain_id(stack, diff_id)
        size = sum(layer.size for layer in self.layers.stack(stack))
        with self._lock:
            there = self._images.get(image_id)
            if there is not None and (there.parent or not parent):
                return there
            image = Image(image_id, raw, config, parent, stack, size, there.tagged_ns if there else 0)
            with self._database.transaction():
                if stack is not None:
                    self.layers.hold(stack, f"image:{image_id}")
                self._documents.put(image_id, _encode(image))
            self._images[image_id] = image
            return image

    def get(self, image_id: str) -> Image:
        """Return the image of a full id. Raises NotFound."""
        try:
            return self._images[image_id]
        except KeyError:
            raise NotFound(f"No such image: {image_id}") from None

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    def resolve(self, name: str) -> Image:
        """Find an image by reference, full id, or unambiguous id prefix, as Docker does.

        Raises:
            NotFound: `No such image: NAME:TAG`.
            InvalidParameter: `name` can be no reference.
        """
        if is_digest(name) or (len(name) == 64 and not name.strip("0123456789abcdef")):
            return self.get(name if ":" in name else f"sha256:{name}")
        reference = parse(name)
        with self._lock:
            if image_id := self._tags.get(str(replace(reference, tag="") if reference.digest else reference)):
                return self._images[image_id]
            found = self._by_prefix(name)
        if found is None:
            raise NotFound(f"No such image: {reference.familiar}")
        return found

    def list(self) -> list[Image]:
        """Return all images, newest first, intermediate ones included."""
        with self._lock:
            return sorted(self._images.values(), key=lambda image: (-image.created_ns, image.id))

    def children(self, image_id: str) -> builtins.list[str]:
        """Return the ids of the images built directly on this one."""
        with self._lock:
            return [image.id for image in self._images.values() if image.parent == image_id]

    def references(self, image_id: str) -> builtins.list[str]:
        """Return the full references of an image (tags and digests)."""
        with self._lock:
            return sorted(reference for reference, target in self._tags.items() if target == image_id)

    def target(self, reference: str) -> str | None:
        """Return the id of the image a full reference points at, or None."""
        return self._tags.get(reference)

    def tag(self, reference: str, image_id: str) -> None:
        """Point a full reference at an image, taking it from any other. Raises NotFound."""
        with self._lock:
            image = replace(self.get(image_id), tagged_ns=time.time_ns())
            with self._database.transaction():
                self._tag_documents.put(reference, image_id)
                self._documents.put(image_id, _encode(image))
            self._tags[reference] = image_id
            self._images[image_id] = image

    def untag(self, reference: str) -> None:
        """Forget a full reference. Raises NotFound."""
        with self._lock:
            if reference not in self._tags:
                raise NotFound(f"reference does not exist: {reference}")
            self._tag_documents.delete(reference)
            del self._tags[reference]

    def remove(self, image_id: str) -> builtins.list[Layer]:
        """Forget an image, its references, and its layers where nobody else holds them; blocks.

        Returns:
            The layers that went, topmost first.
        """
        with self._lock:
            self.get(image_id)
            references = self.references(image_id)
            with self._database.transaction():
                for reference in references:
                    self._tag_documents.delete(reference)
                self._documents.delete(image_id)
            for reference in references:
                del self._tags[reference]
            del self._images[image_id]
        return self.layers.collect(f"image:{image_id}")

    def _by_prefix(self, prefix: str) -> Image | None:
        prefix = prefix.removeprefix("sha256:")
        if not prefix or prefix.strip("0123456789abcdef"):
            return None
        found = [image for image_id, image in self._images.items() if image_id.startswith(prefix, len("sha256:"))]
        return found[0] if len(found) == 1 else None


def _decode_config(raw: bytes) -> dict[str, Any]:
    """Decode an image config and see that it has what every image has."""
    try:
        config = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"invalid image config: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("rootfs"), dict):
        raise InvalidParameter("invalid image JSON, no RootFS key")
    diff_ids = config["rootfs"].setdefault("diff_ids", [])
    if diff_ids is None:
        diff_ids = config["rootfs"]["diff_ids"] = []
    if not isinstance(diff_ids, list) or not all(isinstance(item, str) and is_digest(item) for item in diff_ids):
        raise InvalidParameter("invalid image config: diff_ids")
    return config


def _encode(image: Image) -> dict[str, Any]:
    return {
        "raw": image.raw.decode(),
        "parent": image.parent,
        "chain_id": image.chain_id,
        "size": image.size,
        "tagged_ns": image.tagged_ns,
    }


def _decode(image_id: str, document: dict[str, Any]) -> Image:
    raw = document["raw"].encode()
    return Image(
        image_id,
        raw,
        _decode_config(raw),
        document["parent"],
        document["chain_id"],
        document["size"],
        document["tagged_ns"],
    )
