"""Volumes whose data is elsewhere: `-o type=… -o o=… -o device=…`, as mount(8) takes them.

Such a volume is mounted on its `_data` when a container first wants it, and stays so
until it is removed or the daemon ends; its data is the user's, and is never removed.
Blocks. Source: moby volume/local/local_unix.go.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydock_lab.daemon.linux import mounts, syscalls
from pydock_lab.daemon.store.volumes import Volume
from pydock_lab.errors import KernelError, SystemFailure

_ADDRESS = "addr="


def is_elsewhere(volume: Volume) -> bool:
    """Whether the volume's data is to be mounted."""
    return bool(volume.options.get("type") or volume.options.get("device"))


def is_mounted(volume: Volume) -> bool:
    """Whether something is mounted on the volume's directory."""
    path = str(volume.mountpoint)
    with Path("/proc/self/mountinfo").open() as table:
        return any(_unescape(line.split(" ")[4]) == path for line in table)


def mount(volume: Volume) -> None:
    """Mount a volume's data on its directory; nothing to do where it is.

    Raises:
        SystemFailure: the kernel refuses, in Docker's words.
    """
    if is_mounted(volume):
        return
    kind, device = volume.options.get("type", ""), volume.options.get("device", "")
    options = mounts.Options([option for option in volume.options.get("o", "").split(",") if option])
    data = _with_address(options.data) if kind.startswith(("nfs", "cifs")) else options.data
    target = str(volume.mountpoint)
    try:
        syscalls.mount(device, target, kind, options.flags, data or None)
        if options.flags & mounts.MS_BIND and options.flags & ~(mounts.MS_BIND | mounts.MS_REC):
            # The kernel heeds `ro` and its like for a bind mount only when it is mounted a second time.
            syscalls.mount("", target, None, options.flags | mounts.MS_REMOUNT)
        if options.propagation:
            syscalls.mount("", target, None, options.propagation)
    except KernelError as error:
        details = f", flags: {options.flags:#x}" if options.flags else ""
        details += f", data: {data}" if data else ""
        raise SystemFailure(
            f"error while mounting volume '{target}': failed to mount local volume: mount {device}:{target}{details}: "
            f"{os.strerror(error.errno or 0).lower()}"
        ) from error


def unmount(volume: Volume) -> None:
    """Take a volume's data off its directory; nothing to do where there is none.

    Raises:
        SystemFailure: it can't be, in Docker's words.
    """
    while is_mounted(volume):
        try:
            syscalls.umount2(str(volume.mountpoint), mounts.MNT_DETACH)
        except KernelError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise SystemFailure(f"failed to unmount {volume.mountpoint}: {reason}") from error


def _with_address(data: str) -> str:
    """Resolve `addr=NAME`: the kernel wants a number."""
    words = []
    for word in data.split(","):
        if word.startswith(_ADDRESS):
            try:
                word = _ADDRESS + str(socket.getaddrinfo(word.removeprefix(_ADDRESS), None)[0][4][0])
            except socket.gaierror as error:
                raise SystemFailure(f"error resolving passed in network volume address: {error}") from error
        words.append(word)
    return ",".join(words)


def _unescape(path: str) -> str:
    """Mountinfo writes blanks, tabs, newlines and backslashes in octal; see proc(5)."""
    for code, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, plain)
    return path
