"""The nftables backend: one table per daemon, changed through libnftables in this process.

A published port is one element of one map, added in about 0.2 ms; starting
`nft` would take twenty times as long. `ruleset` is pure, so that the policy
can be read and tested as text.

Source: nft(8), libnftables(3).
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterable

from pydock_lab.daemon.network.nat import BridgeRules, Forward, Policy, Redirect, Rule
from pydock_lab.errors import SystemFailure, Unavailable


class Nft:
    """libnftables: commands in nft's own language, in this process's network namespace.

    Raises:
        Unavailable: the library is not installed.
    """

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libnftables.so.1", use_errno=True)
        except OSError as error:
            raise Unavailable("libnftables is not installed") from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name in ("nft_ctx_buffer_error", "nft_ctx_buffer_output", "nft_ctx_free"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
            getattr(library, name).restype = ctypes.c_char_p
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library = library
        self._context = library.nft_ctx_new(0)
        self._lock = threading.Lock()
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_buffer_output(self._context)

    def run(self, commands: str) -> str:
        """Carry out all commands as one transaction; return what they print.

        Raises:
            SystemFailure: nft refused one; none was carried out.
        """
        with self._lock:
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context) or b""
            errors = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise SystemFailure(f"nft: {errors.decode(errors='replace').strip()}")
        return str(output.decode(errors="replace"))


class NftFirewall:
    """One daemon's table, `inet pydock_TAG`."""

    name = "nftables"

    def __init__(self, nft: Nft, tag: str) -> None:
        self._nft = nft
        self._table = f"pydock_{tag}"

    def probe(self) -> None:
        """Raise SystemFailure if this kernel or this user can't have our kind of table."""
        self._nft.run(f"table inet {self._table}_probe {{ chain c {{ type nat hook prerouting priority dstnat; }}; }}")
        self._nft.run(f"delete table inet {self._table}_probe")

    def apply(self, policy: Policy) -> None:
        """Replace the table in one transaction."""
        self._nft.run(ruleset(self._table, policy))

    def add(self, forwards: Iterable[Forward]) -> None:
        """Add map elements."""
        if text := "\n".join(f"add element inet {self._table} {_element(f)}" for f in forwards):
            self._nft.run(text)

    def remove(self, forwards: Iterable[Forward]) -> None:
        """Delete map elements, one by one: someone else may have flushed the table."""
        for forward in forwards:
            try:
                self._nft.run(f"delete element inet {self._table} {_key(forward)}")
            except SystemFailure:
                continue

    def clear(self) -> None:
        """Delete our table."""
        self._nft.run(_without(self._table))

    def rules(self) -> list[Rule]:
        """List our table."""
        return parse_table(self._nft.run(f"list table inet {self._table}"))


