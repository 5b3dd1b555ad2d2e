"""Run this interpreter from a read-only mount of its own file.

A container's first process is a copy of the keeper until it executes the
container's program, and an image may have that program be `/proc/self/exe`: it
then holds the host's python open, and as root could write to it once nobody
runs it any more (CVE-2019-5736). From a detached read-only clone of the mount
the file lies on, nobody can.

Source: open_tree(2), mount_setattr(2), execveat(2).
"""

from __future__ import annotations

import os
import sys

from pydock_lab.daemon.linux import mounts
from pydock_lab.errors import KernelError

_MARK = "PYDOCK_SEALED"


def seal() -> None:
    """Execute this process again from a read-only mount, once; go on as it is where the kernel can't."""
    if os.environ.pop(_MARK, ""):
        return
    try:
        tree = mounts.open_tree("/proc/self/exe", recursive=False)
        mounts.seal_tree(tree)
    except KernelError as error:
        print(f"the interpreter is not sealed: {error.message}", file=sys.stderr)  # noqa: T201 - the keeper's log
        return
    os.execve(tree, sys.orig_argv, os.environ | {_MARK: "1"})
