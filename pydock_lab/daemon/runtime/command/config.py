"""A bundle's config.json: read, checked as runc checks it and in its words, and completed.

Source: OCI runtime-spec config.md and config-linux.md; runc's libcontainer/configs/validate.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Sequence
from typing import Any

from pydock_lab.daemon.linux import capabilities
from pydock_lab.daemon.runtime.command import mappings, report
from pydock_lab.daemon.runtime.oci import DEFAULT_DEVICES
from pydock_lab.errors import InvalidParameter

Config = dict[str, Any]


def read_config(bundle: str) -> Config:
    """Return a bundle's config. Raises InvalidParameter."""
    if not os.path.isdir(bundle):
        raise InvalidParameter(f"chdir {bundle}: no such file or directory")
    try:
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config: Config = json.load(file)
    except FileNotFoundError:
        raise InvalidParameter("JSON specification file config.json not found") from None
    except ValueError as error:
        raise InvalidParameter(f"config.json: {error}") from None
    if not config.get("process"):
        raise InvalidParameter("process property must not be empty")
    check_process(config["process"])
    root = os.path.join(bundle, (config.get("root") or {}).get("path") or "")
    if not config.get("root"):
        raise InvalidParameter("root must be specified")
    if not os.path.exists(root):
        raise InvalidParameter(f"invalid rootfs: stat {root}: no such file or directory")
    linux = config.setdefault("linux", {})
    mappings.check(linux, os.geteuid())
    mappings.check_user(config["process"].get("user") or {}, linux)
    _check_privacy(config)
    linux["cgroupsPath"] = cgroup_path(linux.get("cgroupsPath") or "")
    linux["resources"] = {**(linux.get("resources") or {}), "devices": _device_rules(linux)}
    return config


def check_process(process: Config) -> None:
    """Refuse a process that can't be; capabilities that aren't known are left out with a warning."""
    if not process.get("args"):
        raise InvalidParameter("args must not be empty")
    if not os.path.isabs(process.get("cwd") or "/"):
        raise InvalidParameter("Cwd must be an absolute path")
    for limit in process.get("rlimits") or ():
        if not hasattr(resource, limit["type"]):
            raise InvalidParameter(f"wrong rlimit value: {limit['type']}")
    for entry in process.get("env") or ():
        if "=" not in entry:
            words = f'invalid environment variable: "{entry}"'
            raise InvalidParameter(f"unable to start container process: {words}")
    granted: dict[str, list[str]] = process.get("capabilities") or {}
    unknown = sorted({name for names in granted.values() for name in names or ()} - set(capabilities.NAMES))
    if unknown:
        report.warn(f"ignoring unknown or unavailable capabilities: [{' '.join(unknown)}]")
        process["capabilities"] = {kind: _known(names or ()) for kind, names in granted.items()}


def _known(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in capabilities.NAMES]


def _check_privacy(config: Config) -> None:
    """Refuse to change of the host's what the container has no namespace of its own for."""
    linux = config["linux"]
    kinds = {entry["type"] for entry in linux.get("namespaces") or ()}
    if "uts" not in kinds and config.get("hostname"):
        raise InvalidParameter("unable to set hostname without a private UTS namespace")
    if "mount" not in kinds and (linux.get("maskedPaths") or linux.get("readonlyPaths")):
        raise InvalidParameter("unable to restrict sys entries without a private MNT namespace")


def cgroup_path(path: str) -> str:
    """Return a path from the root of the hierarchies; systemd's `slice:prefix:name` becomes one too."""
    if path.count(":") == 2:
        parent, prefix, name = path.split(":")
        path = f"{parent}/{prefix}-{name}.scope"
    return f"/{path.strip('/')}" if path else ""


def _device_rules(linux: Config) -> list[Config]:
    """Return the rules for devices: those given, and what every container may use whatever they say."""
    given = (linux.get("resources") or {}).get("devices") or [{"allow": False, "access": "rwm"}]
    every = [
        {"allow": True, "type": kind, "major": major, "minor": minor, "access": "rwm"}
        for kind, major, minor in DEFAULT_DEVICES
    ]
    return [*given, *every]
