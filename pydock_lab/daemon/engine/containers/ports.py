"""Exposed and published ports: Docker's spellings, and the bindings of a container.

Source: docker/go-connections nat; moby daemon/network.
"""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.errors import InvalidParameter

_PORT = re.compile(r"^(\d+)(?:-(\d+))?$")


def normalize(port: str) -> str:
    """`80` → `80/tcp`. Raises InvalidParameter for what is no port."""
    number, protocol = split(port)
    return f"{number}/{protocol}"


def split(port: str) -> tuple[int, str]:
    """`"53/udp"` → `(53, "udp")`; what is only exposed may have any protocol. Raises InvalidParameter."""
    number, _, protocol = port.partition("/")
    protocol = (protocol or "tcp").lower()
    if not number.isdigit() or int(number) > 65535:
        raise InvalidParameter(f'invalid port specification: "{port}"')
    return int(number), protocol


def check_bindings(bindings: dict[str, Any]) -> None:
    """Refuse PortBindings that Docker refuses. Raises InvalidParameter."""
    for port, places in bindings.items():
        protocol = split(port)[1]
        if protocol not in ("tcp", "udp", "sctp"):
            raise InvalidParameter(f"invalid proto: {protocol}")
        for place in places or []:
            host_port = place.get("HostPort") or ""
            match = _PORT.match(host_port)
            if host_port and (match is None or int(match[1]) > 65535 or int(match[2] or 0) > 65535):
                raise InvalidParameter(f'invalid port specification: "{host_port}"')


def requested(config: dict[str, Any], host: dict[str, Any]) -> list[PortBinding]:
    """Return the bindings to open when the container starts (`-p`, and `-P` for the rest), named ones first."""
    wanted: list[PortBinding] = []
    for port, places in (host["PortBindings"] or {}).items():
        number, protocol = split(port)
        for place in places or [{}]:
            first, _, last = (place.get("HostPort") or "0").partition("-")
            wanted.append(PortBinding(place.get("HostIp") or "", int(first), number, protocol, int(last or 0)))
    if host["PublishAllPorts"]:
        bound = {normalize(port) for port in host["PortBindings"] or {}}
        for port in config.get("ExposedPorts") or {}:
            if normalize(port) not in bound:
                number, protocol = split(port)
                wanted.append(PortBinding("", 0, number, protocol))
    return sorted(wanted, key=lambda binding: binding.host_port == 0)


def inspect_ports(config: dict[str, Any], endpoints: list[Endpoint]) -> dict[str, Any]:
    """Return NetworkSettings.Ports: every exposed port, with where it is published or null; none without a way out."""
    exposed = config.get("ExposedPorts") if any(endpoint.gateway for endpoint in endpoints) else None
    shown: dict[str, Any] = {normalize(port): None for port in exposed or {}}
    for endpoint in endpoints:
        for binding in endpoint.bindings:
            key = f"{binding.container_port}/{binding.protocol}"
            place = {"HostIp": binding.host_ip or "0.0.0.0", "HostPort": str(binding.host_port)}
            shown[key] = [*(shown.get(key) or []), place]
    return shown


def summary_ports(config: dict[str, Any], endpoints: list[Endpoint]) -> list[dict[str, Any]]:
    """Return the Ports of a container in `GET /containers/json`."""
    listed: list[dict[str, Any]] = []
    for port, places in inspect_ports(config, endpoints).items():
        number, protocol = split(port)
        if places is None:
            listed.append({"PrivatePort": number, "Type": protocol})
        for place in places or []:
            listed.append(
                {
                    "IP": place["HostIp"],
                    "PrivatePort": number,
                    "PublicPort": int(place["HostPort"]),
                    "Type": protocol,
                }
            )
    return listed
