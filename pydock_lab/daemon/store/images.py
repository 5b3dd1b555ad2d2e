"""Images: configs by digest, and the references that point at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.layers import LayerStore


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
    """

    id: str
    raw: bytes
    config: dict[str, Any]
    parent: str
    chain_id: str | None
    size: int


class ImageStore:
    """All images of one data root. Tags are full references (`docker.io/library/alpine:latest`)."""

    def __init__(self, database: Database, layers: LayerStore) -> None:
        self.layers = layers

    def put(self, raw: bytes, *, parent: str = "") -> Image:
        """Add an image whose layers are all there; the same config twice is one image."""
        raise NotImplementedError

    def get(self, image_id: str) -> Image:
        """Return the image of a full id. Raises NotFound."""
        raise NotImplementedError

    def resolve(self, name: str) -> Image:
        """Find an image by reference, full id, or unambiguous id prefix, as Docker does.

        Raises:
            NotFound: `No such image: NAME:TAG`.
        """
        raise NotImplementedError

    def list(self) -> list[Image]:
        """Return all images, newest first, intermediate ones included."""
        raise NotImplementedError

    def references(self, image_id: str) -> list[str]:
        """Return the full references of an image (tags and digests)."""
        raise NotImplementedError

    def tag(self, reference: str, image_id: str) -> None:
        """Point a full reference at an image, taking it from any other."""
        raise NotImplementedError

    def untag(self, reference: str) -> None:
        """Forget a full reference. Raises NotFound."""
        raise NotImplementedError

    def remove(self, image_id: str) -> None:
        """Forget an image without references, and its layers where nobody else holds them."""
        raise NotImplementedError
