"""The mounts of a container: `-v`, `--mount`, `--volumes-from`, `--tmpfs` and the image's VOLUMEs.

`plan` turns words into MountPoints and touches nothing; making volumes and
filling them is creation.py's, mounting them the launch's. Source: moby
daemon/volumes.go, volume/mounts/linux_parser.go.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.containers.record import MountPoint
from pydock_lab.daemon.engine.containers.request import Mount
from pydock_lab.daemon.runtime import oci
from pydock_lab.errors import InvalidParameter

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_CONSISTENCY = ("consistent", "cached", "delegated", "default")
_ACCESS = ("rw", "ro")
_LABELS = ("z", "Z")
_TMPFS_FLAGS = frozenset(
    ("defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount",
     "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind", "relatime", "norelatime",
     "strictatime", "nostrictatime", "unbindable", "runbindable", *_PROPAGATIONS)
)  # fmt: skip
_TMPFS_DATA = ("mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol")


def plan(
    config: dict[str, Any], host: dict[str, Any], mounts_of: Callable[[str], list[MountPoint]]
) -> list[MountPoint]:
    """Return the mount points that a container asks for, by destination.

    Args:
        config: Docker's Config, complete (its Volumes hold the image's too).
        host: Docker's HostConfig, complete.
        mounts_of: Returns the mount points of another container (`--volumes-from`).

    Raises:
        InvalidParameter: in Docker's words.
    """
    points: dict[str, MountPoint] = {}
    for source in host["VolumesFrom"] or []:
        for point in _borrowed(source, mounts_of):
            points[point.destination] = point
    taken = {_destination(path) for path in host.get("Tmpfs") or {}}
    for spec in host["Binds"] or []:
        _place(points, taken, parse_bind(spec, host["VolumeDriver"] or "local"))
    for mount in host.get("Mounts") or []:
        _place(points, taken, parse_mount(mount))
    for path in config["Volumes"] or {}:
        destination = _destination(path)
        if destination not in points and destination not in taken:
            driver = host["VolumeDriver"] or "local"
            points[destination] = MountPoint(
                "volume", destination, name=secrets.token_hex(32), driver=driver, anonymous=True
            )
    return sorted(points.values(), key=lambda point: point.destination)


def parse_bind(spec: str, driver: str = "local") -> MountPoint:
    """Read one `-v` argument, `[SOURCE:]DESTINATION[:MODE]`; a volume is the driver's. Raises InvalidParameter."""
    parts = spec.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f"invalid volume specification: '{spec}'")
    mode = parts[2] if len(parts) == 3 else ""
    if len(parts) == 1:
        return MountPoint("volume", _destination(spec), name=secrets.token_hex(32), driver=driver, anonymous=True)
    if len(parts) == 2 and (parts[1] in _ACCESS or parts[1] in _LABELS):
        raise InvalidParameter(f"invalid volume specification: '{spec}'")
    source, destination = parts[0], parts[1]
    kind = "bind" if source.startswith("/") else "volume"
    if not destination.startswith("/"):
        raise InvalidParameter(
            f"invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": "
            f"invalid mount path: '{destination}' mount path must be absolute"
        )
    if posixpath.normpath(destination).strip("/") == "":
        raise InvalidParameter(
            f"invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": "
            "invalid specification: destination can't be '/'"
        )
    if kind == "volume" and set(mode.split(",")) & set(_PROPAGATIONS):
        raise InvalidParameter(
            f"invalid volume specification: '{spec}': invalid mount config for type \"volume\": "
            "field BindOptions must not be specified"
        )
    words = _check_mode(mode, kind)
    point = MountPoint(kind, _destination(destination), mode=mode, rw="ro" not in words)
    if kind == "bind":
        point.source = posixpath.normpath(source)
        point.create_source = True
        point.propagation = next((word for word in words if word in _PROPAGATIONS), "rprivate")
    else:
        point.name, point.driver = source, driver
        point.mode = mode or "z"
        point.copy = "nocopy" not in words
    return point


def parse_mount(mount: Mount) -> MountPoint:
    """Read one `--mount` argument (HostConfig.Mounts). Raises InvalidParameter."""
    kind, target, source = mount.get("Type", ""), mount.get("Target", ""), mount.get("Source", "")
    if kind not in ("bind", "volume", "tmpfs"):
        raise _bad_mount(kind, "mount type unknown")
    if not target:
        raise _bad_mount(kind, "field Target must not be empty")
    if not target.startswith("/"):
        raise _bad_mount(kind, f"invalid mount path: '{target}' mount path must be absolute")
    for other in ("bind", "volume", "tmpfs"):
        if other != kind and mount.get(f"{other.capitalize()}Options") is not None:
            raise _bad_mount(kind, f"field {other.capitalize()}Options must not be specified")
    point = MountPoint(kind, _destination(target), rw=not mount.get("ReadOnly", False))
    if kind == "bind":
        _fill_bind(point, source, mount.get("BindOptions") or {})
    elif kind == "volume":
        _fill_volume(point, source, mount.get("VolumeOptions") or {})
    else:
        if source:
            raise _bad_mount(kind, "field Source must not be specified")
        options = mount.get("TmpfsOptions") or {}
        point.options = [f"size={options['SizeBytes']}"] if options.get("SizeBytes") else []
        if options.get("Mode"):
            point.options.append(f"mode={options['Mode']:o}")
    return point


