"""Device nodes, the links of /dev, and the pty of a `-t` container.

Source: OCI runtime-spec config-linux.md, "Default Devices"; pty(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.linux import mounts, pty, syscalls
from pydock_lab.daemon.runtime.channel import send_message
from pydock_lab.daemon.runtime.operations.base import CannotStart, Context, Findings, Operation
from pydock_lab.daemon.runtime.operations.rootfs import inside, make_mount_point, place_tree
from pydock_lab.errors import KernelError

# (path, major, minor); every OCI container has them.
DEFAULT_NODES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
}
TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


@dataclass
class CloneDevices(Operation):
    """Take hold of the host's device nodes: a user namespace may use them but not make them."""

    paths: list[str]
    where = "host"

    def describe(self) -> str:
        """List them."""
        return f"Take hold of the host's {', '.join(self.paths)}"

    def execute(self, context: Context) -> Findings:
        """open_tree(2) of each."""
        for path in self.paths:
            try:
                context.devices[path] = mounts.open_tree(path, recursive=False)
            except KernelError as error:
                reason = os.strerror(error.errno).lower()
                raise CannotStart(f"error creating device nodes: mount {path}:{path}: {reason}") from None
        return None


@dataclass
class MakeDevices(Operation):
    """Fill /dev."""

    devices: list[dict[str, Any]]

    def describe(self) -> str:
        """List what is not there by default."""
        extra = "".join(f", {device['path']}" for device in self.devices)
        return f"Make the device nodes null, zero, full, random, urandom, tty{extra} and the links of /dev"

    def execute(self, context: Context) -> Findings:
        """Make nodes, or place the host's where they were taken hold of."""
        umask = os.umask(0)
        try:
            for path, major, minor in DEFAULT_NODES:
                self._node(context, path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            for device in self.devices:
                mode = TYPES[device["type"]] | device.get("fileMode", 0o666)
                number = os.makedev(device.get("major", 0), device.get("minor", 0))
                self._node(context, device["path"], mode, number)
                if device.get("uid") or device.get("gid"):
                    with contextlib.suppress(PermissionError):
                        os.chown(inside(device["path"]), device.get("uid", 0), device.get("gid", 0))
        finally:
            os.umask(umask)
        for path, target in LINKS.items():
            with contextlib.suppress(FileExistsError):
                os.symlink(target, os.path.join(inside("/dev"), os.path.basename(path)))
        return None

    @staticmethod
    def _node(context: Context, path: str, mode: int, number: int) -> None:
        if path in context.devices:
            place_tree(context.devices.pop(path), path)
            return
        path = os.path.join(inside(os.path.dirname(path)), os.path.basename(path))
        try:
            os.mknod(path, mode, number)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            os.mknod(path, mode, number)


@dataclass
class OpenPty(Operation):
    """Open a pty of the container's own devpts and send its master to the keeper."""

    rows: int
    columns: int
    console: bool = True

    def describe(self) -> str:
        """Say its size."""
        size = f" of {self.rows}x{self.columns}" if self.rows else ""
        return f"Open a pseudo-terminal{size}; its other end goes to the keeper" + (
            ", and it is /dev/console" if self.console else ""
        )

    def execute(self, context: Context) -> Findings:
        """Open /dev/pts/ptmx, so that ttyname(3) works inside."""
        master = os.open(inside("/dev/pts/ptmx"), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        slave = pty.open_peer(master)
        if self.rows:
            pty.set_size(master, self.rows, self.columns)
        name = os.ttyname(slave)
        if self.console:
            console = inside("/dev/console")
            make_mount_point(console, directory=False)
            syscalls.mount(inside(name), console, None, mounts.MS_BIND)
        send_message(context.report, {"pty": name}, [master])
        os.close(master)
        context.stdio = (slave, slave, slave)
        return {"name": name}
