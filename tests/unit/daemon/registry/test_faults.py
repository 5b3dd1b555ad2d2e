"""Pulls from a registry that misbehaves: nothing unverified counts, and what can be mended is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.registry import session
from pydock_lab.daemon.registry.client import RegistryClient
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.daemon.registry.refusals import RateLimited, Unreachable
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import InvalidParameter, LabError, NotFound
from pydock_lab.spec import media_types
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.reference import parse


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """A registry of one image, and the ways in which it can fail.

    Attributes:
        requests: (method, path below the repository) of all that came.
        fail: Status → how many of the next blob requests get it.
        ranges: The Range of every blob request, or "".
        retry_after: What comes with a 429.
        cut: How many of the next blob responses end half way.
        stall: How many of the next blob responses stop half way and stay so.
        redirect: Blobs are elsewhere, as with a content network.
        swap: Digest → other bytes to be sent for it.
        password: Wanted by way of a token server.
        instead: What makes the next answers, whatever is asked for.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.fail: list[int] = []
        self.retry_after = "60"
        self.ranges: list[str] = []
        self.cut = 0
        self.stall = 0
        self.redirect = False
        self.stalled = asyncio.Event()
        self.swap: dict[str, bytes] = {}
        self.password = ""
        self.instead: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.blobs: dict[str, bytes] = {}
        self.layers = [self._add(gzip.compress(layer(number), mtime=0)) for number in range(3)]
        diff_ids = [digest(layer(number)) for number in range(3)]
        self.config = self._add(
            msgspec.json.encode(
                {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
            )
        )
        descriptors = [self._descriptor(media_types.DOCKER_LAYER, each) for each in self.layers]
        self.manifest = msgspec.json.encode(
            {
                "schemaVersion": 2,
                "mediaType": media_types.DOCKER_MANIFEST,
                "config": self._descriptor(media_types.DOCKER_CONFIG, self.config),
                "layers": descriptors,
            }
        )

    def _add(self, data: bytes) -> str:
        self.blobs[digest(data)] = data
        return digest(data)

    def _descriptor(self, media_type: str, name: str) -> dict[str, Any]:
        return {"mediaType": media_type, "size": len(self.blobs[name]), "digest": name}

    def blob_requests(self) -> list[str]:
        return [path.removeprefix("blobs/") for _, path in self.requests if path.startswith("blobs/")]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return self._token(request)
        if request.path.startswith("/elsewhere/"):
            assert "Authorization" not in request.headers, "a token is not for others"
            return await self._blob(request, request.path.removeprefix("/elsewhere/"))
        path = request.path.removeprefix("/v2/app/")
        self.requests.append((request.method, path))
        if self.instead:
            return await self.instead.pop(0)(request)
        if self.password and request.headers.get("Authorization") != "Bearer good":
            realm = f"http://{request.host}/token"
            challenge = f'Bearer realm="{realm}",service="here",scope="repository:app:pull"'
            return web.json_response(
                {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]},
                status=401,
                headers={"WWW-Authenticate": challenge},
            )
        if path.startswith("blobs/") and self.redirect:
            raise web.HTTPTemporaryRedirect(f"/elsewhere/{path.removeprefix('blobs/')}")
        if path == "tags/list":
            last = request.query.get("last", "")
            page = [tag for tag in ("a", "b", "c") if tag > last][:2]
            link = {} if page[-1] == "c" else {"Link": f'</v2/app/tags/list?last={page[-1]}&n=2>; rel="next"'}
            return web.json_response({"name": "app", "tags": page}, headers=link)
        if path.startswith("manifests/"):
            if path == "manifests/latest" or path == f"manifests/{digest(self.manifest)}":
                return web.Response(body=self.manifest, content_type=media_types.DOCKER_MANIFEST)
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}, status=404)
        return await self._blob(request, path.removeprefix("blobs/"))

    def _token(self, request: web.Request) -> web.Response:
        expected = "Basic " + base64.b64encode(f"me:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return web.json_response({"errors": [{"code": "DENIED", "message": "no"}]}, status=401)
        return web.json_response({"token": "good"})

    async def _blob(self, request: web.Request, name: str) -> web.StreamResponse:
        if self.fail and name != self.config:
            status = self.fail.pop(0)
            return web.Response(status=status, headers={"Retry-After": self.retry_after} if status == 429 else {})
        data = self.swap.get(name, self.blobs[name])
        self.ranges.append(request.headers.get("Range", ""))
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        await response.prepare(request)
        if self.cut and name != self.config:
            self.cut -= 1
            await response.write(data[start : start + (len(data) - start) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response
        if self.stall and name != self.config:
            self.stall -= 1
            await response.write(data[start : start + (len(data) - start) // 2])
            self.stalled.set()
            await asyncio.sleep(60)
        await response.write(data[start:])
        return response


def layer(number: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(f"file{number}")
        content = bytes(range(256)) * 500 + bytes([number])
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Puller:
    """A registry client on scratch stores."""

    def __init__(self, root: Path, host: str) -> None:
        self.host = host
        self.database = Database(root / "meta.db")
        self.blobs = BlobStore(root / "blobs")
        self.layers = LayerStore(root / "layers", self.database, Trace())
        self.images = ImageStore(self.database, self.layers)
        config = DaemonConfig(hosts=(), data_root=root, exec_root=root)
        self.client = RegistryClient(config, self.blobs, self.layers, self.images, self.database, Trace())
        self.progress: list[dict[str, Any]] = []

    async def pull(self, name: str = "app", **options: Any) -> Image:
        image, _ = await self.client.pull(parse(f"{self.host}/{name}"), progress=self.progress.append, **options)
        return image

    def assert_nothing_listed(self) -> None:
        assert self.images.list() == []
        assert self.layers.total_size() == 0
        assert list((self.layers.root / "tmp").iterdir()) == []
        assert list((self.blobs.root / "tmp").iterdir()) == []


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_BACK_OFF_S", 0.01)


@pytest.fixture
async def registry() -> AsyncIterator[tuple[Registry, str]]:
    registry = Registry()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", registry.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield registry, f"{host}:{port}"
    await runner.cleanup()


@pytest.fixture
async def puller(registry: tuple[Registry, str], tmp_path: Path) -> AsyncIterator[Puller]:
    puller = Puller(tmp_path, registry[1])
    yield puller
    puller.database.close()


async def test_a_sound_registry(registry: tuple[Registry, str], puller: Puller) -> None:
    image = await puller.pull()
    assert image.id == registry[0].config
    assert [layer.diff_id for layer in puller.layers.stack(image.chain_id)] == [digest(layer(n)) for n in (2, 1, 0)]
    statuses = [line["status"] for line in puller.progress]
    assert statuses[0] == "Pulling from app"
    for word in ("Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Pull complete"):
        assert statuses.count(word) >= 3, word


async def test_a_second_pull_asks_for_the_manifest_only(registry: tuple[Registry, str], puller: Puller) -> None:
    await puller.pull()
    registry[0].requests.clear()
    await puller.pull()
    assert registry[0].requests == [("GET", "manifests/latest")]


async def test_errors_that_pass(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].fail = [500, 502]
    assert (await puller.pull()).id == registry[0].config


async def test_broken_connections_are_taken_up_where_they_broke(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].cut = 4
    assert (await puller.pull()).id == registry[0].config


async def test_a_registry_that_dies_in_a_blob_and_comes_back(registry: tuple[Registry, str], tmp_path: Path) -> None:
    """For a while nobody listens; what is here of the blob is not asked for again."""
    host, _, port = registry[1].rpartition(":")
    lines: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_registry, to_registry = await asyncio.open_connection(host, int(port))
        lines.extend((writer, to_registry))
        await asyncio.gather(copy(reader, to_registry), copy(from_registry, writer))

    door = await asyncio.start_server(forward, "127.0.0.1", 0)
    address = door.sockets[0].getsockname()
    puller = Puller(tmp_path, f"127.0.0.1:{address[1]}")
    registry[0].stall = 1
    pull = asyncio.create_task(puller.pull())
    statuses: list[str] = []
    while statuses.count("Download complete") < 2 or not any(
        path.is_file() and path.stat().st_size for path in (puller.blobs.root / "tmp").rglob("*")
    ):
        assert not pull.done()
        await asyncio.sleep(0.01)
        statuses = [line["status"] for line in puller.progress]
    door.close()
    for line in lines:
        line.transport.abort()
    while not any(line["status"] == "Retrying in 0.8 seconds" for line in puller.progress):
        assert not pull.done()
        await asyncio.sleep(0.01)
    door = await asyncio.start_server(forward, *address)
    assert (await pull).id == registry[0].config
    assert len([each for each in registry[0].ranges if each]) == 1
    door.close()
    for line in lines:
        line.close()
    await asyncio.sleep(0.05)  # the ends of the connections are seen
    puller.database.close()


async def test_bytes_that_are_not_the_digest_s(registry: tuple[Registry, str], puller: Puller) -> None:
    name = registry[0].layers[1]
    registry[0].swap[name] = bytes(len(registry[0].blobs[name]))
    with pytest.raises(InvalidParameter, match="verification failed"):
        await puller.pull()
    puller.assert_nothing_listed()
    registry[0].swap.clear()
    registry[0].requests.clear()
    await puller.pull()
    assert registry[0].layers[0] not in registry[0].blob_requests()  # finished before, not fetched again


@pytest.mark.parametrize("change", [b"", b"more"])
async def test_too_few_or_too_many_bytes(registry: tuple[Registry, str], puller: Puller, change: bytes) -> None:
    name = registry[0].layers[2]
    registry[0].swap[name] = registry[0].blobs[name] + change if change else registry[0].blobs[name][:-1]
    with pytest.raises(LabError):
        await asyncio.wait_for(puller.pull(), 30)
    puller.assert_nothing_listed()


async def test_a_config_that_lies(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].swap[registry[0].config] = b'{"rootfs":{"diff_ids":[]}}'
    with pytest.raises(InvalidParameter, match="image config verification failed"):
        await puller.pull()
    puller.assert_nothing_listed()


async def test_a_limit_is_told(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].fail = [429] * 9
    with pytest.raises(RateLimited) as caught:
        await puller.pull()
    assert caught.value.hint is not None
    assert "again in 60 s" in caught.value.hint
    puller.assert_nothing_listed()


@pytest.mark.parametrize("retry_after", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_limit_that_passes_is_waited_for_and_told(
    registry: tuple[Registry, str], puller: Puller, retry_after: str
) -> None:
    registry[0].fail, registry[0].retry_after = [429], retry_after
    assert (await puller.pull()).id == registry[0].config
    text = "The registry wants fewer requests (429 Too Many Requests): retrying in 0 s"
    assert [line["status"] for line in puller.progress].count(text) == 1


async def test_what_is_not_there(registry: tuple[Registry, str], puller: Puller) -> None:
    with pytest.raises(NotFound, match=f"manifest for {puller.host}/app:no not found: manifest unknown: unknown"):
        await puller.pull("app:no")
    with pytest.raises(Unreachable, match="connection refused"):
        await puller.client.pull(parse("127.0.0.1:1/x"), progress=puller.progress.append)


async def test_tokens(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].password = "secret"
    with pytest.raises(NotFound, match="pull access denied for"):
        await puller.pull(credentials=Credentials("me", "wrong"))
    assert (await puller.pull(credentials=Credentials("me", "secret"))).id == registry[0].config


async def test_two_pulls_at_once_fetch_each_layer_once(registry: tuple[Registry, str], puller: Puller) -> None:
    one, two = await asyncio.gather(puller.pull(), puller.pull())
    assert one == two
    fetched = registry[0].blob_requests()
    assert [fetched.count(name) for name in registry[0].layers] == [1, 1, 1]


async def test_a_pull_that_is_canceled_leaves_nothing(registry: tuple[Registry, str], puller: Puller) -> None:
    task = asyncio.create_task(puller.pull())
    while not any(line["status"] == "Pulling fs layer" for line in puller.progress):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    puller.assert_nothing_listed()


async def test_a_platform_that_is_not_there(registry: tuple[Registry, str], puller: Puller) -> None:
    index = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [
            {
                "mediaType": media_types.DOCKER_MANIFEST,
                "digest": digest(registry[0].manifest),
                "size": len(registry[0].manifest),
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
    registry[0].manifest = msgspec.json.encode(index)
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        await puller.pull(platform=Platform.parse("linux/s390x"))
    assert puller.progress == [{"status": "Pulling from app", "id": "latest"}]


async def test_foreign_layers_are_refused(registry: tuple[Registry, str], puller: Puller) -> None:
    manifest = msgspec.json.decode(registry[0].manifest)
    for change in ({"urls": ["https://elsewhere.test/layer"]}, {"mediaType": f"{media_types.DOCKER_LAYER}.foreign"}):
        layers = [manifest["layers"][0] | change, *manifest["layers"][1:]]
        registry[0].manifest = msgspec.json.encode(manifest | {"layers": layers})
        with pytest.raises(InvalidParameter, match="foreign layers are not supported"):
            await puller.pull()
    assert registry[0].blob_requests() == []
    puller.assert_nothing_listed()


async def test_a_digest_is_told_with_its_name(registry: tuple[Registry, str], puller: Puller) -> None:
    pinned = f"app@{digest(registry[0].manifest)}"
    await puller.pull(pinned)
    assert puller.progress[0] == {"status": "Pulling from app", "id": f"{puller.host}/{pinned}"}


async def test_tags_are_listed_page_by_page(registry: tuple[Registry, str], puller: Puller) -> None:
    assert await puller.client.tags(parse(f"{puller.host}/app", default_tag=False)) == ["a", "b", "c"]


async def test_a_redirect_is_followed(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].redirect = True
    assert (await puller.pull()).id == registry[0].config


async def test_a_registry_that_stalls_is_asked_again(
    registry: tuple[Registry, str], puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_STALL_S", 0.3)
    registry[0].stall = 2
    assert (await puller.pull()).id == registry[0].config
    assert len(registry[0].blob_requests()) == 4 + 2


async def test_blobs_that_came_through_are_not_fetched_again(registry: tuple[Registry, str], puller: Puller) -> None:
    last = registry[0].layers[-1]
    registry[0].swap = {last: b"other bytes"}
    with pytest.raises(InvalidParameter):
        await puller.pull()
    puller.assert_nothing_listed()
    registry[0].swap.clear()
    there = [name for name in registry[0].layers if name in puller.blobs]
    registry[0].requests.clear()
    await puller.pull()
    assert not set(there) & set(registry[0].blob_requests())


async def test_layers_that_are_no_archives(registry: tuple[Registry, str], puller: Puller) -> None:
    """The digest is right, what is in it is not."""
    bad = registry[0]._add(gzip.compress(b"no tar at all" * 100, mtime=0))
    registry[0].manifest = registry[0].manifest.replace(registry[0].layers[1].encode(), bad.encode())
    size, real = len(registry[0].blobs[registry[0].layers[1]]), len(registry[0].blobs[bad])
    document = msgspec.json.decode(registry[0].manifest)
    document["layers"][1]["size"] = real
    assert size != real
    registry[0].manifest = msgspec.json.encode(document)
    with pytest.raises(InvalidParameter):
        await puller.pull()
    puller.assert_nothing_listed()
