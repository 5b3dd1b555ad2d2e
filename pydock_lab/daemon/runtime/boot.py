"""Start a keeper, or find the one that a dead daemon left; take away what it made on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pydock_lab
from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime.request import EXIT_FILE, Exit
from pydock_lab.errors import Unavailable

_BOOT = """\
import sys
sys.path.append({root!r})
from pydock_lab.daemon.runtime.sealing import seal
seal()
from pydock_lab.daemon.runtime.keeper import main
main({fd})
"""


def connect(path: Path) -> socket.socket | None:
    """Connect to a keeper that listens at `path`; None where none does."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        channel.close()
        return None
    return channel


def sweep(exec_root: Path, layout: cgroups.Layout) -> dict[Path, Exit]:
    """Kill what a keeper that was killed has left: without it nobody knows those containers any more.

    Returns:
        Bundle → exit of the containers that a keeper saw end while no daemon was there.
    """
    exits: dict[Path, Exit] = {}
    for config in exec_root.glob("*/*/config.json"):
        with contextlib.suppress(OSError, ValueError):
            path = (json.loads(config.read_text()).get("linux") or {}).get("cgroupsPath")
            if path and layout.version:
                cgroup = layout.cgroup(path)
                if cgroup.processes():
                    cgroup.kill()
                cgroup.delete()
        with contextlib.suppress(OSError, ValueError, TypeError):
            exits[config.parent] = Exit(**json.loads((config.parent / EXIT_FILE).read_text()))
    return exits


def spawn(exec_root: Path, path: Path) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Exec a keeper on a socket that is listening already, so that connecting can't come too early."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.closing(listener):
        umask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
        listener.listen(16)
        root = str(Path(pydock_lab.__file__).parent.parent)
        with (exec_root / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-SIE", "-c", _BOOT.format(root=root, fd=listener.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            )
        channel = connect(path)
    if channel is None:
        raise Unavailable("the runtime's keeper process did not start")
    return channel, keeper


def wait_for_end(channel: socket.socket) -> None:
    """Read a channel to its end, ten seconds at most."""
    channel.settimeout(10)
    with contextlib.suppress(OSError):
        while channel.recv(65536):
            pass


def remove_bundle(bundle: str) -> None:
    """Remove what the keeper made: three names, quicker than a trip to another thread or a look at what is there."""
    try:
        os.unlink(f"{bundle}/config.json")
        os.rmdir(f"{bundle}/rootfs")
        os.rmdir(bundle)
    except OSError:  # an ended daemon's, an errand's: there may be less in it, or more
        shutil.rmtree(bundle, ignore_errors=True)
