"""The namespaces a plain user's engine lives in, and how a new daemon finds those of a dead one.

Containers outlive a daemon that was killed, and with them their user, mount
and network namespaces. The next daemon has to enter those, or it could
neither stop nor reach what runs there: so their inodes are noted under the
exec root, and any live process in them is a door.

Source: user_namespaces(7), setns(2).
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from pydock_lab.daemon.linux.syscalls import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, setns

_FLAGS = {"user": CLONE_NEWUSER, "mnt": CLONE_NEWNS, "net": CLONE_NEWNET}
_NOTE = "namespaces.json"


def note(exec_root: Path, *, single_id: bool) -> None:
    """Write down the namespaces that this process is in."""
    inodes = {kind: Path(f"/proc/self/ns/{kind}").stat().st_ino for kind in _FLAGS}
    exec_root.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = exec_root / f"{_NOTE}.new"
    new.write_text(json.dumps({"inodes": inodes, "single_id": single_id}))
    new.replace(exec_root / _NOTE)


def find(exec_root: Path) -> tuple[int, bool] | None:
    """Return the pid of a process that lives in the noted namespaces, and whether one id is mapped there."""
    try:
        noted = json.loads((exec_root / _NOTE).read_text())
        inodes, single_id = dict(noted["inodes"]), bool(noted["single_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _lives_in(entry, inodes):
            return int(entry.name), single_id
    return None


def _lives_in(process: Path, inodes: dict[str, int]) -> bool:
    with contextlib.suppress(OSError):  # other users' processes, and those that end meanwhile
        return all((process / "ns" / kind).stat().st_ino == inodes.get(kind) for kind in _FLAGS)
    return False


def join(pid: int) -> None:
    """Enter a process's user, mount and network namespace, the user's first: it grants the right to the others."""
    doors = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _FLAGS}
    for kind, flag in _FLAGS.items():
        setns(doors[kind], flag)
        os.close(doors[kind])
