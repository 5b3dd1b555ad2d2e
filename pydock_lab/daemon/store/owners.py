"""Owners that a user namespace can't give: noted beside the file, so that a layer's tar has them all the same.

With a single-id map every file belongs to root as far as the kernel knows. What
the recipe says (`COPY --chown`, an archive's own ids) stands in an attribute in
overlayfs' private space: containers don't see it, and copy-up drops it. Links
can't carry one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

OWNER_XATTR = "user.overlay.pydock.owner"


def note_owner(target: int | str | Path, uid: int, gid: int) -> None:
    """Note the owner of an open file or of a path whose last name is not followed; where that can't be, don't."""
    with contextlib.suppress(OSError):
        follow = isinstance(target, int)
        os.setxattr(target, OWNER_XATTR, f"{uid}:{gid}".encode(), follow_symlinks=follow)


def noted_owner(path: Path) -> tuple[int, int] | None:
    """Return the owner that was noted for a path, or None."""
    try:
        return read_note({OWNER_XATTR: os.getxattr(path, OWNER_XATTR, follow_symlinks=False)})
    except OSError:
        return None


def read_note(xattrs: Mapping[str, bytes]) -> tuple[int, int] | None:
    """Return the owner among a file's attributes, or None."""
    uid, colon, gid = xattrs.get(OWNER_XATTR, b"").decode(errors="replace").partition(":")
    return (int(uid), int(gid)) if colon and uid.isdecimal() and gid.isdecimal() else None
