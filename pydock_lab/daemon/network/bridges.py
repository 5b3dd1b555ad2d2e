"""Bridge networks: subnet, gateway, NAT, endpoints and published ports of one daemon.

The only room that imports pyroute2 (lazily: 100 ms). The veth pair of a
container is made by its launch from the plain values in `Endpoint`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_lab.daemon.store.database import Documents
from pydock_lab.daemon.trace import Trace


@dataclass(frozen=True)
class PortBinding:
    """One published port: `host_ip:host_port` → `container_port/protocol`; host_port 0 asks for a free one."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class Endpoint:
    """A container's place on one network: plain values for the launch (runtime.request.Attachment)."""

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


class Networks:
    """All networks of one daemon: `bridge`, `host`, `none` and the user's own."""

    def __init__(self, documents: Documents, trace: Trace, *, exec_root: Path, rootless: bool = False) -> None:
        self.trace = trace

    async def start(self) -> None:
        """Make the default bridge's record; restore links and NAT of networks that should be there."""
        raise NotImplementedError

    async def close(self) -> None:
        """Remove every link, rule and open port of this daemon; records stay."""
        raise NotImplementedError

    async def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Create a network from Docker's NetworkCreateRequest; return its inspect document."""
        raise NotImplementedError

    def resolve(self, name: str) -> dict[str, Any]:
        """Return the inspect document by name, id or prefix. Raises NotFound `network NAME not found`."""
        raise NotImplementedError

    def list(self) -> list[dict[str, Any]]:
        """Return the inspect documents of all networks."""
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        """Remove a network without endpoints. Raises Forbidden / NotFound in Docker's words."""
        raise NotImplementedError

    async def allocate(
        self, network: str, container_id: str, *, config: dict[str, Any] | None = None, name: str = ""
    ) -> Endpoint:
        """Reserve an address and names for a container (Docker's EndpointSettings as `config`).

        Makes the bridge if it is not there yet. Raises InvalidParameter / Conflict in Docker's words.
        """
        raise NotImplementedError

    async def publish(self, endpoint: Endpoint, bindings: list[PortBinding]) -> list[PortBinding]:
        """Open host ports for an endpoint; return them with the host ports that were chosen.

        Raises Conflict-like SystemFailure with Docker's text, `driver failed programming external
        connectivity on endpoint …: Bind for 0.0.0.0:5000 failed: port is already allocated`;
        nothing stays open then.
        """
        raise NotImplementedError

    async def release(self, endpoint: Endpoint) -> None:
        """Close its ports and free its address. The veth pair dies with the container's netns."""
        raise NotImplementedError
