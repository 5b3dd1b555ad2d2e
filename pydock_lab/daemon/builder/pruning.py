"""What `docker builder prune` removes: remembered steps, and images that only the cache holds.

Kept are images that have a name, results of builds, what containers use, and
all that those were built on. What goes: stages that no result was built on
(the compiler of a multi-stage build), the steps of builds that failed, the
directories of `RUN --mount=type=cache`, and those of clients (mirrors.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.builder.mirrors import Mirrors
from pydock_lab.daemon.builder.usage import LOCALS, MOUNTS, STEPS
from pydock_lab.daemon.builder.workshop import Workshop
from pydock_lab.errors import LabError

RemoveImage = Callable[[str], Awaitable[Any]]


@dataclass(frozen=True)
class Pruned:
    """What is to go.

    Attributes:
        until_ns: Steps that are older than this alone, nanoseconds since the epoch.
        ids: What begins with one of these alone, `sha256:` left out.
        types: STEPS, MOUNTS, LOCALS or some of them.
        keep_bytes: So much of the cache may stay; what was made last does.
    """

    until_ns: int | None = None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = (STEPS, MOUNTS, LOCALS)
    keep_bytes: int = 0

    @property
    def everything(self) -> bool:
        """Whether nothing is to stay."""
        return self == Pruned()

    def takes(self, kind: str, name: str, made_ns: int) -> bool:
        """Whether a step or a cache mount is meant."""
        named = not self.ids or any(name.removeprefix("sha256:").startswith(prefix) for prefix in self.ids)
        return kind in self.types and named and (self.until_ns is None or made_ns < self.until_ns)


async def prune(
    shop: Workshop,
    mirrors: Mirrors,
    remove_image: RemoveImage,
    builds: Iterable[dict[str, Any]],
    running: Iterable[dict[str, Any]],
    wanted: Pruned,
) -> dict[str, Any]:
    """Remove what the cache holds; return Docker's BuildCachePruneReport.

    Args:
        shop: The daemon's rooms.
        mirrors: Of clients' directories; `keep_bytes` does not count them, they are few.
        remove_image: Removes an image, or raises where somebody needs it.
        builds: Records of builds that have ended.
        running: Records of those that have not; their images stay.
        wanted: What is to go.
    """
    before = shop.layers.total_size()
    rows = shop.cache.steps.items()
    steps = {key: row["image"] for key, row in rows if wanted.takes(STEPS, key, int(row["at_ns"]))}
    mounts = await asyncio.to_thread(shop.cache_mounts.sizes)
    mounts = {
        name: size for name, size in mounts.items() if wanted.takes(MOUNTS, name, shop.cache_mounts.used_ns(name))
    }
    records = list(builds)
    failures = [record["failure"]["after"] for record in records if record.get("failure")]
    kept = _kept(shop, [record["image"] for record in records], running)
    if not wanted.everything:
        failures = []
    unneeded = [image for image in dict.fromkeys([*steps.values(), *failures]) if image and image not in kept]
    if wanted.keep_bytes:
        unneeded, mounts = _over(shop, wanted.keep_bytes, unneeded, mounts)
        steps = {key: image for key, image in steps.items() if image in unneeded}
    if wanted.everything:
        shop.cache.clear()
    for key in steps:
        shop.cache.forget(key)
    while unneeded:
        left = [image for image in unneeded if not await _removed(shop, remove_image, image)]
        if len(left) == len(unneeded):
            break
        unneeded = left  # children first: a parent can go once they have gone
    caches = await asyncio.to_thread(shop.cache_mounts.prune, mounts)
    if not wanted.keep_bytes:
        sizes = await asyncio.to_thread(mirrors.sizes)
        old = {key: size for key, size in sizes.items() if wanted.takes(LOCALS, key, mirrors.used_ns(key))}
        caches |= await asyncio.to_thread(mirrors.prune, old)
    freed = max(0, before - shop.layers.total_size()) + sum(caches.values())
    return {"CachesDeleted": [*steps, *caches] or None, "SpaceReclaimed": freed}


def _over(
    shop: Workshop, keep_bytes: int, images: list[str], mounts: dict[str, int]
) -> tuple[list[str], dict[str, int]]:
    """Return those of some images and cache mounts that are too much, the ones used longest ago first.

    Of images those that nothing is built on any more: a parent outlives its children.
    """
    used = {row["image"]: int(row["at_ns"]) for row in shop.cache.steps.values()}
    parents = {image: shop.images.get(image).parent for image in images if image in shop.images}
    children = Counter(parents.values())
    total = sum(mounts.values()) + sum(_own_size(shop, image) for image in parents)
    gone_images: list[str] = []
    gone_mounts: dict[str, int] = {}
    while total > keep_bytes:
        last = [(used.get(image, 0), image) for image in parents if not children[image]]
        last += [(shop.cache_mounts.used_ns(name), name) for name in mounts if name not in gone_mounts]
        if not last:
            break
        _, oldest = min(last)
        if oldest in mounts:
            gone_mounts[oldest] = mounts[oldest]
            total -= mounts[oldest]
        else:
            gone_images.append(oldest)
            children[parents.pop(oldest)] -= 1
            total -= _own_size(shop, oldest)
    return gone_images, gone_mounts


def _own_size(shop: Workshop, image_id: str) -> int:
    """The bytes that a step's image has beside its parent's."""
    image = shop.images.get(image_id)
    parent = shop.images.get(image.parent).chain_id if image.parent in shop.images else None
    return 0 if image.chain_id in (None, parent) else shop.layers.get(str(image.chain_id)).size


def _kept(shop: Workshop, results: list[str], running: Iterable[dict[str, Any]]) -> set[str]:
    """Images that stay, with all that they were built on."""
    pending = [image.id for image in shop.images.list() if shop.images.references(image.id)]
    pending += results
    pending += [step["image"] for record in running for step in record["steps"]]
    kept: set[str] = set()
    while pending:
        image = pending.pop()
        if image and image not in kept and image in shop.images:
            kept.add(image)
            pending.append(shop.images.get(image).parent)
    return kept


async def _removed(shop: Workshop, remove_image: RemoveImage, image: str) -> bool:
    if image not in shop.images:
        return True
    try:
        await remove_image(image)
    except LabError:
        return False  # a container uses it, or something was built on it
    return True
