"""What this daemon holds in the kernel for its networks: links, filter rules, sysctls.

Chooses the packet filter once, serialises changes to it, and knows the names
of everything of ours, so that it can be found again after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pydock_lab.daemon.network.conntrack import forget_udp
from pydock_lab.daemon.network.iptables import ForwardAccept, Iptables, IptablesFirewall
from pydock_lab.daemon.network.links import (
    Bridge,
    abandoned_tags,
    add_bridge,
    add_way_out,
    bring_up_loopback,
    delete_links,
    enable_forwarding,
    link_names,
    write_sysctl,
)
from pydock_lab.daemon.network.nat import BridgeRules, Firewall, Forward, NoFirewall, Policy, Redirect, Rule
from pydock_lab.daemon.network.nftables import Nft, NftFirewall
from pydock_lab.daemon.network.record import NetworkRecord, Subnet
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import LabError

log = logging.getLogger("pydock.network")

_ROOTLESS_ADDRESS = "10.0.2.100"  # source address of what leaves a rootless namespace; nobody ever sees it


def choose_firewall(tag: str) -> Firewall:
    """Return the best packet filter that works here."""
    try:
        firewall = NftFirewall(Nft(), tag)
        firewall.probe()
        return firewall
    except LabError as error:
        log.info("nftables can't be used: %s", error.message)
    try:
        return IptablesFirewall(Iptables.usable(), tag)
    except LabError as error:
        log.info("iptables can't be used: %s", error.message)
    return NoFirewall()


class HostNetwork:
    """The kernel's side of one daemon's networks.

    Args:
        tag: Four hex digits that begin all our names (links.link_tag).
        owner: The data root, noted on our bridges.
    """

    def __init__(self, tag: str, trace: Trace, owner: str) -> None:
        self._tag = tag
        self._owner = owner
        self._trace = trace
        self._firewall: Firewall | None = None
        self._accept = ForwardAccept(tag)
        self._changing = asyncio.Lock()
        self._bridges: tuple[BridgeRules, ...] = ()
        self._forwards: set[Forward] = set()
        self._redirect: Redirect | None = None
        self._accepted: set[str] = set()
        self._forwarding = False
        self._deleting: set[asyncio.Task[None]] = set()

    @property
    def backend(self) -> str:
        """Name of the packet filter, "" before it is chosen."""
        return self._firewall.name if self._firewall else ""

    @property
    def warnings(self) -> list[str]:
        """What does not work here."""
        if isinstance(self._firewall, NoFirewall):
            return ["WARNING: neither nftables nor iptables can be used: containers have no way out to other networks"]
        return []

    async def open_rootless(self, redirect: Redirect) -> None:
        """Give a fresh network namespace its loopback, and a route on which netfilter finds outgoing packets."""
        self._redirect = redirect
        # So that packets from a bridge to a published port are routed, and not turned round within the bridge.
        write_sysctl("bridge/bridge-nf-call-iptables", "0")
        await asyncio.to_thread(bring_up_loopback)
        await asyncio.to_thread(add_way_out, f"pd{self._tag}-out", _ROOTLESS_ADDRESS)

    async def sweep(self, wanted: set[str]) -> None:
        """Delete bridges of ours that belong to no network any more, and all of daemons that are gone for good."""
        ours = f"pd{self._tag}-"
        keep = wanted | {f"{ours}out"}
        stray = [name for name in link_names() if name.startswith(ours) and name not in keep]
        await asyncio.to_thread(delete_links, stray)
        for tag in await asyncio.to_thread(abandoned_tags):
            await asyncio.to_thread(_bury, tag)

    async def add_bridge(self, record: NetworkRecord) -> None:
        """Make a network's bridge, or put right what is there of it."""
        if not self._forwarding:
            await asyncio.to_thread(enable_forwarding, ipv6=False)
            self._forwarding = True
        if record.ipv6:
            await asyncio.to_thread(enable_forwarding, ipv6=True)
        if not record.icc:
            write_sysctl("bridge/bridge-nf-call-iptables", "1")
        bridge = Bridge(record.bridge, _address(record.subnet4), _address(record.subnet6), record.mtu, self._owner)
        if await asyncio.to_thread(add_bridge, bridge):
            self._trace.emit("network", "bridge.created", record.id, name=record.bridge, address=bridge.address4)

    def delete_bridge(self, record: NetworkRecord) -> None:
        """Delete a network's bridge, in the background: see `settled`.

        The kernel takes 30 to 150 ms for it, most of them waiting for the namespaces of containers
        that have ended just before. Nobody can use the bridge meanwhile; only its subnet is not free yet.
        """
        task = asyncio.create_task(self._delete_bridge(record))
        self._deleting.add(task)
        task.add_done_callback(self._deleting.discard)

    async def _delete_bridge(self, record: NetworkRecord) -> None:
        try:
            await asyncio.to_thread(delete_links, [record.bridge])
        except LabError as error:  # Docker too says so in its log only; the next start sweeps
            log.warning("failed to remove bridge %s: %s", record.bridge, error.message)
        else:
            self._trace.emit("network", "bridge.deleted", record.id, name=record.bridge)

    async def settled(self) -> None:
        """Wait until bridges that were deleted are gone, and their subnets free."""
        if self._deleting:
            await asyncio.wait(self._deleting)

    async def hold(self, bridges: Sequence[BridgeRules], forwards: Sequence[Forward] = ()) -> None:
        """Make the filter hold these bridges, and the published ports there are with `forwards` added."""
        async with self._changing:
            self._bridges = tuple(bridges)
            self._forwards.update(forwards)
            policy = Policy(self._bridges, tuple(self._forwards), self._redirect)
            await asyncio.to_thread(self._apply, policy)

    def _apply(self, policy: Policy) -> None:
        if self._firewall is None:
            self._firewall = choose_firewall(self._tag)
        self._firewall.apply(policy)
        ours = f"pd{self._tag}"
        custom = {bridge.name for bridge in policy.bridges if not bridge.name.startswith(ours)}
        if self._accepted != (names := {f"{ours}+", *custom}):
            self._accept.apply(sorted(names))
            self._accepted = names

    async def forward(self, forwards: Sequence[Forward]) -> None:
        """Let the kernel forward further ports."""
        if forwards and self._firewall is not None:
            async with self._changing:
                await asyncio.to_thread(self._firewall.add, forwards)
                self._forwards.update(forwards)
                await self._forget_flows(forwards)

    async def withdraw(self, forwards: Sequence[Forward]) -> None:
        """Take ports back from the kernel."""
        if forwards and self._firewall is not None:
            async with self._changing:
                self._forwards.difference_update(forwards)
                await asyncio.to_thread(self._firewall.remove, forwards)
                await self._forget_flows(forwards)

    async def _forget_flows(self, forwards: Sequence[Forward]) -> None:
        if ports := {forward.host_port for forward in forwards if forward.protocol == "udp"}:
            await asyncio.to_thread(forget_udp, ports)

    async def rules(self) -> list[Rule]:
        """Read back what the packet filter holds; nothing where somebody removed it."""
        if self._firewall is None:
            return []
        try:
            return await asyncio.to_thread(self._firewall.rules)
        except LabError as error:
            log.info("the packet filter can't be read: %s", error.message)
            return []

    async def close(self, bridges: Sequence[str]) -> None:
        """Remove everything of ours."""
        await self.settled()
        async with self._changing:
            if self._firewall is not None:
                await asyncio.to_thread(self._firewall.clear)
                await asyncio.to_thread(self._accept.clear)
        # A container's cable goes with its namespace, which the kernel takes down some time after its last process.
        cables = [name for name in link_names() if name.startswith(f"pd{self._tag}v")]
        await asyncio.to_thread(delete_links, [*cables, *bridges, *([f"pd{self._tag}-out"] if self._redirect else [])])


def _bury(tag: str) -> None:
    """Remove what a daemon left that was killed and whose data root somebody deleted."""
    log.info("cleaning up after a daemon that is gone: %s", tag)
    choose_firewall(tag).clear()
    ForwardAccept(tag).clear()
    delete_links([name for name in link_names() if name.startswith(f"pd{tag}-")])


def _address(subnet: Subnet | None) -> str:
    return f"{subnet.gateway}/{subnet.network.prefixlen}" if subnet else ""
