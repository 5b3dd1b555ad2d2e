"""`/images`, `/commit`, `/distribution`: a name may hold slashes. Source: Docker Engine API 1.47, "Image"."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, cast

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.api.images_streams import Send, body_file, iterate_in_thread, stream_progress
from pydock_lab.daemon.api.query import flag, to_end
from pydock_lab.daemon.api.router import requested_version
from pydock_lab.daemon.dial import dial_error
from pydock_lab.daemon.engine import bodies
from pydock_lab.daemon.engine.commit import Committer
from pydock_lab.daemon.engine.containers.request import Config
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.images import Images
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.errors import InvalidParameter, NotImplementedYet, SystemFailure
from pydock_lab.spec.reference import Reference, parse

_PATIENCE_S = 30


def routes(engine: Engine) -> list[web.RouteDef]:
    """The routes of the noun."""
    committer = Committer(engine.containers, engine.images, engine.layers, engine.events)
    handlers = _Handlers(engine.images, committer)
    return [
        web.get("/images/json", handlers.get_images, allow_head=False),
        web.get("/images/search", handlers.get_search, allow_head=False),
        web.get("/images/get", handlers.get_archive, allow_head=False),
        web.get("/images/{name:.+}/get", handlers.get_archive, allow_head=False),
        web.get("/images/{name:.+}/json", handlers.get_image, allow_head=False),
        web.get("/images/{name:.+}/history", handlers.get_history, allow_head=False),
        web.post("/images/create", handlers.post_create),
        web.post("/images/load", handlers.post_load),
        web.post("/images/prune", handlers.post_prune),
        web.post("/images/{name:.+}/tag", handlers.post_tag),
        web.post("/images/{name:.+}/push", handlers.post_push),
        web.delete("/images/{name:.+}", handlers.delete_image),
        web.post("/commit", handlers.post_commit),
        web.get("/distribution/{name:.+}/json", handlers.get_distribution, allow_head=False),
    ]


class _Handlers:
    def __init__(self, images: Images, committer: Committer) -> None:
        self._images = images
        self._committer = committer

    async def get_images(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"))
        entries = self._images.list(filters, everything=flag(request, "all"), shared_size=flag(request, "shared-size"))
        version = requested_version(request)
        for entry in entries:
            if version >= (1, 44):
                del entry["VirtualSize"]
            if version < (1, 43) and not entry["RepoTags"] and not entry["RepoDigests"]:
                # Clients of that time print what they get.
                entry["RepoTags"], entry["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]
        return json_response(entries)

    async def get_image(self, request: web.Request) -> web.Response:
        document = self._images.inspect(request.match_info["name"])
        if requested_version(request) >= (1, 44):
            del document["VirtualSize"]
        return json_response(document)

    async def get_history(self, request: web.Request) -> web.Response:
        return json_response(self._images.history(request.match_info["name"]))

    async def get_search(self, request: web.Request) -> web.Response:
        raise NotImplementedYet(
            "search is not available: this engine has no Docker Hub to search",
            hint="`pydock catalog ls` lists the base images that need no network",
        )

    async def get_distribution(self, request: web.Request) -> web.Response:
        return json_response(await self._images.describe_remote(request.match_info["name"], _credentials(request)))

    async def post_tag(self, request: web.Request) -> web.Response:
        query = request.query
        self._images.tag(request.match_info["name"], query.get("repo", ""), query.get("tag", ""))
        return web.Response(status=201)

    async def post_push(self, request: web.Request) -> web.StreamResponse:
        name, tag = request.match_info["name"], request.query.get("tag", "")
        credentials = _credentials(request)

        asked = f"POST {request.path_qs}"

        async def push(send: Send) -> None:
            await self._images.push(name, tag=tag, credentials=credentials, progress=send, asked=asked)

        return await stream_progress(request, push)

    async def delete_image(self, request: web.Request) -> web.Response:
        records = await self._images.remove(
            request.match_info["name"], force=flag(request, "force"), prune=not flag(request, "noprune")
        )
        return json_response(records)

    async def post_prune(self, request: web.Request) -> web.Response:
        return json_response(await self._images.prune(Filters.parse(request.query.get("filters"))))

    async def post_commit(self, request: web.Request) -> web.Response:
        query = request.query
        reference = _with_tag(query["repo"], query.get("tag", "")) if query.get("repo") else None
        image = await to_end(
            self._committer.commit(
                query.get("container", ""),
                reference,
                config=dict(bodies.read(await request.read() or b"{}", Config)),
                changes=query.getall("changes", []),
                author=query.get("author", ""),
                comment=query.get("comment", ""),
                pause=flag(request, "pause", default=True),
            )
        )
        return json_response({"Id": image.id}, status=201)

    async def get_archive(self, request: web.Request) -> web.StreamResponse:
        names = [request.match_info["name"]] if "name" in request.match_info else request.query.getall("names", [])
        selected = self._images.saver.select(names)
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        await response.prepare(request)
        async for chunk in iterate_in_thread(self._images.saver.chunks(selected)):
            await response.write(chunk)
        await response.write_eof()
        self._images.tell_saved(selected)
        return response

    async def post_load(self, request: web.Request) -> web.StreamResponse:
        quiet = flag(request, "quiet")

        async def load(send: Send) -> None:
            await self._images.load(body_file(request), send, quiet=quiet)

        return await stream_progress(request, load, begun=True)

    async def post_create(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if name := query.get("fromImage"):
            return await self._pull(request, name, query.get("tag", ""))
        return await self._import(request, query.get("fromSrc", ""))

    async def _pull(self, request: web.Request, name: str, tag: str) -> web.StreamResponse:
        bare = parse(name, default_tag=False)
        everything = not (tag or bare.tag or bare.digest)
        reference = bare if everything else _with_tag(name, tag)
        credentials = _credentials(request)
        platform = request.query.get("platform") or None

        asked = f"POST {request.path_qs}"

        async def pull(send: Send) -> None:
            fetch = self._images.pull_all if everything else self._images.pull
            await fetch(str(reference), platform=platform, credentials=credentials, progress=send, asked=asked)

        return await stream_progress(request, pull)

    async def _import(self, request: web.Request, source: str) -> web.StreamResponse:
        query = request.query
        reference = _with_tag(query["repo"], query.get("tag", "")) if query.get("repo") else None
        if reference is not None and reference.digest:
            raise InvalidParameter("cannot import digest reference")

        async def load(send: Send) -> None:
            with contextlib.ExitStack() as stack:
                if source == "-":
                    tar = body_file(request)
                else:
                    url = source if "://" in source else f"http://{source}"
                    tar = stack.enter_context(await asyncio.to_thread(_download, url))
                    send({"status": f"Downloading from {url}"})
                image = await self._images.import_tar(
                    tar,
                    reference,
                    message=query.get("message") or f"Imported from {source}",
                    changes=query.getall("changes", []),
                    platform=query.get("platform") or None,
                )
            send({"status": image.id})

        return await stream_progress(request, load)


def _download(url: str) -> IO[bytes]:
    """Open what a URL leads to. Raises InvalidParameter."""
    if not url.startswith(("http://", "https://")):
        raise InvalidParameter(f'Get "{url}": unsupported protocol scheme "{url.partition(":")[0]}"')
    try:
        return cast("IO[bytes]", urllib.request.urlopen(url, timeout=_PATIENCE_S))
    except urllib.error.HTTPError as error:
        error.close()
        raise InvalidParameter(f"unexpected response: {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise SystemFailure(f'Get "{url}": {dial_error(url, reason)}') from None


def _credentials(request: web.Request) -> Credentials | None:
    return Credentials.from_header(request.headers.get("X-Registry-Auth", "")) or None


def _with_tag(name: str, tag: str) -> Reference:
    """A reference from the API's two halves; `tag` may be a digest."""
    reference = parse(name, default_tag=False)
    if tag:
        return parse(f"{reference.name}@{tag}" if ":" in tag else f"{reference.name}:{tag}")
    return parse(str(reference))
