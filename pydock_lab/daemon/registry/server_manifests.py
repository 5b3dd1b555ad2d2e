"""`/v2/NAME/manifests`, `/tags/list`, `/referrers` and `/v2/_catalog`.

Source: distribution-spec 1.1 "Pulling manifests", "Listing Tags", "Listing Referrers".
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from pydock_lab.daemon.registry.server_errors import RegistryError
from pydock_lab.daemon.registry.server_storage import RegistryStorage
from pydock_lab.spec import media_types

_MAX_MANIFEST = 4 << 20
_CATALOG_PAGE = 1000


class ManifestHandlers:
    """The routes of manifests, and the lists made of them."""

    def __init__(self, storage: RegistryStorage) -> None:
        self._storage = storage

    def routes(self) -> list[web.RouteDef]:
        """The route table."""
        manifest = "/v2/{name:.+}/manifests/{reference}"
        return [
            web.get("/v2/_catalog", self.get_catalog),
            web.get("/v2/{name:.+}/tags/list", self.get_tags),
            web.get("/v2/{name:.+}/referrers/{digest}", self.get_referrers),
            web.get(manifest, self.get_manifest),
            web.put(manifest, self.put_manifest),
            web.delete(manifest, self.delete_manifest),
        ]

    async def get_manifest(self, request: web.Request) -> web.Response:
        """Send a manifest as it came."""
        raw, media_type, digest = await asyncio.to_thread(
            self._storage.manifest, request.match_info["name"], request.match_info["reference"]
        )
        headers = {"Docker-Content-Digest": digest, "Content-Type": media_type, "ETag": f'"{digest}"'}
        if request.headers.get("If-None-Match", "").strip('"') == digest:
            return web.Response(status=304, headers=headers)
        return web.Response(body=raw, headers=headers)

    async def put_manifest(self, request: web.Request) -> web.Response:
        """Keep a manifest."""
        name, reference = request.match_info["name"], request.match_info["reference"]
        raw = b""
        async for piece in request.content.iter_any():
            raw += piece
            if len(raw) > _MAX_MANIFEST:
                raise RegistryError("MANIFEST_INVALID", 413, detail="larger than 4 MiB")
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        digest, subject = await asyncio.to_thread(self._storage.put_manifest, name, reference, raw, content_type)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        if subject:
            headers["OCI-Subject"] = subject
        return web.Response(status=201, headers=headers)

    async def delete_manifest(self, request: web.Request) -> web.Response:
        """Delete a tag, or a manifest by its digest."""
        await asyncio.to_thread(
            self._storage.delete_manifest, request.match_info["name"], request.match_info["reference"]
        )
        return web.Response(status=202)

    async def get_tags(self, request: web.Request) -> web.Response:
        """List the tags of a repository."""
        name = request.match_info["name"]
        tags = await asyncio.to_thread(self._storage.tags, name)
        page, headers = _page(request, tags, None)
        return web.json_response({"name": name, "tags": page}, headers=headers)

    async def get_catalog(self, request: web.Request) -> web.Response:
        """List the repositories."""
        names = await asyncio.to_thread(self._storage.repositories)
        page, headers = _page(request, names, _CATALOG_PAGE)
        return web.json_response({"repositories": page}, headers=headers)

    async def get_referrers(self, request: web.Request) -> web.Response:
        """List what refers to a manifest: signatures, SBOMs."""
        name, digest = request.match_info["name"], request.match_info["digest"]
        found = await asyncio.to_thread(lambda: list(self._storage.referrers(name, digest)))
        headers = {"Content-Type": media_types.OCI_INDEX}
        if kind := request.query.get("artifactType"):
            found = [descriptor for descriptor in found if descriptor.get("artifactType") == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": found}
        return web.Response(body=msgspec.json.encode(document), headers=headers)


def _page(request: web.Request, names: list[str], limit: int | None) -> tuple[list[str], dict[str, str]]:
    """Cut a list by `?n=` and `?last=`; the Link header leads on."""
    count, last = request.query.get("n"), request.query.get("last", "")
    if count is not None:
        if not count.isdecimal():
            raise RegistryError("PAGINATION_NUMBER_INVALID", 400, detail={"n": count})
        limit = int(count)
    if last:
        names = [name for name in names if name > last]
    if limit is None or len(names) <= limit:
        return names, {}
    page = names[:limit]
    if not page:
        return [], {}
    query = urlencode({"last": page[-1], "n": limit})
    return page, {"Link": f'<{request.path}?{query}>; rel="next"'}
