"""`update`: limits given as flags or as an OCI document. Source: runc(8) update.

The kernel takes them one by one; `apply` of the cgroup says which it refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from pydock_lab.daemon.runtime.command.arguments import COUNTS, SIZES, WORDS
from pydock_lab.errors import InvalidParameter

# Flag → where it stands in OCI's linux.resources.
_PLACES = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?", re.IGNORECASE)
_UNITS = " kmgtp"


def asked(flags: argparse.Namespace) -> dict[str, Any]:
    """Return the OCI resources that a call of `update` gives."""
    if flags.resources:
        given: dict[str, Any] = json.loads(_text(flags.resources))
        return given
    resources: dict[str, Any] = {}
    for name in (*COUNTS, *SIZES, *WORDS):
        text = getattr(flags, name.replace("-", "_"))
        if text:
            group, key = _PLACES[name]
            resources.setdefault(group, {})[key] = text if name in WORDS else _number(name, text)
    memory = resources.get("memory") or {}
    if memory.get("limit") == -1:
        memory.setdefault("swap", -1)  # swap can't be less than memory
    return resources


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8") as file:
        return file.read()


def _number(name: str, text: str) -> int:
    """Return a flag's number; Go's words where it is none."""
    if name in COUNTS:
        try:
            return int(text)
        except ValueError:
            kind = "ParseInt" if name in ("cpu-quota", "cpu-rt-runtime") else "ParseUint"
            reason = f"strconv.{kind}: parsing {json.dumps(text)}: invalid syntax"
            raise InvalidParameter(f"invalid value for {name}: {reason}") from None
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidParameter(f"invalid value for {name}: invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** _UNITS.index(match[2].lower() or " "))
