"""Start the user's daemon when there is none, once, whoever asks first.

The daemon outlives the kernel or the terminal that started it and is shared by
all of the user's notebooks. A lock in the exec root keeps two of them from
starting two daemons.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pydock_lab import paths
from pydock_lab.errors import Unavailable

_START_TIMEOUT_S = 60.0
"""A first start under a user-mode Linux kernel boots that kernel; everything else takes well under a second."""
_POLL_S = 0.01
_LOG_LINES = 12


def ensure_daemon() -> Path:
    """Return the socket of the user's daemon, which is started if nobody listens there.

    Raises:
        Unavailable: it does not come up; the message carries the end of its log.
    """
    path = paths.socket_path()
    if listens(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path.parent / "start.lock"):
        if not listens(path):
            _start(path, paths.log_path())
    return path


def listens(path: Path) -> bool:
    """Whether somebody accepts connections on a unix socket."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise Unavailable(f"can't use the socket {path}: {error.strerror}") from error
    return True


def answers_ping(path: Path) -> bool:
    """Whether an engine behind a unix socket answers `GET /_ping` with OK."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(_START_TIMEOUT_S)
        try:
            probe.connect(str(path))
            probe.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            return b" 200 " in probe.recv(64)
        except OSError:
            return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # not everywhere; an engine elsewhere can be used without

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(socket_path: Path, log_path: Path) -> None:
    import subprocess
    import threading

    log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    with log_path.open("ab") as log:
        began_at = log.tell()
        # A session of its own: the kernel's group is killed on restart, the daemon stays.
        process = subprocess.Popen(
            [sys.executable, "-m", "pydock_lab.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(
                f"the engine ended as it started (exit status {process.returncode})\n{_log_end(log_path, began_at)}",
                hint=f"its log is {log_path}",
            )
        if answers_ping(socket_path):
            # Whoever started it is its parent: reap it should it end first.
            threading.Thread(target=process.wait, name="pydock-daemon-reaper", daemon=True).start()
            return
        time.sleep(_POLL_S)
    process.terminate()
    process.wait()
    raise Unavailable(
        f"the engine did not answer within {_START_TIMEOUT_S:.0f} s\n{_log_end(log_path, began_at)}",
        hint=f"its log is {log_path}",
    )


def _log_end(path: Path, began_at: int) -> str:
    with path.open("rb") as log:
        log.seek(max(began_at, os.fstat(log.fileno()).st_size - 8192))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])
