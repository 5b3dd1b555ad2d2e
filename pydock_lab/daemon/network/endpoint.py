"""What a container has on a network, as plain values that every room may hold.

An `Endpoint` is handed to the engine, which keeps it in the container's record
and turns it into a `runtime.request.Attachment` for the launch.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PortBinding:
    """One published port: `host_ip:host_port` → `container_port/protocol`.

    Args:
        host_ip: Address to listen on; "" means every address, IPv4 and IPv6.
        host_port: Port on the host; 0 asks for a free one.
        container_port: Port inside the container.
        protocol: tcp, udp or sctp.
        host_port_end: Last port of a range to choose from (`-p 8000-8010:80`), 0 for no range.
    """

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_port_end: int = 0


@dataclass(frozen=True)
class Endpoint:
    """A container's place on one network: plain values for the launch (runtime.request.Attachment).

    Attributes:
        name: The container's.
        ifname: What the link is called in the container.
        aliases: What else it is called on this network: asked for, its short id, its host name.
        named: The network resolves names: it is a user's own, not the default bridge.
    """

    network_id: str
    endpoint_id: str
    container_id: str
    bridge: str
    host_ifname: str
    mac: str
    address: str
    prefix: int
    gateway: str
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    mtu: int = 1500
    aliases: tuple[str, ...] = ()
    bindings: tuple[PortBinding, ...] = field(default=())
    name: str = ""
    ifname: str = "eth0"
    named: bool = False

    @property
    def names(self) -> list[str]:
        """Every name that resolves to it, the container's first."""
        return list(dict.fromkeys(filter(None, (self.name, *self.aliases)))) if self.named else []