_BLOCK = re.compile(r"^\t(chain|map) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_HOOK = re.compile(r"type \S+ hook (\S+) ")
_ELEMENTS = re.compile(r"elements = \{(.*?)\}", re.DOTALL)

_PORT = "meta l4proto . th dport"
# IPv6 has no route_localnet: packets from ::1 can't leave the loopback, so the proxy takes those.
_TRANSLATIONS = [
    f"fib daddr type local dnat ip to ip daddr . {_PORT} map @published_at",
    f"fib daddr type local meta nfproto ipv4 dnat ip to {_PORT} map @published",
    f"fib daddr type local ip6 daddr != ::1 dnat ip6 to ip6 daddr . {_PORT} map @published6_at",
    f"fib daddr type local ip6 daddr != ::1 dnat ip6 to {_PORT} map @published6",
]


def ruleset(table: str, policy: Policy) -> str:
    """Return nft commands that make `table` hold this policy and nothing else."""
    names = ", ".join(f'"{bridge.name}"' for bridge in policy.bridges)
    subnets = ", ".join(bridge.subnet4 for bridge in policy.bridges)
    published = _lines([_TRANSLATIONS])
    return f"""{_without(table)}
table inet {table} {{
{_maps(policy.forwards)}
  set bridges {{ type ifname; {_elements(names)} }}
  set subnets {{ type ipv4_addr; flags interval; auto-merge; {_elements(subnets)} }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
{_own_calls(policy.redirect)}
{published}
{_redirect(policy.redirect, "iifname @bridges")}
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
{published}
{_redirect(policy.redirect, 'oifname != "lo"')}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
{_lines(_forward_rules(bridge) for bridge in policy.bridges)}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
{_lines(_postrouting_rules(bridge) for bridge in policy.bridges)}
  }}
}}"""


def _maps(forwards: Iterable[Forward]) -> str:
    """Return a map for each family, and for ports of any or of one address."""
    pairs: dict[str, list[str]] = {}
    for forward in forwards:
        pairs.setdefault(_map(forward), []).append(_pair(forward))
    port = "inet_proto . inet_service"
    maps = (
        ("published", port, "ipv4_addr"),
        ("published_at", f"ipv4_addr . {port}", "ipv4_addr"),
        ("published6", port, "ipv6_addr"),
        ("published6_at", f"ipv6_addr . {port}", "ipv6_addr"),
    )
    return "\n".join(
        f"  map {name} {{ type {key} : {address} . inet_service; {_elements(', '.join(pairs.get(name, ())))} }}"
        for name, key, address in maps
    )


def parse_table(listing: str) -> list[Rule]:
    """Read what `nft list table` prints: the rules of each chain, the elements of each map (as chain `map NAME`)."""
    rules: list[Rule] = []
    for kind, name, body in _BLOCK.findall(listing):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        if kind == "chain":
            hook = next((match[1] for line in lines if (match := _HOOK.match(line))), "")
            rules += [Rule(name, (hook,), line) for line in lines if not _HOOK.match(line)]
        elif elements := _ELEMENTS.search(body):
            rules += [Rule(f"map {name}", (), " ".join(one.split())) for one in elements[1].split(",")]
    return rules


def _without(table: str) -> str:
    """Deleting a table that may not be there: make it first."""
    return f"table inet {table} {{ }}\ndelete table inet {table}"


def _forward_rules(bridge: BridgeRules) -> list[str]:
    name = f'"{bridge.name}"'
    if bridge.internal:
        return [f"iifname {name} oifname != {name} drop", f"oifname {name} iifname != {name} drop"]
    # A published port is reachable from every network; nothing else comes in.
    rules = [f"oifname {name} iifname != {name} ct status & dnat == 0 drop"]
    if not bridge.icc:  # frames within a bridge come here only by way of br_netfilter
        rules.append(f"iifname {name} oifname {name} drop")
    return rules


def _postrouting_rules(bridge: BridgeRules) -> list[str]:
    # A container that calls a published port of its own network must not be answered directly.
    rules = [f"ip saddr {bridge.subnet4} ip daddr {bridge.subnet4} ct status dnat masquerade"]
    if bridge.subnet6:
        rules.append(f"ip6 saddr {bridge.subnet6} ip6 daddr {bridge.subnet6} ct status dnat masquerade")
    if bridge.masquerade:
        rules.append(f'ip saddr {bridge.subnet4} oifname != "{bridge.name}" masquerade')
        if bridge.subnet6:
            rules.append(f'ip6 saddr {bridge.subnet6} oifname != "{bridge.name}" masquerade')
    return rules


def _own_calls(redirect: Redirect | None) -> str:
    """A container that calls a published port is answered by the proxy, as with Docker.

    The kernel's way would lead back into the bridge port it came from, which br_netfilter turns into a
    hairpin that the bridge refuses. Rootless the proxy is in another namespace, and br_netfilter is off.
    """
    return "" if redirect else "    iifname @bridges fib daddr type local return"


def _redirect(redirect: Redirect | None, match: str) -> str:
    if redirect is None:
        return ""
    outward = f"    {match} fib daddr type != local ip daddr != @subnets"
    return (
        f"{outward} udp dport 53 redirect to :{redirect.dns_port}\n"
        f"{outward} meta l4proto tcp redirect to :{redirect.tcp_port}"
    )


def _lines(groups: Iterable[list[str]]) -> str:
    return "\n".join(f"    {rule}" for group in groups for rule in group)


def _elements(text: str) -> str:
    return f"elements = {{ {text} }};" if text else ""


def _match(forward: Forward) -> str:
    address = f"{forward.host_ip} . " if forward.host_ip else ""
    return f"{address}{forward.protocol} . {forward.host_port}"


def _pair(forward: Forward) -> str:
    return f"{_match(forward)} : {forward.address} . {forward.port}"


def _element(forward: Forward) -> str:
    return f"{_map(forward)} {{ {_pair(forward)} }}"


def _key(forward: Forward) -> str:
    return f"{_map(forward)} {{ {_match(forward)} }}"


def _map(forward: Forward) -> str:
    return f"published{'6' if forward.version == 6 else ''}{'_at' if forward.host_ip else ''}"
