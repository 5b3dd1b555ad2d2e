"""From Docker's NetworkCreateRequest to a NetworkRecord, with Docker's refusals.

Pure: what exists already is handed in.

Source: Docker Engine API 1.47 NetworkCreate; moby daemon/network.go,
libnetwork/ipamutils, and the messages of dockerd 20.10.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from pydock_lab.daemon.network.addresses import Network4or6, free_subnet, overlaps, unique_local_subnet
from pydock_lab.daemon.network.record import (
    BRIDGE_HOST_BINDING,
    BRIDGE_ICC,
    BRIDGE_MASQUERADE,
    BRIDGE_NAME,
    DRIVER_MTU,
    PREDEFINED,
    NetworkRecord,
    Subnet,
    truth,
)
from pydock_lab.errors import (
    NOT_A_SWARM,
    Conflict,
    Forbidden,
    InvalidParameter,
    NotFound,
    NotImplementedYet,
    Unavailable,
)
from pydock_lab.spec.ids import fresh_id

_IFNAMSIZ = 15  # netdevice(7), without the NUL
_LEAST_MTU, _MOST_MTU = 68, 65535  # RFC 791; dockerd takes others too, and no container starts then


def timestamp() -> str:
    """Now, as Docker prints it: UTC with nanoseconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def predefined(name: str, *, bridge: str = "", subnet: Subnet | None = None) -> NetworkRecord:
    """Return a fresh record of `bridge`, `host` or `none`."""
    options = {}
    if name == "bridge":
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            BRIDGE_NAME: bridge,
            DRIVER_MTU: "1500",
        }
    driver = "null" if name == "none" else name
    network_id = fresh_id()
    return NetworkRecord(
        network_id, name, timestamp(), driver, bridge=bridge, options=options, subnet4=subnet if bridge else None
    )


def new_network(
    request: dict[str, Any], existing: Iterable[NetworkRecord], occupied: Iterable[Network4or6], bridge_prefix: str
) -> NetworkRecord:
    """Return the record of the network that was asked for.

    Args:
        request: Docker's NetworkCreateRequest.
        existing: Every network there is.
        occupied: Ranges the host has routes to.
        bridge_prefix: What this daemon's link names begin with.

    Raises:
        InvalidParameter, Forbidden, Conflict, NotFound: in dockerd's words.
    """
    existing = list(existing)
    name = request.get("Name") or ""
    _check_name(name, existing)
    driver = request.get("Driver") or "bridge"
    _check_driver(driver)
    _check_kind(request)
    ipam = request.get("IPAM") or {}
    if (ipam.get("Driver") or "default") not in ("default", "null"):
        raise NotFound(f'plugin "{ipam["Driver"]}" not found')
    network_id = fresh_id()
    options = {key: str(value) for key, value in (request.get("Options") or {}).items()}
    ipv6 = bool(request.get("EnableIPv6"))
    config = [_trimmed(block) for block in ipam.get("Config") or []]
    blocks = [_subnet(block) for block in config if block.get("Subnet")]
    ours = [s.network for record in existing for s in (record.subnet4, record.subnet6) if s is not None]
    for block in blocks:
        if overlaps(block.network, ours):
            raise Forbidden("Pool overlaps with other one on this address space")
    if len({block.network.version for block in blocks}) < len(blocks):
        raise Forbidden("bridge driver doesn't support multiple subnets")
    subnet4 = next((block for block in blocks if block.network.version == 4), None)
    subnet6 = next((block for block in blocks if block.network.version == 6), None)
    if subnet4 is None:
        subnet4 = chosen(free_subnet([*ours, *occupied]))
    if ipv6 and subnet6 is None:
        subnet6 = chosen(unique_local_subnet(network_id))
    return NetworkRecord(
        network_id,
        name,
        timestamp(),
        driver,
        bridge=_bridge_name(options, existing, bridge_prefix, network_id),
        internal=bool(request.get("Internal")),
        attachable=bool(request.get("Attachable")),
        ipv6=ipv6,
        labels=request.get("Labels") or {},
        options=_checked(options),
        ipam_driver=ipam.get("Driver") or "default",
        ipam_options=ipam.get("Options"),
        ipam_config=config,
        subnet4=subnet4,
        subnet6=subnet6 if ipv6 else None,
    )


def chosen(network: Network4or6) -> Subnet:
    """Return a block the engine chose itself, its first address the gateway."""
    return Subnet(str(network), str(network[1]), chosen=True)


