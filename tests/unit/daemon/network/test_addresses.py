"""An address pool never gives an address twice, and a subnet never overlaps what is there."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.network.addresses import AddressPool, free_subnet, host_routes, overlaps, unique_local_subnet
from pydock_lab.errors import Forbidden, InvalidParameter, NotFound

SUBNET = ipaddress.ip_network("10.9.0.0/28")
GATEWAY = ipaddress.ip_address("10.9.0.1")


def test_lowest_free_address_first() -> None:
    pool = AddressPool(SUBNET, reserved=[GATEWAY])
    assert [str(pool.take()) for _ in range(3)] == ["10.9.0.2", "10.9.0.3", "10.9.0.4"]
    pool.free("10.9.0.3")
    pool.free("10.9.0.2")
    assert str(pool.take()) == "10.9.0.2"
    assert str(pool.take()) == "10.9.0.3"
    assert str(pool.take()) == "10.9.0.5"


@given(st.lists(st.one_of(st.none(), st.integers(0, 15), st.integers(16, 31)), max_size=80))
def test_no_address_is_held_twice(steps: list[int | None]) -> None:
    """None takes the next address, 0-15 asks for that one, 16-31 gives that one (less 16) back."""
    pool = AddressPool(SUBNET, reserved=[GATEWAY])
    held: set[str] = set()
    for step in steps:
        try:
            if step is None:
                taken = str(pool.take())
            elif step < 16:
                taken = str(pool.take_this(str(SUBNET[step])))
            else:
                address = str(SUBNET[step - 16])
                if address in held:
                    pool.free(address)
                    held.discard(address)
                continue
        except Forbidden:
            continue
        assert taken not in held
        assert taken != str(GATEWAY)
        held.add(taken)


def test_exhausted_pool_says_so_and_recovers() -> None:
    pool = AddressPool(ipaddress.ip_network("10.9.0.0/30"), reserved=[GATEWAY])
    only = pool.take()
    with pytest.raises(Forbidden, match="no available IPv4 addresses"):
        pool.take()
    pool.free(str(only))
    assert pool.take() == only


def test_range_limits_what_is_chosen_not_what_may_be_asked_for() -> None:
    pool = AddressPool(ipaddress.ip_network("10.9.0.0/16"), ipaddress.ip_network("10.9.3.0/30"))
    assert [str(pool.take()) for _ in range(4)] == ["10.9.3.0", "10.9.3.1", "10.9.3.2", "10.9.3.3"]
    with pytest.raises(Forbidden):
        pool.take()
    assert str(pool.take_this("10.9.200.1")) == "10.9.200.1"


@pytest.mark.parametrize(
    ("asked", "message"),
    [("10.10.0.1", "It does not belong to any of this network's subnets"), ("nonsense", "invalid IPv4 address")],
)
def test_address_of_another_subnet_is_refused(asked: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        AddressPool(SUBNET).take_this(asked)


def test_ipv6_pool_has_no_broadcast_to_spare() -> None:
    pool = AddressPool(ipaddress.ip_network("fd00::/126"))
    assert [str(pool.take()) for _ in range(3)] == ["fd00::1", "fd00::2", "fd00::3"]


@given(st.lists(st.integers(0, 15), max_size=12))
def test_free_subnet_overlaps_nothing(second_bytes: list[int]) -> None:
    taken = [ipaddress.ip_network(f"172.{16 + second}.0.0/16") for second in second_bytes]
    assert not overlaps(free_subnet(taken), taken)


def test_no_subnet_left() -> None:
    with pytest.raises(NotFound, match="non-overlapping IPv4 address pool"):
        free_subnet([ipaddress.ip_network("0.0.0.0/0")])


def test_unique_local_subnet_belongs_to_its_id() -> None:
    subnet = unique_local_subnet("ab" * 32)
    assert str(subnet) == "fdab:abab:abab:abab::/64"
    assert subnet.is_private


def test_host_routes_include_no_default_route() -> None:
    assert all(network.prefixlen for network in host_routes())
