"""Paths of the kernel's file systems that a container may not write, or not even see.

Source: OCI runtime-spec config-linux.md, "Readonly Paths" and "Masked Paths".
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from pydock_lab.daemon.linux import mounts, syscalls
from pydock_lab.daemon.runtime.operations.base import Context, Findings, Operation
from pydock_lab.daemon.runtime.operations.rootfs import inside
from pydock_lab.errors import KernelError


@dataclass
class ProtectPaths(Operation):
    """Make paths read-only by binding them over themselves."""

    paths: list[str]

    def describe(self) -> str:
        """List them."""
        return f"Make {', '.join(self.paths)} read-only"

    def execute(self, context: Context) -> Findings:
        """Bind, then set read-only; a path that is not there needs no protection."""
        missing = []
        for path in map(inside, self.paths):
            try:
                syscalls.mount(path, path, None, mounts.MS_BIND | mounts.MS_REC)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                missing.append(path)
                continue
            mounts.set_attributes(path, mounts.MS_RDONLY)
        return {"missing": missing}


@dataclass
class MaskPaths(Operation):
    """Hide paths: files behind /dev/null, directories behind an empty read-only tmpfs."""

    paths: list[str]

    def describe(self) -> str:
        """List them."""
        return f"Hide {', '.join(self.paths)}"

    def execute(self, context: Context) -> Findings:
        """Mount over each that is there; to try with a directory what fits a file costs an RCU grace period."""
        missing = []
        null = inside("/dev/null")
        for path in map(inside, self.paths):
            try:
                mode = os.stat(path).st_mode
            except (FileNotFoundError, NotADirectoryError):
                missing.append(path)
                continue
            if stat.S_ISDIR(mode):
                syscalls.mount("tmpfs", path, "tmpfs", mounts.MS_RDONLY)
            else:
                syscalls.mount(null, path, None, mounts.MS_BIND)
        return {"missing": missing}
