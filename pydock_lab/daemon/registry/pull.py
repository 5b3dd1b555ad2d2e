"""Pulling one image: manifest, config, layers; each verified before it counts.

Layers are fetched by fetch.py. Source: distribution-spec 1.1 "Pull", OCI image-spec
(manifest, index, config).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from pydock_lab.daemon.registry.descriptor import Descriptor
from pydock_lab.daemon.registry.fetch import LayerFetch, Locks, Wanted
from pydock_lab.daemon.registry.progress import LayerProgress, Progress
from pydock_lab.daemon.registry.refusals import NoCredentials
from pydock_lab.daemon.registry.session import MAX_DOCUMENT, RegistrySession
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.distribution import Distribution, Origin
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import TRANSIENT, LayerStore, chain_id
from pydock_lab.errors import InvalidParameter, NotFound, SystemFailure
from pydock_lab.spec import media_types
from pydock_lab.spec.platform import Platform, choose
from pydock_lab.spec.reference import Reference, is_digest


@dataclass(frozen=True)
class Manifest:
    """An image manifest as it came.

    Attributes:
        digest: Of what the reference names: the index, where there is one.
    """

    raw: bytes
    media_type: str
    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Pull:
    """One pull of one reference."""

    def __init__(
        self,
        session: RegistrySession,
        reference: Reference,
        platform: Platform | None,
        progress: Progress,
        *,
        blobs: BlobStore,
        layers: LayerStore,
        images: ImageStore,
        distribution: Distribution,
        locks: Locks,
    ) -> None:
        self._session = session
        self._reference = reference
        self._platform = platform or Platform.host()
        self._progress = progress
        self._blobs = blobs
        self._layers = layers
        self._images = images
        self._distribution = distribution
        self._locks = locks
        self._holder = f"{TRANSIENT}pull:{secrets.token_hex(8)}"

    async def run(self) -> tuple[Image, str]:
        """Fetch the image; return it with the digest that its reference names."""
        manifest = await self.manifest()
        try:
            image = await self._image(manifest)
        finally:
            await asyncio.to_thread(self._layers.release, self._holder)
        return image, manifest.digest

    async def _image(self, manifest: Manifest) -> Image:
        """Return the image if it is here; else fetch what is missing of it."""
        here = None
        with contextlib.suppress(NotFound):
            here = self._images.get(manifest.config.digest)
        raw = here.raw if here is not None else await self._document(manifest.config)
        diff_ids = _diff_ids(raw)
        if len(diff_ids) != len(manifest.layers):
            raise InvalidParameter("layers from manifest don't match image configuration")
        if here is None:
            await self._fetch_layers(manifest.layers, diff_ids)
        image = here or self._images.put(raw)
        # Of an image that is here already, whoever pushes it must not send out what nobody has looked at.
        if here is None or self._distribution.is_verified([layer.digest for layer in manifest.layers], diff_ids):
            self._distribution.add_manifest(image.id, manifest.raw, manifest.media_type)
        return image

    async def manifest(self) -> Manifest:
        """Fetch the manifest for the platform.

        Raises:
            NotFound: the tag or the platform is not there, in Docker's words.
            InvalidParameter: it is none, or not what its digest says.
        """
        target = self._reference.digest or self._reference.tag
        try:
            raw, media_type, digest = await self._manifest_document(target)
        except NotFound as error:
            raise NotFound(f"manifest for {self._reference.familiar} not found: {error.message}") from None
        asked = self._reference.tag or str(self._reference)  # a digest is told with its name, as by dockerd
        self._progress({"status": f"Pulling from {self._reference.path}", "id": asked})
        top = digest
        if media_type in media_types.INDEXES:
            entry = choose(msgspec.json.decode(raw).get("manifests") or [], self._platform)
            if entry is None:
                raise NotFound(f"no matching manifest for {self._platform} in the manifest list entries")
            raw, media_type, digest = await self._manifest_document(Descriptor.read(entry).digest)
        if media_type not in media_types.MANIFESTS:
            raise InvalidParameter(f"unsupported manifest media type {media_type}", hint="not an image of today")
        document = msgspec.json.decode(raw)
        config = Descriptor.read(document.get("config") or {})
        if config.media_type not in media_types.CONFIGS:
            raise InvalidParameter(f"invalid manifest: unsupported config media type {config.media_type}")
        layers = tuple(Descriptor.read(layer) for layer in document.get("layers") or [])
        return Manifest(raw, media_type, top, config, layers)

    async def describe(self) -> dict[str, Any]:
        """Return Docker's DistributionInspect: what the reference names, and for which platforms."""
        raw, media_type, digest = await self._manifest_document(self._reference.digest or self._reference.tag)
        document = msgspec.json.decode(raw)
        if media_type in media_types.INDEXES:
            platforms = [entry.get("platform") or {} for entry in document.get("manifests") or []]
        else:
            config = msgspec.json.decode(await self._document(Descriptor.read(document.get("config") or {})))
            platforms = [{key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}]
        return {
            "Descriptor": {"mediaType": media_type, "digest": digest, "size": len(raw)},
            "Platforms": platforms,
        }

    async def _manifest_document(self, target: str) -> tuple[bytes, str, str]:
        accept = {"Accept": ", ".join(media_types.ACCEPTED)}
        try:
            raw, response = await self._session.read(f"manifests/{target}", headers=accept)
        except NoCredentials as error:
            url = self._session.url(f"manifests/{target}")
            raise SystemFailure(f'Head "{url}": {error.message}', hint=error.hint) from None
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        # A tag names no digest, but the registry says which one it stands for.
        told = target if is_digest(target) else response.headers.get("Docker-Content-Digest", digest)
        if is_digest(told) and digest != told:
            raise InvalidParameter(f"manifest verification failed for digest {told}")
        try:
            document = msgspec.json.decode(raw)
            media_type = str(document.get("mediaType") or response.content_type)
        except (msgspec.DecodeError, AttributeError):
            raise InvalidParameter("missing or invalid manifest") from None
        return raw, media_type, digest

    async def _document(self, descriptor: Descriptor) -> bytes:
        """Fetch a small blob, verified."""
        if descriptor.size > MAX_DOCUMENT:
            raise InvalidParameter("image config is too large")
        raw, _ = await self._session.read(f"blobs/{descriptor.digest}")
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != descriptor.digest:
            raise InvalidParameter(f"image config verification failed for digest {descriptor.digest}")
        return raw

    async def _fetch_layers(self, descriptors: tuple[Descriptor, ...], diff_ids: list[str]) -> None:
        """Bring all layers here that are not, and remember where each came from."""
        lines = [LayerProgress(self._progress, descriptor.digest) for descriptor in descriptors]
        missing = self._first_missing(diff_ids)
        for number, line in enumerate(lines):
            line.status("Already exists" if number < missing else "Pulling fs layer")
        parent: str | None = None
        for diff_id in diff_ids[:missing]:
            parent = chain_id(parent, diff_id)
        wanted = [Wanted(*each) for each in zip(descriptors, diff_ids, lines, strict=True)]
        fetch = LayerFetch(
            self._session, blobs=self._blobs, layers=self._layers, locks=self._locks, holder=self._holder
        )
        fetched = await fetch.run(wanted[missing:], parent)
        for layer in wanted:
            known, verified = layer.descriptor, layer.descriptor.digest in fetched
            origin = Origin(known.digest, known.size, known.media_type, (self._reference.name,), verified)
            self._distribution.add_origin(layer.diff_id, origin)

    def _first_missing(self, diff_ids: list[str]) -> int:
        """Count the lowest layers that are here, and hold them."""
        parent: str | None = None
        for number, diff_id in enumerate(diff_ids):
            stack = chain_id(parent, diff_id)
            try:
                self._layers.hold(stack, self._holder)
            except NotFound:
                return number
            parent = stack
        return len(diff_ids)


def _diff_ids(raw: bytes) -> list[str]:
    try:
        diff_ids = msgspec.json.decode(raw)["rootfs"]["diff_ids"] or []
        if not all(is_digest(diff_id) for diff_id in diff_ids):
            raise InvalidParameter("invalid image config: diff_ids")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise SystemFailure("invalid image config") from None
    return list(diff_ids)
