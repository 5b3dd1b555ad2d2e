"""Pushing one image: what the registry lacks of layers and config, then the manifest.

An image that came from a registry goes out with the manifest and the blobs it
came with, so that its digest stays. Layers made here are compressed on the way,
the same bytes every time. Source: distribution-spec 1.1 "Push".
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import IO, Any

import msgspec

from pydock_lab.daemon.registry.progress import LayerProgress, Progress
from pydock_lab.daemon.registry.refusals import BodyTooLarge
from pydock_lab.daemon.registry.session import RegistrySession
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.distribution import Distribution, Origin
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Layer, LayerStore
from pydock_lab.errors import LabError, SystemFailure, Unavailable
from pydock_lab.spec import media_types
from pydock_lab.spec.reference import Reference

_CONCURRENT_UPLOADS = 3
_CHUNK = 1 << 20
_LEVEL = 6
_PIECE = 16 << 20
_SMALLEST_PIECE = 64 << 10
_RESUMES = 5
_BACK_OFF_S = 0.2


class Push:
    """One push of one tag."""

    def __init__(
        self,
        session: RegistrySession,
        reference: Reference,
        image: Image,
        progress: Progress,
        *,
        blobs: BlobStore,
        layers: LayerStore,
        distribution: Distribution,
    ) -> None:
        self._session = session
        self._reference = reference
        self._image = image
        self._progress = progress
        self._blobs = blobs
        self._layers = layers
        self._distribution = distribution
        self._slots = asyncio.Semaphore(_CONCURRENT_UPLOADS)

    async def run(self) -> tuple[str, int]:
        """Upload what is missing; return the manifest's digest and size."""
        stack = self._layers.stack(self._image.chain_id)
        known = self._known_manifest(stack)
        origins = known[2] if known else {}
        lines = {layer.chain_id: LayerProgress(self._progress, layer.diff_id) for layer in stack}
        for line in lines.values():
            line.status("Preparing")
        uploads = [
            asyncio.create_task(self._push_layer(layer, lines[layer.chain_id], origins.get(layer.diff_id)))
            for layer in stack
        ]
        try:
            pushed = await asyncio.gather(*uploads)
        finally:
            for upload in uploads:
                upload.cancel()
            await asyncio.gather(*uploads, return_exceptions=True)
        await self._push_config()
        wanted = [origins[layer.diff_id].digest for layer in stack] if known else []
        if known and wanted == [origin.digest for origin in pushed]:
            raw, media_type = known[:2]
        else:  # a blob that the known manifest names is neither here nor there: the layer went in another form
            raw, media_type = self._manifest(list(reversed(pushed)))
        headers = {"Content-Type": media_type}
        async with self._session.request(
            "PUT", f"manifests/{self._reference.tag}", ok=(201,), data=raw, headers=headers
        ):
            pass
        digest = self._distribution.add_manifest(self._image.id, raw, media_type)
        return digest, len(raw)

    def _known_manifest(self, stack: list[Layer]) -> tuple[bytes, str, dict[str, Origin]] | None:
        """A manifest the image came with, if all its layers can be sent as it names them."""
        for raw, media_type in self._distribution.manifests(self._image.id):
            named = [layer["digest"] for layer in msgspec.json.decode(raw)["layers"]]
            origins: dict[str, Origin] = {}
            for layer, digest in zip(reversed(stack), named, strict=True):
                for origin in self._distribution.origins(layer.diff_id):
                    if origin.digest == digest:
                        origins[layer.diff_id] = origin
            if len(origins) == len({layer.diff_id for layer in stack}):
                return raw, media_type, origins
        return None

    def _manifest(self, pushed: list[Origin]) -> tuple[bytes, str]:
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.DOCKER_MANIFEST,
            "config": _descriptor(media_types.DOCKER_CONFIG, len(self._image.raw), self._image.id),
            "layers": [_descriptor(media_types.DOCKER_LAYER, origin.size, origin.digest) for origin in pushed],
        }
        # Docker's own manifests are indented by three spaces; equal images then have equal digests.
        return msgspec.json.format(msgspec.json.encode(document), indent=3), media_types.DOCKER_MANIFEST

    async def _push_layer(self, layer: Layer, line: LayerProgress, wanted: Origin | None) -> Origin:
        async with self._slots:
            origin = wanted or self._gzip_origin(layer)
            if origin is not None and await self._is_there(origin.digest):
                line.status("Layer already exists")
            elif origin is not None and await self._mount(origin, line):
                pass
            elif origin is not None and origin.digest in self._blobs:
                await self._upload_blob(origin, line)
                line.status("Pushed")
            else:
                origin = await self._compress_and_upload(layer, line)
                line.status("Pushed")
            self._distribution.add_origin(layer.diff_id, replace(origin, repositories=(self._reference.name,)))
            return origin

    def _gzip_origin(self, layer: Layer) -> Origin | None:
        """A gzip form in which the layer is known, best one whose bytes are here."""
        known = [
            origin
            for origin in self._distribution.origins(layer.diff_id)
            if origin.media_type.endswith("gzip") and origin.verified
        ]
        return max(known, key=lambda origin: origin.digest in self._blobs, default=None)

    async def _is_there(self, digest: str) -> bool:
        async with self._session.request("HEAD", f"blobs/{digest}", ok=(200, 404)) as response:
            return response.status == 200

    async def _mount(self, origin: Origin, line: LayerProgress) -> bool:
        """Let the registry take the blob from another of its repositories."""
        for name in origin.repositories:
            domain, _, path = name.partition("/")
            if domain != self._reference.domain or path == self._reference.path:
                continue
            query = {"mount": origin.digest, "from": path}
            self._session.add_scope(path)
            with contextlib.suppress(LabError):
                async with self._session.request("POST", "blobs/uploads/", ok=(201, 202), params=query) as response:
                    if response.status == 201:
                        line.status(f"Mounted from {path}")
                        return True
                    location = response.headers["Location"]
                async with self._session.request("DELETE", location, ok=(202, 204)):
                    pass
        return False

    async def _upload_blob(self, origin: Origin, line: LayerProgress) -> None:
        with self._blobs.open(origin.digest) as file:
            await self._put_file(origin, file, line)

    async def _compress_and_upload(self, layer: Layer, line: LayerProgress) -> Origin:
        """Send a layer that was made here; its gzip form is not kept, it can be made again."""
        line.advance("Pushing", 0, layer.tar_size)
        with self._blobs.scratch() as directory:
            path = directory / "layer.gz"

            def write() -> tuple[str, int]:
                sha256, size = hashlib.sha256(), 0
                with path.open("wb") as file:
                    for chunk in _gzip(self._layers.tar(layer.chain_id)):
                        sha256.update(chunk)
                        size += file.write(chunk)
                return f"sha256:{sha256.hexdigest()}", size

            digest, size = await asyncio.to_thread(write)
            origin = Origin(digest, size, media_types.DOCKER_LAYER)
            if not await self._is_there(digest):
                with path.open("rb") as file:
                    await self._put_file(origin, file, line)
        line.advance("Pushing", layer.tar_size, layer.tar_size)
        return origin

    async def _push_config(self) -> None:
        """Send the config in one piece."""
        digest, raw = self._image.id, self._image.raw
        if await self._is_there(digest):
            return
        headers = {"Content-Type": "application/octet-stream"}
        url = _with_digest((await self._begin_upload())[0], digest)
        async with self._session.request("PUT", url, ok=(201,), data=raw, headers=headers):
            pass

    async def _put_file(self, origin: Origin, file: IO[bytes], line: LayerProgress) -> None:
        """Send a layer as one stream, or in pieces where that is too much for the registry.

        Where the connection breaks, go on from what the registry has.
        """
        (location, least), sent, attempt = await self._begin_upload(), 0, 0
        piece = origin.size
        while sent < origin.size:
            end = min(sent + piece, origin.size)
            try:
                location = await self._patch(location, file, sent, end, origin.size, line)
                sent = end
                continue
            except BodyTooLarge:
                if piece <= max(least, _SMALLEST_PIECE):
                    raise
                piece = max(min(piece // 2, _PIECE), least, _SMALLEST_PIECE)
            except (Unavailable, SystemFailure):
                if attempt == _RESUMES:
                    raise
                await asyncio.sleep(_BACK_OFF_S * 2**attempt)
                attempt += 1
            location, sent = await self._take_up(location)
        async with self._session.request("PUT", _with_digest(location, origin.digest), ok=(201,), retry=False):
            pass

    async def _patch(self, location: str, file: IO[bytes], start: int, end: int, size: int, line: LayerProgress) -> str:
        """Send the bytes of a file from `start` to before `end`; return where the upload goes on."""

        async def body() -> AsyncIterator[bytes]:
            sent = start
            file.seek(start)
            while chunk := await asyncio.to_thread(file.read, min(_CHUNK, end - sent)):
                yield chunk
                sent += len(chunk)
                line.advance("Pushing", sent, size)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
        if end - start < size:
            headers["Content-Range"] = f"{start}-{end - 1}"
        async with self._session.request(
            "PATCH", location, ok=(202,), retry=False, data=body(), headers=headers
        ) as response:
            return response.headers.get("Location", location)

    async def _take_up(self, location: str) -> tuple[str, int]:
        """Ask how far an upload has come; begin anew where the registry does not know."""
        with contextlib.suppress(LabError):
            async with self._session.request("GET", location, ok=(204,)) as response:
                end = response.headers.get("Range", "").rpartition("-")[2]
                if end.isdecimal() and int(end) > 0:  # `0-0` may mean one byte or none
                    return response.headers.get("Location", location), int(end) + 1
        return (await self._begin_upload())[0], 0

    async def _begin_upload(self) -> tuple[str, int]:
        """Return where to send to, and the least size of a piece if the registry names one."""
        async with self._session.request("POST", "blobs/uploads/", ok=(202,)) as response:
            least = response.headers.get("OCI-Chunk-Min-Length", "")
            return response.headers["Location"], int(least) if least.isdecimal() else 0


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def _descriptor(media_type: str, size: int, digest: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": size, "digest": digest}


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Compress with zlib: no name, no time, so the same tar gives the same bytes."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
