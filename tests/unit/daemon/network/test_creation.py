"""NetworkCreateRequest → record: Docker's defaults and Docker's refusals, word for word."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from pydock_lab.daemon.network.creation import bridge_address, chosen, new_network, predefined
from pydock_lab.daemon.network.record import (
    BRIDGE_HOST_BINDING,
    BRIDGE_ICC,
    BRIDGE_MASQUERADE,
    DRIVER_MTU,
    NetworkRecord,
)
from pydock_lab.errors import (
    NOT_A_SWARM,
    Conflict,
    Forbidden,
    InvalidParameter,
    LabError,
    NotFound,
    NotImplementedYet,
    Unavailable,
)

BRIDGE = predefined("bridge", bridge="docker0", subnet=chosen(ipaddress.ip_network("172.17.0.0/16")))
THERE = [BRIDGE, predefined("host"), predefined("none")]


def create(existing: list[NetworkRecord] | None = None, **request: Any) -> NetworkRecord:
    occupied = [ipaddress.ip_network("172.18.0.0/16")]
    return new_network({"Name": "n", **request}, existing or THERE, occupied, "pd12ab")


def block(**fields: Any) -> dict[str, Any]:
    return {"Driver": "default", "Options": None, "Config": [fields]}


def test_free_pool_and_bridge_name_are_chosen() -> None:
    record = create()
    assert record.document()["IPAM"]["Config"] == [{"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"}]
    assert record.bridge == f"pd12ab-{record.id[:8]}"
    assert len(record.bridge) <= 15


def test_what_the_user_gave_is_shown_word_for_word() -> None:
    given = {
        "Subnet": "10.5.0.0/16",
        "IPRange": "10.5.3.0/24",
        "Gateway": "10.5.0.254",
        "AuxiliaryAddresses": {"a": "10.5.3.9"},
    }
    record = create(IPAM=block(**given), Labels={"k": "v"}, Internal=True, Attachable=True)
    document = record.document()
    assert document["IPAM"] == {"Driver": "default", "Options": None, "Config": [given]}
    assert (document["Internal"], document["Attachable"], document["Labels"]) == (True, True, {"k": "v"})
    assert record.subnet4 is not None
    taken = {str(record.subnet4.pool().take()) for _ in range(3)}
    assert taken == {"10.5.3.0"}


def test_gateway_comes_from_the_range_as_libnetwork_has_it() -> None:
    record = create(IPAM=block(Subnet="10.5.0.0/16", IPRange="10.5.3.0/24"))
    assert record.subnet4 is not None
    assert record.subnet4.gateway == "10.5.3.0"
    assert str(record.subnet4.pool().take()) == "10.5.3.1"


def test_ipv6_network_gets_a_unique_local_subnet() -> None:
    record = create(EnableIPv6=True)
    assert record.subnet6 is not None
    assert record.subnet6.network.is_private
    subnets = [entry["Subnet"] for entry in record.document()["IPAM"]["Config"]]
    assert subnets == ["172.19.0.0/16", record.subnet6.subnet]


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        ({"Name": ""}, InvalidParameter, "invalid name: "),
        ({"Name": "host"}, Forbidden, "operation is not permitted on predefined host network"),
        ({"Driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"Driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
        ({"Driver": "null"}, Forbidden, 'only one instance of "null" network is allowed'),
        (
            {"IPAM": block(Subnet="10.5.0.1")},
            InvalidParameter,
            "Invalid subnet 10.5.0.1 : invalid CIDR address: 10.5.0.1",
        ),
        (
            {"IPAM": block(Subnet="172.17.128.0/24")},
            Forbidden,
            "Pool overlaps with other one on this address space",
        ),
        (
            {"IPAM": block(Subnet="10.5.0.0/24", Gateway="10.6.0.1")},
            InvalidParameter,
            "no matching subnet for gateway 10.6.0.1",
        ),
        (
            {"IPAM": block(Subnet="10.5.0.0/24", IPRange="10.6.0.0/28")},
            InvalidParameter,
            "no matching subnet for range 10.6.0.0/28",
        ),
        (
            {"Options": {"com.docker.network.bridge.name": "a-name-too-long-for-a-link"}},
            InvalidParameter,
            "invalid bridge name: a-name-too-long-for-a-link",
        ),
        *(
            ({"Options": {name: value}}, InvalidParameter, f"failed to parse {name} value: {value} ({reason})")
            for name, value, reason in (
                (BRIDGE_ICC, "maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
                (BRIDGE_MASQUERADE, "", 'strconv.ParseBool: parsing "": invalid syntax'),
                (BRIDGE_HOST_BINDING, "here", "nil ip"),
                (DRIVER_MTU, "big", 'strconv.Atoi: parsing "big": invalid syntax'),
            )
        ),
        ({"Options": {DRIVER_MTU: "-5"}}, InvalidParameter, "invalid MTU number: -5"),
        ({"Driver": "overlay"}, Unavailable, NOT_A_SWARM),
        ({"Ingress": True}, InvalidParameter, "Ingress network can only be global scope network"),
        ({"Scope": "swarm"}, InvalidParameter, "cannot create a swarm scoped network when swarm is not active"),
        ({"ConfigFrom": {"Network": "x"}}, InvalidParameter, 'configuration network "x" does not exist'),
        ({"ConfigOnly": True}, NotImplementedYet, "configuration-only networks are not kept"),
        (
            {"IPAM": {"Config": [{"Subnet": "10.81.0.0/24"}, {"Subnet": "10.82.0.0/24"}]}},
            Forbidden,
            "bridge driver doesn't support multiple subnets",
        ),
    ],
)
def test_refusals(request_: dict[str, Any], kind: type[LabError], message: str) -> None:
    with pytest.raises(kind) as refused:
        create(**request_)
    assert refused.value.message == message


def test_truths_are_read_as_go_reads_them() -> None:
    off, on = create(Options={BRIDGE_ICC: "F", BRIDGE_MASQUERADE: "0"}), create(Options={BRIDGE_ICC: "1"})
    assert (off.icc, off.masquerade, on.icc, on.masquerade) == (False, False, True, True)


def test_name_in_use() -> None:
    with pytest.raises(Conflict, match="network with name n already exists"):
        create([*THERE, create()])


def test_default_bridge_document_is_dockers() -> None:
    document = BRIDGE.document()
    assert document["Options"] == {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": "docker0",
        "com.docker.network.driver.mtu": "1500",
    }
    assert predefined("none").document()["Driver"] == "null"
    assert predefined("host").document()["IPAM"] == {"Driver": "default", "Options": None, "Config": []}


def test_bip_keeps_the_address_it_names() -> None:
    subnet = bridge_address("192.168.5.9/24")
    assert (subnet.subnet, subnet.gateway) == ("192.168.5.0/24", "192.168.5.9")
    assert str(subnet.pool().take()) == "192.168.5.1"
    with pytest.raises(InvalidParameter, match="invalid CIDR address: x"):
        bridge_address("x")
