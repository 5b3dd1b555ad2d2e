"""Where pydock_lab keeps things: state root, exec root, socket and log of a user's daemon.

Both wings use these defaults; every one of them can be overridden by a flag of
`pydock daemon`. Only names are computed here: nothing is created.

Environment:
    PYDOCK_DATA_ROOT   images, layers, volumes, containers (persistent)
    PYDOCK_EXEC_ROOT   sockets, pid files, bundles (gone after a reboot)
    PYDOCK_CACHE_ROOT  what commands keep to be quicker next time
"""

from __future__ import annotations

import os
from pathlib import Path


def _user_id() -> int:
    """The user's id; Windows, where only an engine elsewhere can be used, has none."""
    return os.geteuid() if hasattr(os, "geteuid") else -1


def data_root() -> Path:
    """Absolute path of the persistent state of this user's daemon."""
    if chosen := os.environ.get("PYDOCK_DATA_ROOT"):
        return Path(chosen).absolute()
    if _user_id() == 0:
        return Path("/var/lib/pydock")
    from platformdirs import user_data_path

    return user_data_path("pydock")


def exec_root() -> Path:
    """Absolute path of the run-time state of this user's daemon; short, as it holds unix sockets."""
    if chosen := os.environ.get("PYDOCK_EXEC_ROOT"):
        return Path(chosen).absolute()
    if _user_id() == 0:
        return Path("/run/pydock")
    if (runtime := os.environ.get("XDG_RUNTIME_DIR")) and os.access(runtime, os.W_OK):
        return Path(runtime) / "pydock"
    import tempfile

    return Path(tempfile.gettempdir()) / f"pydock-{_user_id()}"


def cache_root() -> Path:
    """Absolute path of what the client keeps only to be quicker next time; it may be deleted at any time."""
    if chosen := os.environ.get("PYDOCK_CACHE_ROOT"):
        return Path(chosen).absolute()
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen).absolute() / "pydock"
    return Path("~/.cache/pydock").expanduser()  # platformdirs says the same, and takes 3 ms to import


def socket_path() -> Path:
    """The unix socket on which this user's daemon serves the Docker Engine API (mode 0600)."""
    return exec_root() / "docker.sock"


def log_path() -> Path:
    """The log of a daemon that was started on first use (one started by hand logs to stderr)."""
    return data_root() / "daemon.log"
