"""`-v`, `--mount` and `--tmpfs`: what is mounted where.

Source: docker/cli opts/mount.go, cli/compose/loader/volume.go, Docker Engine API Mount.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.commands import values

_KEYS: Mapping[str, str] = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "dst": "Target",
    "destination": "Target",
    "readonly": "ReadOnly",
    "ro": "ReadOnly",
    "consistency": "Consistency",
}
_OPTIONS: Mapping[str, tuple[str, str]] = {
    "bind-propagation": ("BindOptions", "Propagation"),
    "bind-nonrecursive": ("BindOptions", "NonRecursive"),
    "volume-subpath": ("VolumeOptions", "Subpath"),
    "volume-nocopy": ("VolumeOptions", "NoCopy"),
    "tmpfs-size": ("TmpfsOptions", "SizeBytes"),
    "tmpfs-mode": ("TmpfsOptions", "Mode"),
}
_TRUTHS = frozenset({"readonly", "ro", "bind-nonrecursive", "volume-nocopy"})


def volume(spec: str, directory: Path) -> tuple[str, str]:
    """Read one `-v` value.

    Args:
        spec: `/data` (anonymous), `name:/data[:ro]` or `./path:/data[:ro]`.
        directory: What a path that begins with a dot is relative to.

    Returns:
        The API's bind ("" for an anonymous volume) and the path in the container.

    Raises:
        ValueError: in Docker's words.
    """
    if not spec:
        raise ValueError("invalid empty volume spec")
    parts = spec.split(":")
    if len(parts) == 1:
        return "", spec
    source, target = parts[0], parts[1]
    if not source or not target:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if source.startswith((".", "~")):
        source = str((directory / Path(source).expanduser()).resolve())
    return ":".join((source, *parts[1:])), target


def mount(spec: str) -> dict[str, Any]:
    """Read one `--mount` value into the API's Mount.

    Args:
        spec: `type=bind,source=/host,target=/container,readonly`.

    Raises:
        ValueError: in Docker's words.
    """
    document: dict[str, Any] = {"Type": "volume"}
    for part in values.comma_separated(spec):
        key, equals, value = part.partition("=")
        key = key.lower()
        if key in _TRUTHS and not equals:
            value = "true"
        elif not equals:
            raise ValueError(f"invalid field '{part}' must be a key=value pair")
        _set(document, key, value, part)
    kind = document["Type"]
    if kind == "bind" and not document.get("Source"):
        raise ValueError("source is required when specifying mount type bind")  # the daemon says less
    if not document.get("Target"):
        raise ValueError("target is required")
    for options, needed in (("VolumeOptions", "volume"), ("BindOptions", "bind"), ("TmpfsOptions", "tmpfs")):
        if options in document and kind != needed:
            raise ValueError(f"cannot mix '{needed}-*' options with mount type '{kind}'")
    return document


def tmpfs(specs: list[str]) -> dict[str, str]:
    """Read `--tmpfs` values: `/run` or `/run:size=64m` → `{"/run": "size=64m"}`."""
    return {path: options for path, _, options in (spec.partition(":") for spec in specs)}


def _set(document: dict[str, Any], key: str, value: str, part: str) -> None:
    if key in _KEYS:
        if key in _TRUTHS:
            try:
                document["ReadOnly"] = values.truth(value)
            except ValueError:
                raise ValueError(f"invalid value for {key}: {value}") from None
        else:
            document[_KEYS[key]] = value.lower() if key == "type" else value
    elif key in _OPTIONS:
        group, name = _OPTIONS[key]
        document.setdefault(group, {})[name] = _option(key, value)
    elif key == "volume-driver":
        document.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        config = document.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})
        config.setdefault("Options", {}).update([values.key_value(value)])
    elif key == "volume-label":
        document.setdefault("VolumeOptions", {}).setdefault("Labels", {}).update([values.key_value(value)])
    else:
        raise ValueError(f"unexpected key '{key}' in '{part}'")


def _option(key: str, value: str) -> object:
    try:
        if key in _TRUTHS:
            return values.truth(value)
        if key == "tmpfs-size":
            return values.size_bytes(value)
        if key == "tmpfs-mode":
            return int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None
    return value
