"""What the packet filter has to do for a daemon's networks, as data; and who does it.

Two backends write the same policy: nftables (a table of our own, port by port
through one map element) and iptables (chains of our own), for kernels that
have no nft tables. The policy is Docker's: containers go out behind the
host's address, nothing comes in but published ports, networks don't see each
other, and an internal network sees nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class BridgeRules:
    """One bridge as the filter sees it; `subnet6` may be ""."""

    name: str
    subnet4: str
    subnet6: str = ""
    masquerade: bool = True
    internal: bool = False
    icc: bool = True


@dataclass(frozen=True)
class Forward:
    """A published port: packets to `host_ip:host_port` go to `address:port`, both of one family.

    A host_ip of "" is any local address of that family.
    """

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True)
class Redirect:
    """Where a rootless daemon takes what leaves its network namespace: its own TCP and DNS ports."""

    tcp_port: int
    dns_port: int


@dataclass(frozen=True)
class Policy:
    """Everything the filter has to hold at one time."""

    bridges: tuple[BridgeRules, ...] = ()
    forwards: tuple[Forward, ...] = ()
    redirect: Redirect | None = None


@dataclass(frozen=True)
class Rule:
    """One rule as the kernel has it now; `hooks` are the places on a packet's way where its chain is asked."""

    chain: str
    hooks: tuple[str, ...]
    text: str


class Firewall(Protocol):
    """A packet filter that holds one daemon's policy; calls block for some 0.1 (nft) to 10 ms (iptables)."""

    name: str

    def apply(self, policy: Policy) -> None:
        """Make the filter hold exactly this policy, whatever it held before."""

    def add(self, forwards: Iterable[Forward]) -> None:
        """Publish further ports."""

    def remove(self, forwards: Iterable[Forward]) -> None:
        """Take published ports back; no error for one that is gone."""

    def clear(self) -> None:
        """Leave nothing of ours."""

    def rules(self) -> list[Rule]:
        """Read back what the kernel holds of ours."""


class NoFirewall:
    """No packet filter can be used: published ports are proxied, nothing is masqueraded."""

    name = "none"

    def apply(self, policy: Policy) -> None:
        """Hold nothing."""

    def add(self, forwards: Iterable[Forward]) -> None:
        """Hold nothing."""

    def remove(self, forwards: Iterable[Forward]) -> None:
        """Hold nothing."""

    def clear(self) -> None:
        """Hold nothing."""

    def rules(self) -> list[Rule]:
        """There are none."""
        return []
