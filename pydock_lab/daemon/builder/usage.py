"""What the build cache holds beside images, as `docker system df` lists it.

Source: Docker Engine API 1.47, BuildCache; moby/buildkit client/diskusage.go for the kinds.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.spec import timestamps

STEPS, MOUNTS, LOCALS = "regular", "exec.cachemount", "source.local"
"""BuildKit's words for the kinds of what the cache holds."""

_DESCRIPTIONS = {MOUNTS: "cached mount of RUN", LOCALS: "local source for context"}


def document(kind: str, name: str, size_bytes: int, *, in_use: bool, created_ns: int, used_ns: int) -> dict[str, Any]:
    """Return Docker's BuildCache of a directory that is kept; times in nanoseconds since the epoch.

    Args:
        kind: MOUNTS or LOCALS.
        name: Of the directory, its id for `docker builder prune --filter id=…`.
        size_bytes: Of its files.
        in_use: A build has it.
        created_ns: When it was made, or was last changed.
        used_ns: When a build last had it.
    """
    return {
        "ID": name,
        "Type": kind,
        "Description": _DESCRIPTIONS[kind],
        "InUse": in_use,
        "Shared": False,
        "Size": size_bytes,
        "CreatedAt": timestamps.render(created_ns),
        "LastUsedAt": timestamps.render(used_ns),
        "UsageCount": 1,
    }
