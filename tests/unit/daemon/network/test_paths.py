"""The network map's reading of listings, and the way of a packet, without a kernel."""

from __future__ import annotations

from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.nat import Rule
from pydock_lab.daemon.network.nftables import parse_table
from pydock_lab.daemon.network.paths import Published
from pydock_lab.daemon.network.view import HostView, Link, Route

LISTING = """table inet pydock_t {
\tmap published {
\t\ttype inet_proto . inet_service : ipv4_addr . inet_service
\t\telements = { tcp . 5000 : 172.18.0.2 . 80,
\t\t\t     udp . 53 : 172.18.0.3 . 53 }
\t}

\tmap published_at {
\t\ttype ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
\t}

\tset bridges {
\t\ttype ifname
\t\telements = { "b0" }
\t}

\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tfib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published
\t}
}
"""
USE = "fib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published"
WEB = Endpoint("n", "e", "c", "b0", "v0", "02:42:ac:12:00:02", "172.18.0.2", 16, "172.18.0.1", name="web")
HOST = HostView(
    {
        7: Link(7, "b0", "bridge", "up", "", 1500, 0, 0, -1),
        8: Link(8, "v0", "veth", "up", "", 1500, 7, 2, 0),
    },
    [Route("0.0.0.0/0", "eth0", "192.0.2.1"), Route("172.18.0.0/16", "b0", ""), Route("172.16.0.0/12", "eth1", "")],
)


def port(*rules: Rule, host: HostView = HOST) -> Published:
    return Published(WEB, PortBinding("0.0.0.0", 5000, 80), rules, host)


def test_listing_of_a_table() -> None:
    assert parse_table(LISTING) == [
        Rule("map published", (), "tcp . 5000 : 172.18.0.2 . 80"),
        Rule("map published", (), "udp . 53 : 172.18.0.3 . 53"),
        Rule("prerouting", ("prerouting",), USE),
    ]


def test_the_rule_and_its_element_belong_together() -> None:
    rules = parse_table(LISTING)
    assert port(*rules).translated
    assert port(*rules).from_outside()[1].rule == f"{USE}; tcp . 5000 : 172.18.0.2 . 80"
    assert not port(*rules[1:]).translated
    assert not port(*rules[:-1]).translated


def test_rules_of_iptables() -> None:
    text = "-A PYDOCK-t-DNAT -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.18.0.2:80"
    shown = port(Rule("PYDOCK-t-DNAT", ("prerouting", "output"), text))
    assert shown.from_outside()[1].rule == shown.from_host()[1].rule == text
    other = Rule("PYDOCK-t-DNAT", ("prerouting", "output"), text.replace("5000", "50000"))
    assert not port(other).translated


def test_the_most_specific_route_is_taken() -> None:
    routing = next(step for step in port().from_outside() if step.where == "routing")
    assert routing.rule == "172.18.0.0/16 dev b0"
    assert HOST.route_to("8.8.8.8") == Route("0.0.0.0/0", "eth0", "192.0.2.1")
    assert HOST.route_to("fd00::1") is None


def test_a_cable_that_was_pulled_out() -> None:
    loose = HostView({**HOST.links, 8: Link(8, "v0", "veth", "up", "", 1500, 0, 2, 0)}, HOST.routes)
    step = next(step for step in port(host=loose).from_outside() if step.where == "bridge")
    assert "the packet is lost" in step.what
