"""`kill -9` in the middle of a pull: the next daemon lists nothing half-made and goes on from what is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from tests.conftest import Daemon, start_daemon
from tests.unit.daemon.registry.test_faults import Registry

pytestmark = pytest.mark.root


@pytest.fixture
async def registry() -> AsyncIterator[tuple[Registry, str]]:
    registry = Registry()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", registry.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield registry, f"{host}:{port}"
    await runner.cleanup()


async def test_killed_while_a_layer_comes(own_daemon: Callable[..., Daemon], registry: tuple[Registry, str]) -> None:
    daemon, (server, address) = own_daemon(), registry
    server.stall = 1
    pull = asyncio.create_task(asyncio.to_thread(daemon.docker, "pull", f"{address}/app"))
    await asyncio.wait_for(server.stalled.wait(), 20)
    blobs = daemon.data_root / "blobs" / "sha256"
    for _ in range(200):
        if len(list(blobs.iterdir())) == 2:
            break
        await asyncio.sleep(0.05)
    daemon.kill()
    assert (await pull).returncode == 1
    again = await asyncio.to_thread(start_daemon, daemon.root)
    daemon.process = again.process
    assert again.docker("images", "-aq").stdout == ""
    assert not list((daemon.data_root / "blobs" / "tmp").iterdir())
    whole = {f"sha256:{path.name}" for path in blobs.iterdir()}
    assert len(whole) == 2
    server.requests.clear()
    done = await asyncio.to_thread(again.docker, "pull", f"{address}/app")
    assert done.returncode == 0, done.stderr
    assert not whole & set(server.blob_requests())
