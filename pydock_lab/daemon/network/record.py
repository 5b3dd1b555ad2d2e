"""One network as it is stored, and the documents Docker's clients see of it.

Source: Docker Engine API 1.47, Network and NetworkContainer; the documents of
dockerd 20.10 for `bridge`, `host` and `none`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from pydock_lab.daemon.network.addresses import AddressPool, Network4or6
from pydock_lab.daemon.network.endpoint import Endpoint

BRIDGE_NAME = "com.docker.network.bridge.name"
BRIDGE_ICC = "com.docker.network.bridge.enable_icc"
BRIDGE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
BRIDGE_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
BRIDGE_DEFAULT = "com.docker.network.bridge.default_bridge"
DRIVER_MTU = "com.docker.network.driver.mtu"

PREDEFINED = ("bridge", "host", "none")


_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def truth(text: str) -> bool:
    """Read an option as Go's strconv.ParseBool does. Raises ValueError in its words."""
    if text not in _TRUTHS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _TRUTHS[text]


class Documents(Protocol):
    """Where networks and endpoints are remembered: key → JSON document (store.database.Documents)."""

    def put(self, key: str, document: Any) -> None:
        """Write or replace one document."""

    def delete(self, key: str) -> None:
        """Forget one document; no error if there is none."""

    def items(self) -> list[tuple[str, Any]]:
        """Return every (key, document), in key order."""


class Subnet(msgspec.Struct, frozen=True):
    """One IPAM block of a network: its subnet, the gateway in it, and where its addresses come from.

    `chosen` says that the engine chose it, so that static addresses are refused as Docker refuses them.
    """

    subnet: str
    gateway: str
    ip_range: str = ""
    auxiliary: dict[str, str] = msgspec.field(default_factory=dict)
    chosen: bool = False

    @property
    def network(self) -> Network4or6:
        """The subnet as an address range."""
        return ipaddress.ip_network(self.subnet, strict=False)

    def pool(self) -> AddressPool:
        """Return a pool that keeps the gateway and the auxiliary addresses back."""
        taken = [ipaddress.ip_address(text) for text in (self.gateway, *self.auxiliary.values()) if text]
        ip_range = ipaddress.ip_network(self.ip_range, strict=False) if self.ip_range else None
        return AddressPool(self.network, ip_range, taken)


class NetworkRecord(msgspec.Struct, frozen=True):
    """A network: what was asked for (`ipam`, `options`) and what came of it (`bridge`, `subnet4`)."""

    id: str
    name: str
    created: str
    driver: str
    bridge: str = ""
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    ipam_config: list[dict[str, Any]] = msgspec.field(default_factory=list)
    subnet4: Subnet | None = None
    subnet6: Subnet | None = None

    @property
    def mtu(self) -> int:
        """Bytes in one packet on this network."""
        return int(self.options.get(DRIVER_MTU, 1500))

    @property
    def masquerade(self) -> bool:
        """Packets that leave the machine get the machine's own address."""
        return _TRUTHS.get(self.options.get(BRIDGE_MASQUERADE, "true"), False) and not self.internal

    @property
    def icc(self) -> bool:
        """Containers of this network may talk to each other."""
        return _TRUTHS.get(self.options.get(BRIDGE_ICC, "true"), False)

    @property
    def host_binding(self) -> str:
        """The host's address for ports that are published without one, or "" for every address."""
        address = self.options.get(BRIDGE_HOST_BINDING, "")
        return "" if address == "0.0.0.0" else address

    @property
    def user_defined(self) -> bool:
        """Made by a user: has name resolution, aliases and static addresses."""
        return self.name not in PREDEFINED

    def document(self, endpoints: Iterable[Endpoint] = ()) -> dict[str, Any]:
        """Return Docker's inspect document."""
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": self.created,
            "Scope": "local",
            "Driver": self.driver,
            "EnableIPv4": True,
            "EnableIPv6": self.ipv6,
            "IPAM": {"Driver": self.ipam_driver, "Options": self.ipam_options, "Config": self._ipam_config()},
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": {endpoint.container_id: _container(endpoint) for endpoint in endpoints},
            "Options": self.options,
            "Labels": self.labels,
        }

    def _ipam_config(self) -> list[dict[str, Any]]:
        """What the user gave, word for word; else what the engine chose; IPv4 first."""
        config = list(self.ipam_config)
        for subnet in (self.subnet4, self.subnet6):
            if subnet is not None and subnet.chosen:
                config.append({"Subnet": subnet.subnet, "Gateway": subnet.gateway})
        return sorted(config, key=lambda block: ":" in block.get("Subnet", ""))


def _container(endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": endpoint.name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.address}/{endpoint.prefix}" if endpoint.address else "",
        "IPv6Address": f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else "",
    }
