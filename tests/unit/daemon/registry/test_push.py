"""Pushes over a line that breaks: what the registry has is not sent again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import io
import random
import socket
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from pydock_lab.daemon.registry import push
from pydock_lab.daemon.registry.server import RegistryServer
from pydock_lab.daemon.registry.server_errors import RegistryError
from pydock_lab.daemon.store.images import Image
from pydock_lab.errors import LabError
from pydock_lab.spec import media_types
from pydock_lab.spec.reference import parse
from tests.unit.daemon.registry.test_faults import Puller
from tests.unit.daemon.registry.test_server import push_blob, push_image, serving
from tests.unit.daemon.store.conftest import needs_root

pytestmark = needs_root


class Line:
    """A TCP line to a registry that breaks once so many bytes have gone up.

    Attributes:
        breaks: Bytes after which each next connection is cut, while there are any.
        sent: Bytes that went up in all.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self.breaks: list[int] = []
        self.sent = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def carry(self, up: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        down, forward = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(self._answers(down, answer))
        self._tasks.add(back)
        here = 0
        with contextlib.suppress(ConnectionError):
            while data := await up.read(1 << 16):
                here += len(data)
                self.sent += len(data)
                if self.breaks and here > self.breaks[0]:
                    self.breaks.pop(0)
                    answer.transport.abort()
                    break
                forward.write(data)
                await forward.drain()
        forward.close()

    async def _answers(self, down: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await down.read(1 << 16):
                answer.write(data)
                await answer.drain()
        answer.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_BACK_OFF_S", 0.01)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[tuple[Line, str]]:
    server = RegistryServer(tmp_path / "registry")
    await server.start(socket.create_server(("127.0.0.1", 0)))
    line = Line(server.address)
    proxy = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    host, port = proxy.sockets[0].getsockname()[:2]
    yield line, f"{host}:{port}"
    proxy.close()
    await server.stop()


@pytest.fixture
def pusher(tmp_path: Path, line: tuple[Line, str]) -> Puller:
    (tmp_path / "store").mkdir()
    return Puller(tmp_path / "store", line[1])


def image_of(store: Puller, size: int) -> Image:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("random")
        info.size = size
        tar.addfile(info, io.BytesIO(random.Random(1).randbytes(size)))
    layer = store.layers.apply(io.BytesIO(buffer.getvalue()), None, holder="test")
    document = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
    return store.images.put(msgspec.json.encode(document))


async def test_a_push_goes_on_where_the_line_broke(line: tuple[Line, str], pusher: Puller, tmp_path: Path) -> None:
    size = 6 << 20
    image = image_of(pusher, size)
    line[0].breaks = [3 << 20, 2 << 20]
    digest, _ = await pusher.client.push(parse(f"{line[1]}/app:1"), image, progress=pusher.progress.append)
    pusher.database.close()
    blobs = list((tmp_path / "registry" / "blobs").iterdir())
    assert len(blobs) == 2
    for blob in blobs:
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert digest.removeprefix("sha256:") in [path.name for path in tmp_path.glob("registry/**/_manifests/*")]
    assert line[0].sent < 2 * size, "it was sent from the beginning again"
    assert not list((tmp_path / "registry" / "uploads").iterdir())


async def test_a_line_that_breaks_for_good_is_told(line: tuple[Line, str], pusher: Puller, tmp_path: Path) -> None:
    image = image_of(pusher, 1 << 20)
    line[0].breaks = [100_000] * 50
    with pytest.raises(LabError):
        await pusher.client.push(parse(f"{line[1]}/app:1"), image, progress=pusher.progress.append)
    pusher.database.close()
    assert not list(tmp_path.glob("registry/**/_manifests/*"))


class Narrow(RegistryServer):
    """A registry that takes no body of more than 256 KiB, as behind a proxy with a limit."""

    async def _authenticate(self, request: web.Request) -> None:
        self.pieces = [*getattr(self, "pieces", []), *([request.content_length] if request.method == "PATCH" else [])]
        if (request.content_length or 0) > 256 << 10:
            raise RegistryError("SIZE_INVALID", 413)


async def test_a_layer_goes_in_pieces_where_it_is_too_much_at_once(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    server = Narrow(tmp_path / "registry")
    await server.start(socket.create_server(("127.0.0.1", 0)))
    pusher = Puller(tmp_path / "store", server.address)
    image = image_of(pusher, 1 << 20)
    try:
        await pusher.client.push(parse(f"{server.address}/app:1"), image, progress=pusher.progress.append)
    finally:
        pusher.database.close()
        await server.stop()
    assert len([size for size in server.pieces if size <= 256 << 10]) > 4
    for blob in (tmp_path / "registry" / "blobs").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


async def test_a_manifest_that_lies_of_a_layer_here_is_believed_for_no_other_image(tmp_path: Path) -> None:
    """Its layer is here already, so nobody sees that the blob it names is another; our own image has that layer too."""
    async with serving(tmp_path / "registry") as http:
        host = f"{http._base_url.host}:{http._base_url.port}"  # type: ignore[union-attr]
        (tmp_path / "store").mkdir()
        pusher = Puller(tmp_path / "store", host)
        try:
            ours = image_of(pusher, 10_000)
            lie = await push_blob(http, "evil", gzip.compress(b"another layer"))
            config = await push_blob(http, "evil", ours.raw.replace(b'"amd64"', b'"amd64","author":"evil"'))
            layers = [{"mediaType": media_types.OCI_LAYER_GZIP, "digest": lie, "size": 33}]
            descriptor = {"mediaType": media_types.OCI_CONFIG, "digest": config, "size": len(ours.raw) + 16}
            await push_image(http, "evil", "1", config=descriptor, layers=layers)
            image = await pusher.pull("evil:1")
            assert (image.id, image.chain_id) == (config, ours.chain_id)
            await pusher.client.push(parse(f"{host}/ours:1"), ours, progress=pusher.progress.append)
            async with http.get("/v2/ours/manifests/1") as response:
                [layer] = (await response.json(content_type=None))["layers"]
            assert layer["digest"] != lie
            # What came goes out again as it came, for whoever likes it.
            await pusher.client.push(parse(f"{host}/again:1"), image, progress=pusher.progress.append)
            async with http.get("/v2/again/manifests/1") as response:
                assert (await response.json(content_type=None))["layers"] == layers
        finally:
            pusher.database.close()
