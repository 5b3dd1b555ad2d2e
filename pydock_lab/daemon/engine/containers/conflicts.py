"""Options of a container that exclude one another, in Docker's words.

Source: moby runconfig/hostconfig_unix.go, daemon/container.go (verifyContainerSettings).
"""

from __future__ import annotations

from typing import Any

from pydock_lab.daemon.engine.containers.request import CreateBody
from pydock_lab.errors import InvalidParameter

_MS = 1_000_000


def check(body: CreateBody, host: dict[str, Any]) -> None:
    """Refuse options that can't go together.

    Args:
        body: What the client asked for, before the image's config is merged in.
        host: The complete HostConfig.

    Raises:
        InvalidParameter: in Docker's words.
    """
    mode = host["NetworkMode"]
    joins, is_host = mode.startswith("container:"), mode == "host"
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    mac = body.get("MacAddress") or any((settings or {}).get("MacAddress") for settings in endpoints.values())
    published = host["PortBindings"] or host["PublishAllPorts"]
    uts_host = host["UTSMode"] == "host"
    undefined = "can't be used with links. This would result in undefined behavior"
    conflicts = (
        (uts_host and body.get("Hostname"), "hostname and the UTS mode"),
        (uts_host and body.get("Domainname"), "domainname and the UTS mode"),
        (joins and body.get("Hostname"), "hostname and the network mode"),
        (is_host and host["Links"], f"host type networking {undefined}"),
        (joins and host["Links"], f"container type network {undefined}"),
        (joins and host["Dns"], "dns and the network mode"),
        (joins and host["ExtraHosts"], "custom host-to-IP mapping and the network mode"),
        ((joins or is_host) and mac, "mac-address and the network mode"),
        (joins and published, "port publishing and the container type network mode"),
        (joins and body.get("ExposedPorts"), "port exposing and the container type network mode"),
    )
    for conflict, words in conflicts:
        if conflict:
            raise InvalidParameter(f"conflicting options: {words}")
    if host.get("StorageOpt"):
        raise InvalidParameter("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")


def check_healthcheck(check: dict[str, Any] | None) -> None:
    """Refuse a health check that Docker refuses. Raises InvalidParameter."""
    if not check:
        return
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if check.get(key) and check[key] < _MS:
            raise InvalidParameter(f"{key} in Healthcheck cannot be less than 1ms")
    if (check.get("Retries") or 0) < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")
