"""`-p` and `--expose`: what is published where.

Source: docker/go-connections nat (ParsePortSpec), Docker Engine API PortMap.
"""

from __future__ import annotations

import ipaddress
import re

PortMap = dict[str, list[dict[str, str]]]

_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")


def publish(specs: list[str]) -> PortMap:
    """Read `-p` values into the API's PortMap.

    Args:
        specs: `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `8000-8010:80`, `[::1]:80:80`.

    Returns:
        `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`; HostPort "" asks for any port.

    Raises:
        ValueError: in Docker's words.
    """
    bindings: PortMap = {}
    for spec in specs:
        address, host, container, protocol = _split(spec)
        first, last = _range(container, "containerPort")
        count = last - first + 1
        host_ports = [""] * count
        if host:
            host_first, host_last = _range(host, "hostPort")
            if host_last - host_first + 1 == count:
                host_ports = [str(host_first + step) for step in range(count)]
            elif count == 1:
                host_ports = [f"{host_first}-{host_last}"]
            else:
                raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        for step in range(count):
            key = f"{first + step}/{protocol}"
            bindings.setdefault(key, []).append({"HostIp": address, "HostPort": host_ports[step]})
    return bindings


def expose(specs: list[str]) -> list[str]:
    """Read `--expose` values (`80`, `80-90/udp`) into `["80/tcp", …]`.

    Raises:
        ValueError: in Docker's words.
    """
    exposed: list[str] = []
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        port, _, protocol = spec.partition("/")
        match = _RANGE.match(port)
        if match is None:
            raise ValueError(f"invalid range format for --expose: {spec}, error: invalid start port '{port}'")
        exposed += [f"{number}/{protocol or 'tcp'}" for number in range(int(match[1]), int(match[2] or match[1]) + 1)]
    return exposed


def _split(spec: str) -> tuple[str, str, str, str]:
    """`ip:host:container/protocol` → its four parts, missing ones ""; protocol defaults to tcp."""
    rest, slash, protocol = spec.partition("/")
    if slash and protocol.lower() not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    before, _, container = rest.rpartition(":")
    address, _, host = before.rpartition(":")
    if not container:
        raise ValueError(f"no port specified: {spec}<empty>")
    address = address.removeprefix("[").removesuffix("]")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"invalid IP address: {address}") from None
    return address, host, container, (protocol or "tcp").lower()


def _range(text: str, what: str) -> tuple[int, int]:
    match = _RANGE.match(text)
    if match is None:
        raise ValueError(f"invalid {what}: {text}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last > 65535:
        raise ValueError(f"invalid {what}: {text}")
    return first, last
