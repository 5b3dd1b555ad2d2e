"""The policy as text: what nft and iptables-restore are given. That the kernel takes it is tests/linux' business."""

from __future__ import annotations

from pydock_lab.daemon.network.iptables import chains
from pydock_lab.daemon.network.nat import BridgeRules, Forward, Policy, Redirect
from pydock_lab.daemon.network.nftables import ruleset

WEB = Forward("tcp", "", 5000, "172.18.0.2", 80)
LOCAL = Forward("udp", "127.0.0.1", 53, "172.18.0.3", 53)
NAMES = {kind: f"PYDOCK-t-{kind}" for kind in ("DNAT", "SNAT", "FWD", "GUARD")}


def nft(*bridges: BridgeRules, forwards: tuple[Forward, ...] = (), redirect: Redirect | None = None) -> list[str]:
    text = ruleset("pydock_t", Policy(bridges, forwards, redirect))
    return [line.strip() for line in text.splitlines()]


def test_table_replaces_itself_in_one_transaction() -> None:
    lines = nft(BridgeRules("b0", "172.18.0.0/16"))
    assert lines.index("delete table inet pydock_t") < lines.index("table inet pydock_t {")


def test_published_ports_are_map_elements() -> None:
    text = "\n".join(nft(BridgeRules("b0", "172.18.0.0/16"), forwards=(WEB, LOCAL)))
    assert "elements = { tcp . 5000 : 172.18.0.2 . 80 };" in text
    assert "elements = { 127.0.0.1 . udp . 53 : 172.18.0.3 . 53 };" in text


def test_nothing_comes_in_but_published_ports() -> None:
    assert 'oifname "b0" iifname != "b0" ct status & dnat == 0 drop' in nft(BridgeRules("b0", "172.18.0.0/16"))


def test_internal_network_sees_nobody_and_is_not_masqueraded() -> None:
    lines = nft(BridgeRules("b0", "172.18.0.0/16", internal=True, masquerade=False))
    assert 'iifname "b0" oifname != "b0" drop' in lines
    assert 'oifname "b0" iifname != "b0" drop' in lines
    assert not any('oifname != "b0" masquerade' in line for line in lines)


def test_loopback_of_the_host_is_guarded_against_containers() -> None:
    assert "iifname @bridges ip daddr 127.0.0.0/8 drop" in nft(BridgeRules("b0", "172.18.0.0/16"))


def test_containers_apart() -> None:
    rule = 'iifname "b0" oifname "b0" drop'
    assert rule not in nft(BridgeRules("b0", "172.18.0.0/16"))
    assert rule in nft(BridgeRules("b0", "172.18.0.0/16", icc=False))


def test_rootless_redirects_what_leaves() -> None:
    lines = nft(BridgeRules("b0", "172.18.0.0/16"), redirect=Redirect(4001, 4053))
    leaving = "iifname @bridges fib daddr type != local ip daddr != @subnets"
    assert f"{leaving} meta l4proto tcp redirect to :4001" in lines
    assert f"{leaving} udp dport 53 redirect to :4053" in lines
    assert "iifname @bridges fib daddr type local return" not in lines


def test_iptables_puts_one_address_before_any() -> None:
    lines = chains(NAMES, Policy((BridgeRules("b0", "172.18.0.0/16"),), (WEB, LOCAL))).splitlines()
    rules = [line for line in lines if line.startswith("-A PYDOCK-t-DNAT")]
    assert rules == [
        "-A PYDOCK-t-DNAT -i b0 -j RETURN",
        "-A PYDOCK-t-DNAT -d 127.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 172.18.0.3:53",
        "-A PYDOCK-t-DNAT -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.18.0.2:80",
    ]


def test_iptables_drops_what_is_not_published() -> None:
    lines = chains(NAMES, Policy((BridgeRules("b0", "172.18.0.0/16", icc=False),))).splitlines()
    rules = [line.removeprefix("-A PYDOCK-t-FWD ") for line in lines if line.startswith("-A PYDOCK-t-FWD")]
    assert rules == [
        "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-i b0 -o b0 -j DROP",
        "-o b0 -m conntrack --ctstate DNAT -j ACCEPT",
        "-o b0 -j DROP",
        "-i b0 -j ACCEPT",
    ]
