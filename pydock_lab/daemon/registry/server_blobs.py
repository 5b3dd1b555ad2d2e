"""`/v2/NAME/blobs/…`: blobs out, whole or in ranges; uploads in, in one piece or many.

Source: distribution-spec 1.1 "Pulling blobs", "Pushing blobs".
"""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from pydock_lab.daemon.registry.server_errors import RegistryError
from pydock_lab.daemon.registry.server_storage import RegistryStorage, Upload, check_digest

_PIECE = 1 << 20
_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?")


class BlobHandlers:
    """The routes of blobs and uploads."""

    def __init__(self, storage: RegistryStorage) -> None:
        self._storage = storage
        # An upload is open as long as its client goes on; after a restart it is opened anew.
        self._uploads: dict[str, Upload] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def routes(self) -> list[web.RouteDef]:
        """The route table; uploads first, `uploads` is no digest."""
        upload = "/v2/{name:.+}/blobs/uploads/{id:[^/]+}"
        return [
            web.post("/v2/{name:.+}/blobs/uploads/", self.post_upload),
            web.get(upload, self.get_upload),
            web.patch(upload, self.patch_upload),
            web.put(upload, self.put_upload),
            web.delete(upload, self.delete_upload),
            web.get("/v2/{name:.+}/blobs/{digest}", self.get_blob),
            web.delete("/v2/{name:.+}/blobs/{digest}", self.delete_blob),
        ]

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        """Send a blob; aiohttp answers Range and HEAD."""
        name, digest = request.match_info["name"], request.match_info["digest"]
        path = self._storage.blob(name, digest)
        if request.method == "HEAD":  # who pushes asks so, and sends no bytes that are here
            await asyncio.to_thread(self._storage.renew, name, digest)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "Cache-Control": "max-age=31536000",
        }
        return web.FileResponse(path, chunk_size=_PIECE, headers=headers)

    async def delete_blob(self, request: web.Request) -> web.Response:
        """Take a blob from the repository."""
        await asyncio.to_thread(self._storage.delete_blob, request.match_info["name"], request.match_info["digest"])
        return web.Response(status=202)

    async def post_upload(self, request: web.Request) -> web.Response:
        """Begin an upload; `?mount=` takes another repository's blob, `?digest=` brings all at once."""
        name, query = request.match_info["name"], request.query
        digest, source = query.get("mount", ""), query.get("from", "")
        if digest and source:
            mounted = await asyncio.to_thread(self._storage.mount, name, source, digest)
            if mounted:
                return _created(name, digest)
        upload_id = await asyncio.to_thread(self._storage.begin, name)
        if digest := query.get("digest", ""):
            return await self._complete(request, upload_id, digest)
        return _progress(name, upload_id, 0, 202)

    async def get_upload(self, request: web.Request) -> web.Response:
        """Say how far an upload is."""
        name, upload_id = request.match_info["name"], request.match_info["id"]
        async with self._lock(upload_id):
            upload = await self._open(name, upload_id)
        return _progress(name, upload_id, upload.size, 204)

    async def patch_upload(self, request: web.Request) -> web.Response:
        """Append a chunk."""
        name, upload_id = request.match_info["name"], request.match_info["id"]
        async with self._lock(upload_id):
            upload = await self._open(name, upload_id)
            _check_range(request, name, upload_id, upload)
            await _append(request, upload)
        return _progress(name, upload_id, upload.size, 202)

    async def put_upload(self, request: web.Request) -> web.Response:
        """Append the last chunk, if any, and make it a blob."""
        digest = request.query.get("digest", "")
        check_digest(digest)
        return await self._complete(request, request.match_info["id"], digest)

    async def delete_upload(self, request: web.Request) -> web.Response:
        """Drop an upload."""
        upload_id = request.match_info["id"]
        async with self._lock(upload_id):
            await asyncio.to_thread(self._storage.cancel, request.match_info["name"], upload_id)
            self._close(upload_id)
        return web.Response(status=204)

    async def _complete(self, request: web.Request, upload_id: str, digest: str) -> web.Response:
        name = request.match_info["name"]
        async with self._lock(upload_id):
            upload = await self._open(name, upload_id)
            _check_range(request, name, upload_id, upload)
            await _append(request, upload)
            try:
                await asyncio.to_thread(self._storage.finish, name, upload_id, upload, digest)
            finally:
                self._close(upload_id)
        return _created(name, digest)

    async def _open(self, name: str, upload_id: str) -> Upload:
        """Return an upload that is under way, or take up one from before a restart."""
        if upload_id not in self._uploads:
            try:
                self._uploads[upload_id] = await asyncio.to_thread(self._storage.upload, name, upload_id)
            except RegistryError:
                self._locks.pop(upload_id, None)
                raise
        return self._uploads[upload_id]

    async def close(self, _app: web.Application) -> None:
        """Let the files of uploads go; they stay on the disk."""
        for upload_id in list(self._uploads):
            self._close(upload_id)

    def _close(self, upload_id: str) -> None:
        self._locks.pop(upload_id, None)
        if upload := self._uploads.pop(upload_id, None):
            upload.close()

    def _lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id, asyncio.Lock())


async def _append(request: web.Request, upload: Upload) -> None:
    """Write the body as it comes, in pieces that are worth a thread's while."""
    pending = bytearray()
    async for data in request.content.iter_any():
        pending += data
        if len(pending) >= _PIECE:
            await asyncio.to_thread(upload.write, bytes(pending))
            pending.clear()
    if pending:
        await asyncio.to_thread(upload.write, bytes(pending))


def _check_range(request: web.Request, name: str, upload_id: str, upload: Upload) -> None:
    """A chunk that says where it belongs has to belong at the end."""
    text = request.headers.get("Content-Range")
    if text is None:
        return
    match = _RANGE.fullmatch(text)
    if match is None:
        raise RegistryError("BLOB_UPLOAD_INVALID", 400, detail=f"Content-Range: {text}")
    start, end = int(match[1]), int(match[2])
    length = request.content_length
    if start != upload.size or (length is not None and length != end - start + 1):
        raise RegistryError("RANGE_INVALID", 416, headers=_place(name, upload_id, upload.size))


def _place(name: str, upload_id: str, size: int) -> dict[str, str]:
    return {
        "Location": f"/v2/{name}/blobs/uploads/{upload_id}",
        "Range": f"0-{max(size - 1, 0)}",
        "Docker-Upload-UUID": upload_id,
    }


def _progress(name: str, upload_id: str, size: int, status: int) -> web.Response:
    return web.Response(status=status, headers=_place(name, upload_id, size))


def _created(name: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
