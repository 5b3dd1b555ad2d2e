"""One file over another.

Both in their long forms. Source: compose-spec 13-merge.md, compose-go override/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydock_lab.client.compose.document import Override, Reset

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists that are one thing: a later one replaces, it does not add."""

UNIQUE = frozenset(
    [
        "cap_add",
        "cap_drop",
        "configs",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "env_file",
        "expose",
        "links",
        "ports",
        "profiles",
        "secrets",
        "tmpfs",
        "volumes",
    ]
)
"""Lists of a service of which Compose keeps one of each, where it could also refuse what stands there twice."""

_IDENTITY: dict[str, Callable[[Any], Any]] = {
    "volumes": lambda item: item.get("target"),
    "devices": lambda item: item.get("target", item.get("capabilities") and str(item)),
    "secrets": lambda item: item.get("target") or item.get("source"),
    "configs": lambda item: item.get("target") or item.get("source"),
    "ports": lambda item: (item.get("host_ip"), item["target"], item.get("published"), item.get("protocol")),
    "env_file": lambda item: item.get("path"),
}
"""What makes two entries of a list the same; of those the later stays."""


def merge(base: Any, over: Any, key: str = "") -> Any:
    """Lay one value over another.

    Args:
        base: What was there, in its long form.
        over: What is laid over it, in its long form.
        key: The key they stand under.
    """
    if isinstance(over, Reset | Override):
        return over
    if isinstance(base, Reset):
        return over
    if isinstance(base, Override):
        base = base.value
    if isinstance(base, dict) and isinstance(over, dict):
        if key == "logging" and base.get("driver", over.get("driver")) != over.get("driver", base.get("driver")):
            return over
        merged = dict(base)
        for name, value in over.items():
            merged[name] = merge(base[name], value, name) if name in base else value
        return merged
    if isinstance(base, list) and isinstance(over, list):
        return over if key in _REPLACED else unique([*base, *over], key)
    return base if over is None and key != "environment" and isinstance(base, dict | list) else over


def unique(items: list[Any], key: str) -> list[Any]:
    """Leave one of each, the last, in the place of the first."""
    identity = _IDENTITY.get(key)
    found: dict[Any, Any] = {}
    for number, item in enumerate(items):
        name: Any = number
        if identity is not None and isinstance(item, dict):
            name = identity(item)
        elif isinstance(item, str):
            name = item
        found[name] = item
    return list(found.values())


def unified(service: dict[str, Any]) -> dict[str, Any]:
    """Leave one of each in a service's lists, as if its own lines came one after the other."""
    return {
        key: unique(value, key) if key in UNIQUE and isinstance(value, list) else value
        for key, value in service.items()
    }


def settled(value: Any) -> Any:
    """Carry out what `!reset` and `!override` say, when nothing more is to come."""
    if isinstance(value, Override):
        return settled(value.value)
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items() if not isinstance(item, Reset)}
    if isinstance(value, list):
        return [settled(item) for item in value if not isinstance(item, Reset)]
    return value