def _fill_bind(point: MountPoint, source: str, options: dict[str, Any]) -> None:
    if not source:
        raise _bad_mount("bind", "field Source must not be empty")
    if not source.startswith("/"):
        raise _bad_mount("bind", f"invalid mount path: '{source}' mount path must be absolute")
    if options.get("Propagation") and options["Propagation"] not in _PROPAGATIONS:
        raise _bad_mount("bind", f"invalid propagation mode: {options['Propagation']}")
    point.create_source = bool(options.get("CreateMountpoint"))
    if not point.create_source and not Path(source).exists():
        raise _bad_mount("bind", f"bind source path does not exist: {source}")
    point.source = posixpath.normpath(source)
    point.propagation = options.get("Propagation") or "rprivate"
    point.recursive = not options.get("NonRecursive", False)


def _fill_volume(point: MountPoint, source: str, options: dict[str, Any]) -> None:
    driver = options.get("DriverConfig") or {}
    point.driver = driver.get("Name") or "local"
    point.driver_options = driver.get("Options") or {}
    point.labels = options.get("Labels") or {}
    point.copy = not options.get("NoCopy", False)
    point.subpath = options.get("Subpath") or ""
    point.name, point.anonymous = (source, False) if source else (secrets.token_hex(32), True)
    if point.subpath and (point.subpath.startswith("/") or ".." in point.subpath.split("/")):
        raise _bad_mount("volume", "subpath must be a relative path within the volume")
    point.mode = "z"


def check_tmpfs(options: str) -> None:
    """Refuse options of a `--tmpfs` that mount(8) does not know. Raises InvalidParameter."""
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        if not (equals and value and name in _TMPFS_DATA) and option not in _TMPFS_FLAGS:
            raise InvalidParameter(f'invalid tmpfs option ["{option}"]')


def oci_mounts(points: list[MountPoint], tmpfs: dict[str, str] | None) -> list[oci.Config]:
    """Return the OCI mounts of mount points whose sources are known, and of `--tmpfs`."""
    mounts = []
    for point in points:
        if point.type == "tmpfs":
            mount = oci.tmpfs(point.destination, ",".join(point.options))
            if not point.rw:
                mount["options"].append("ro")
        else:
            mount = oci.bind(
                point.source, point.destination, read_only=not point.rw, propagation=point.propagation or "rprivate"
            )
            if not point.recursive:
                mount["options"][0] = "bind"
        mounts.append(mount)
    for path, options in (tmpfs or {}).items():
        mounts.append(oci.tmpfs(_destination(path), options))
    return mounts


def _borrowed(spec: str, mounts_of: Callable[[str], list[MountPoint]]) -> list[MountPoint]:
    reference, _, mode = spec.partition(":")
    if not reference:
        raise InvalidParameter("malformed volumes-from specification: " + spec)
    if mode and mode not in (*_ACCESS, *_LABELS):
        raise InvalidParameter(f"invalid mode: {mode}")
    borrowed = []
    for point in mounts_of(reference):
        copy = point.duplicate()
        copy.anonymous = False
        copy.copy = False
        copy.rw = point.rw and mode != "ro"
        copy.mode = mode
        borrowed.append(copy)
    return borrowed


def _place(points: dict[str, MountPoint], taken: set[str], point: MountPoint) -> None:
    if point.destination in taken:
        raise InvalidParameter(f"Duplicate mount point: {point.destination}")
    taken.add(point.destination)
    points[point.destination] = point


def _check_mode(mode: str, kind: str) -> list[str]:
    words = [word for word in mode.split(",") if word] if mode else []
    groups = [_ACCESS, _LABELS, _CONSISTENCY]
    groups.append(_PROPAGATIONS if kind == "bind" else ("nocopy",))
    for group in groups:
        if sum(word in group for word in words) > 1:
            raise InvalidParameter(f"invalid mode: {mode}")
    if not all(any(word in group for group in groups) for word in words):
        raise InvalidParameter(f"invalid mode: {mode}")
    return words


def _destination(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise InvalidParameter("invalid specification: destination can't be '/'")
    return clean


def _bad_mount(kind: str, why: str) -> InvalidParameter:
    return InvalidParameter(f'invalid mount config for type "{kind}": {why}')
