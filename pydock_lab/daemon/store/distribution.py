"""What the store knows of the outside: which blobs a layer came in, which manifests name an image.

Pushing or saving an image that was pulled must give the same digests again, so
the compressed layers and the manifest are kept as they came, as long as there
is an image or layer that they belong to. Used by `registry` and `engine`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import ImageStore
from pydock_lab.daemon.store.layers import LayerStore


@dataclass(frozen=True)
class Origin:
    """One form in which a layer is known outside.

    Attributes:
        digest: Of the (compressed) blob.
        size: Its bytes.
        media_type: As the manifest said.
        repositories: `domain/path` of those that are known to hold the blob.
        verified: The blob has been here and held this layer; else a manifest says so, whose other layers came.
    """

    digest: str
    size: int
    media_type: str
    repositories: tuple[str, ...] = ()
    verified: bool = True


class Distribution:
    """Origins of layers and manifests of images."""

    def __init__(self, database: Database, blobs: BlobStore, layers: LayerStore, images: ImageStore) -> None:
        self._documents = database.table("distribution")
        self._blobs = blobs
        self._layers = layers
        self._images = images

    def add_origin(self, diff_id: str, origin: Origin) -> None:
        """Remember in which blob a layer came, or where it has been pushed."""
        origins = {known.digest: known for known in self.origins(diff_id)}
        if known := origins.get(origin.digest):
            repositories = tuple(dict.fromkeys((*origin.repositories, *known.repositories)))[:16]
            origin = replace(origin, repositories=repositories, verified=origin.verified or known.verified)
        origins[origin.digest] = origin
        self._documents.put(f"layer:{diff_id}", [asdict(known) for known in origins.values()])

    def origins(self, diff_id: str) -> list[Origin]:
        """Return the forms in which a layer is known."""
        found: list[dict[str, Any]] = self._documents.get(f"layer:{diff_id}") or []
        return [Origin(**(entry | {"repositories": tuple(entry["repositories"])})) for entry in found]

    def is_verified(self, digests: list[str], diff_ids: list[str]) -> bool:
        """Whether each blob of a manifest, lowest first, has been here and held its layer."""
        return all(
            any(origin.digest == digest and origin.verified for origin in self.origins(diff_id))
            for digest, diff_id in zip(digests, diff_ids, strict=True)
        )

    def add_manifest(self, image_id: str, raw: bytes, media_type: str) -> str:
        """Keep a manifest of an image; return its digest."""
        digest = self._blobs.put(raw)
        manifests = [entry for entry in self._documents.get(f"image:{image_id}") or [] if entry["digest"] != digest]
        self._documents.put(f"image:{image_id}", [*manifests, {"digest": digest, "media_type": media_type}])
        return digest

    def manifests(self, image_id: str) -> list[tuple[bytes, str]]:
        """Return the kept manifests of an image as (bytes, media type), newest first."""
        found = []
        for entry in reversed(self._documents.get(f"image:{image_id}") or []):
            if entry["digest"] in self._blobs:
                with self._blobs.open(entry["digest"]) as file:
                    found.append((file.read(), entry["media_type"]))
        return found

    def sweep(self) -> None:
        """Forget what belongs to no image or layer any more, and remove all other blobs; blocks."""
        kept: set[str] = set()
        for key, entries in self._documents.items():
            kind, _, subject = key.partition(":")
            there = subject in self._images if kind == "image" else self._layers.has_diff(subject)
            if there:
                kept |= {entry["digest"] for entry in entries}
            else:
                self._documents.delete(key)
        self._blobs.keep_only(kept)
