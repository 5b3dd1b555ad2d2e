"""What `docker builder prune` removes: remembered steps, and images that only the cache holds.

Kept are images that have a name, results of builds, what containers use, and
all that those were built on. What goes: stages that no result was built on
(the compiler of a multi-stage build), the steps of builds that failed, and the
directories of `RUN --mount=type=cache`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydock_lab.daemon.builder.workshop import Workshop
from pydock_lab.errors import LabError

RemoveImage = Callable[[str], Awaitable[Any]]


async def prune(
    shop: Workshop,
    remove_image: RemoveImage,
    builds: Iterable[dict[str, Any]],
    running: Iterable[dict[str, Any]],
    until_ns: int | None,
) -> dict[str, Any]:
    """Remove what the cache holds; return Docker's BuildCachePruneReport.

    Args:
        shop: The daemon's rooms.
        remove_image: Removes an image, or raises where somebody needs it.
        builds: Records of builds that have ended.
        running: Records of those that have not; their images stay.
        until_ns: Only steps that are older than this, nanoseconds since the epoch.
    """
    before = shop.layers.total_size()
    steps = {
        key: row["image"] for key, row in shop.cache.steps.items() if until_ns is None or int(row["at_ns"]) < until_ns
    }
    records = list(builds)
    failures = [record["failure"]["after"] for record in records if record.get("failure")]
    kept = _kept(shop, [record["image"] for record in records], running)
    unneeded = [image for image in dict.fromkeys([*steps.values(), *failures]) if image and image not in kept]
    if until_ns is None:
        shop.cache.clear()
    for key in steps:
        shop.cache.forget(key)
    while unneeded:
        left = [image for image in unneeded if not await _removed(shop, remove_image, image)]
        if len(left) == len(unneeded):
            break
        unneeded = left  # children first: a parent can go once they have gone
    caches = await asyncio.to_thread(shop.cache_mounts.prune) if until_ns is None else {}
    freed = max(0, before - shop.layers.total_size()) + sum(caches.values())
    return {"CachesDeleted": [*steps, *caches], "SpaceReclaimed": freed}


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
