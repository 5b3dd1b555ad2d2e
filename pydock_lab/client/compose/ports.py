"""`127.0.0.1:9000-9001:9000-9001/udp` → one long form a port.

Source: compose-spec 05-services.md ("ports"), docker/go-connections nat/nat.go.
"""

from __future__ import annotations

from typing import Any

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_port(item: Any) -> list[dict[str, Any]]:
    """Return the long forms of an entry of `ports`.

    Raises:
        ValueError: it can't be read, in Docker's words.
    """
    if isinstance(item, dict):
        found = {"mode": "ingress", "protocol": "tcp", **item}
        found["target"] = int(found["target"])
        if "published" in found:
            found["published"] = str(found["published"])
        return [found]
    text, _, protocol = str(item).partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise ValueError(f"Invalid proto: {protocol}")
    address, published, target = _parts(text)
    if not target:
        raise ValueError(f"No port specified: {item}<empty>")
    _check_address(address)
    targets = _range(target, "containerPort")
    outside = _range(published, "hostPort") if published else []
    if outside and len(outside) != len(targets):
        if len(targets) != 1:
            raise ValueError(f"Invalid ranges specified for container and host Ports: {target} and {published}")
        # One port of the container, any of several of the host.
        return [_long(address, targets[0], published, protocol)]
    return [
        _long(address, inside, str(outside[number]) if outside else "", protocol)
        for number, inside in enumerate(targets)
    ]


def _parts(text: str) -> tuple[str, str, str]:
    """Return address, host ports and container ports; an IPv6 address stands in brackets."""
    rest, _, target = text.rpartition(":")
    if not rest and text.startswith("["):
        return text, "", ""
    address, _, published = rest.rpartition(":")
    return address.strip("[]"), published, target


def _check_address(address: str) -> None:
    import ipaddress  # few name one

    try:
        if address:
            ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"Invalid ip address: {address}") from None


def _range(text: str, what: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise ValueError(f"Invalid {what}: {text}")
    low, high = int(first), int(last or first)
    if high < low or high > 65535:
        raise ValueError(f"Invalid {what}: {text}")
    return list(range(low, high + 1))


def _long(address: str, target: int, published: str, protocol: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": "ingress"}
    if address:
        found["host_ip"] = address
    found["target"] = target
    if published:
        found["published"] = published
    return {**found, "protocol": protocol}
