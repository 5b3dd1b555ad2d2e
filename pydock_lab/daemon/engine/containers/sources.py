"""The host's side of a bind mount, looked at when the container starts: is it there, may it propagate?

Source: moby daemon/volumes_unix.go, oci_linux.go (ensureShared, ensureSharedOrSlave).
"""

from __future__ import annotations

import re
from pathlib import Path

from pydock_lab.daemon.engine.containers.record import MountPoint
from pydock_lab.errors import InvalidParameter, SystemFailure

_ESCAPE = re.compile(r"\\([0-7]{3})")


def resolve(point: MountPoint) -> None:
    """Make a missing bind source where Docker would.

    Raises:
        InvalidParameter: it is missing and may not be made.
        SystemFailure: mounts can't propagate between it and the container.
    """
    if point.type != "bind":
        return
    if not Path(point.source).exists():
        if not point.create_source:
            raise InvalidParameter(
                f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
            )
        Path(point.source).mkdir(parents=True, exist_ok=True)
    if point.propagation.removeprefix("r") in ("shared", "slave"):
        _check_propagation(point)


def _check_propagation(point: MountPoint) -> None:
    """A mount that is private on the host passes nothing on, whatever the container's side says."""
    source = str(Path(point.source).resolve())
    place, peers = _mount_of(source)
    shared, slave = any(peer.startswith("shared:") for peer in peers), any(p.startswith("master:") for p in peers)
    if point.propagation.endswith("shared") and not shared:
        raise SystemFailure(f"path {source} is mounted on {place} but it is not a shared mount")
    if point.propagation.endswith("slave") and not shared and not slave:
        raise SystemFailure(f"path {source} is mounted on {place} but it is not a shared or slave mount")


def _mount_of(path: str) -> tuple[str, list[str]]:
    """Return the mount point that a path is on, and its optional fields (proc_pid_mountinfo(5))."""
    best, peers = "", [""]
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.partition(" - ")[0].split()
        place = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if len(place) >= len(best) and (path == place or path.startswith(place.rstrip("/") + "/")):
            best, peers = place, fields[6:]
    return best, peers