def bridge_address(bip: str) -> Subnet:
    """Return the default bridge's block from `--bip ADDRESS/PREFIX`."""
    try:
        interface = ipaddress.ip_interface(bip)
    except ValueError:
        raise InvalidParameter(f"invalid CIDR address: {bip}") from None
    return Subnet(str(interface.network), str(interface.ip), chosen=True)


def _check_name(name: str, existing: list[NetworkRecord]) -> None:
    if not name.strip():
        raise InvalidParameter(f"invalid name: {name}")
    if name in PREDEFINED or name == "default":
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    if any(record.name == name for record in existing):
        raise Conflict(f"network with name {name} already exists")


def _check_driver(driver: str) -> None:
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Unavailable(NOT_A_SWARM, hint="this engine has bridge networks only")
    if driver in ("macvlan", "ipvlan"):
        raise NotFound(f'plugin "{driver}" not found', hint="this engine has bridge networks only")
    if driver != "bridge":
        raise NotFound(f'plugin "{driver}" not found')


def _check_kind(request: dict[str, Any]) -> None:
    """Refuse networks that only a swarm has, and those that only hold settings for others."""
    if request.get("Ingress"):
        raise InvalidParameter("Ingress network can only be global scope network")
    if (request.get("Scope") or "local") != "local":
        raise InvalidParameter(f"cannot create a {request['Scope']} scoped network when swarm is not active")
    if other := (request.get("ConfigFrom") or {}).get("Network"):
        raise InvalidParameter(f'configuration network "{other}" does not exist')
    if request.get("ConfigOnly"):
        raise NotImplementedYet("configuration-only networks are not kept", hint="give each network its own options")


def _trimmed(block: dict[str, Any]) -> dict[str, Any]:
    """Keep what says something: clients also send empty strings."""
    return {key: value for key, value in block.items() if value}


def _subnet(block: dict[str, Any]) -> Subnet:
    text = block["Subnet"]
    if "/" not in text:
        raise InvalidParameter(f"Invalid subnet {text} : invalid CIDR address: {text}")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidParameter(f"Invalid subnet {text} : invalid CIDR address: {text}") from None
    ip_range = block.get("IPRange", "")
    if ip_range:
        inner = _parsed_network(ip_range)
        if inner.version != network.version or not inner.subnet_of(network):  # type: ignore[arg-type]
            raise InvalidParameter(f"no matching subnet for range {ip_range}")
    auxiliary = dict(block.get("AuxiliaryAddresses") or {})
    for address in (block.get("Gateway"), *auxiliary.values()):
        if address and _parsed_address(address) not in network:
            what = "gateway" if address == block.get("Gateway") else "aux-address"
            raise InvalidParameter(f"no matching subnet for {what} {address}")
    # libnetwork asks its pool for the gateway, so with an ip range it lies in that range.
    pool = Subnet(text, "", ip_range, auxiliary).pool()
    gateway = block.get("Gateway") or str(pool.take())
    return Subnet(text, gateway, ip_range, auxiliary)


def _parsed_network(text: str) -> Network4or6:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidParameter(f"Invalid range {text} : invalid CIDR address: {text}") from None


def _parsed_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameter(f"invalid IP address: {text}") from None


def _bridge_name(options: dict[str, str], existing: list[NetworkRecord], prefix: str, network_id: str) -> str:
    name = options.get(BRIDGE_NAME, "")
    if not name:
        return f"{prefix}-{network_id[:8]}"
    if len(name) > _IFNAMSIZ or "/" in name:
        raise InvalidParameter(f"invalid bridge name: {name}", hint=f"a link's name has {_IFNAMSIZ} characters at most")
    if other := next((record for record in existing if record.bridge == name), None):
        raise Forbidden(
            f"cannot create network {network_id} ({name}): conflicts with network {other.id} ({name}): "
            "networks have same bridge name"
        )
    return name


def _checked(options: dict[str, str]) -> dict[str, str]:
    for key in options.keys() & _READERS.keys():
        try:
            _READERS[key](options[key])
        except ValueError as error:
            raise InvalidParameter(f"failed to parse {key} value: {options[key]} ({error})") from None
    return options


def _address4(text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("nil ip") from None


def _mtu(text: str) -> None:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    if not _LEAST_MTU <= number <= _MOST_MTU:
        hint = f"a bridge's packets have {_LEAST_MTU} to {_MOST_MTU} bytes"
        raise InvalidParameter(f"invalid MTU number: {number}", hint=hint)


_READERS: Mapping[str, Callable[[str], object]] = {
    BRIDGE_ICC: truth,
    BRIDGE_MASQUERADE: truth,
    BRIDGE_HOST_BINDING: _address4,
    DRIVER_MTU: _mtu,
}
"""How the value of an option is read; ValueError says in Go's words what is wrong with it."""
