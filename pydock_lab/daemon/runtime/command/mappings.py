"""The namespaces and id maps of a config: whether they make sense, and who the container's root is outside.

The words of the errors are runc's.

Source: OCI runtime-spec config-linux.md "User namespace mappings"; what runc 1.1 refuses.
"""

from __future__ import annotations

import os
from typing import Any

from pydock_lab.daemon.linux import idmaps
from pydock_lab.daemon.runtime.operations.namespaces import KINDS
from pydock_lab.errors import InvalidParameter

Config = dict[str, Any]

_KINDS = (("uid", "user"), ("gid", "group"))


def check(linux: Config, euid: int) -> None:
    """Refuse namespaces that can't be, and a config that doesn't say who the container's root is.

    Args:
        linux: Of the config.
        euid: Whose command this is; a plain user's containers can't be without a user namespace.

    Raises:
        InvalidParameter: what is wrong with it.
    """
    types: list[str] = []
    for entry in linux.get("namespaces") or ():
        kind, path = entry["type"], entry.get("path") or ""
        if kind not in KINDS:
            raise InvalidParameter(f'namespace {{"{kind}" "{path}"}} does not exist')
        if kind in types:
            raise InvalidParameter(f'malformed spec file: duplicated ns {{"{kind}" "{path}"}}')
        if path and not os.path.lexists(path):
            words = f"namespace path: lstat {path}: no such file or directory"
            raise InvalidParameter(f"unable to create new parent process: {words}")
        types.append(kind)
    if "user" not in types:
        if euid:
            raise InvalidParameter("rootless container requires user namespaces")
        return
    for kind, noun in _KINDS:
        mappings = linux.get(f"{kind}Mappings")
        if not mappings and euid:
            raise InvalidParameter(f"rootless containers requires at least one {kind.upper()} mapping")
        if not mappings:
            raise InvalidParameter(f"User namespaces enabled, but no {kind} mappings found.")
        if idmaps.to_host(0, mappings) is None:
            raise InvalidParameter(f"User namespaces enabled, but no {noun} mapping found.")


def check_user(user: Config, linux: Config) -> None:
    """Refuse to run a process as somebody whom the container's user namespace doesn't know.

    Args:
        user: `process.user`.
        linux: Of the container's config.
    """
    for kind, _ in _KINDS:
        if in_user_namespace(linux) and idmaps.to_host(user.get(kind) or 0, linux[f"{kind}Mappings"]) is None:
            raise InvalidParameter(
                f"unable to start container process: unable to setup user: "
                f"cannot set {kind} to unmapped user in user namespace"
            )
    if os.geteuid() and user.get("additionalGids"):
        words = "cannot set any additional groups in a rootless container"
        raise InvalidParameter(f"unable to start container process: unable to setup user: {words}")


def root(linux: Config) -> tuple[int, int]:
    """Return the uid and gid that the container's root has outside."""
    if not in_user_namespace(linux):
        return 0, 0
    uid, gid = (idmaps.to_host(0, linux[f"{kind}Mappings"]) or 0 for kind, _ in _KINDS)
    return uid, gid


def in_user_namespace(linux: Config) -> bool:
    """True if the container has a user namespace of its own."""
    return any(entry["type"] == "user" for entry in linux.get("namespaces") or ())
