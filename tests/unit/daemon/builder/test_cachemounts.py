"""The directories behind `RUN --mount=type=cache`."""

import asyncio
from pathlib import Path

from pydock_lab.daemon.builder.cachemounts import CacheMounts


async def test_it_is_kept_and_pruned(tmp_path: Path) -> None:
    caches = CacheMounts(tmp_path / "c")
    assert caches.prune(caches.sizes()) == {}
    async with caches.use("pip", "shared") as (directory, new):
        assert new
        (directory / "f").write_bytes(b"x" * 100)
        assert caches.prune(caches.sizes()) == {}
        async with caches.use("pip", "private") as (other, other_new):
            assert other_new
            assert other != directory
        assert not other.exists()
    async with caches.use("pip", "private") as (again, new):
        assert (again, new) == (directory, False)
    assert list(caches.prune(caches.sizes()).values()) == [100]
    assert not directory.exists()


async def test_locked_ones_wait(tmp_path: Path) -> None:
    caches = CacheMounts(tmp_path)
    order: list[str] = []

    async def second() -> None:
        async with caches.use("apt", "locked"):
            order.append("second")

    async with caches.use("apt", "locked"):
        task = asyncio.create_task(second())
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("first")
    await task
    assert order == ["first", "second"]


async def test_private_ones_of_a_killed_daemon_go(tmp_path: Path) -> None:
    caches = CacheMounts(tmp_path)
    async with caches.use("a", "shared"), caches.use("a", "private") as (directory, _):
        CacheMounts(tmp_path).clean()
        assert not directory.exists()
