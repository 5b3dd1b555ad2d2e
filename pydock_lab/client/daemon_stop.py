"""Stop the user's own daemon: `pydock daemon stop`.

The daemon writes no pid file that could name somebody else's process one day: the
kernel tells who listens on its socket (SO_PEERCRED, unix(7)). Daemons that were
started with `pydock daemon -H …` belong to whoever started them and are left alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct

from pydock_lab import paths
from pydock_lab.errors import Unavailable

_TIMEOUT_S = 60
"""Containers have ten seconds to end, before they are killed; a busy machine may take its time over the rest."""
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def stop_daemon() -> bool:
    """Ask the user's daemon to stop, and wait until it has; return whether there was one.

    Raises:
        Unavailable: it goes on.
    """
    path = paths.socket_path()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(credentials)[0]
        process = os.pidfd_open(pid)  # while it listens its number can't be another's
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], _TIMEOUT_S)
    finally:
        os.close(process)
    if not ended:
        raise Unavailable(
            f"the engine (pid {pid}) has not ended within {_TIMEOUT_S} s", hint=f"its log is {paths.log_path()}"
        )
    return True
