"""Bridge networks: subnet, gateway, NAT, endpoints and published ports of one daemon.

The veth pair of a container is made by its launch, from the plain values in
`Endpoint`.

State has three homes: the database remembers networks and endpoints, the
kernel holds bridges and filter rules, and `Pools` and `HostPorts` know which
addresses and ports are taken. `start` makes the kernel agree with the database again,
whatever a crash or somebody's flush left; `close` leaves nothing in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import msgspec

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.network import creation
from pydock_lab.daemon.network.addresses import free_subnet, host_routes, overlaps
from pydock_lab.daemon.network.claim import subnet_choice
from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.kernel import HostNetwork
from pydock_lab.daemon.network.links import link_names, link_tag
from pydock_lab.daemon.network.names import Names
from pydock_lab.daemon.network.nat import BridgeRules, Rule
from pydock_lab.daemon.network.outbound import Outbound
from pydock_lab.daemon.network.pools import Pools
from pydock_lab.daemon.network.ports import HostPorts, forwards
from pydock_lab.daemon.network.record import PREDEFINED, Documents, NetworkRecord, Subnet
from pydock_lab.daemon.rootless.broker import Broker
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Forbidden, InvalidParameter, LabError, NotFound, SystemFailure

__all__ = ["Endpoint", "Networks", "PortBinding"]

log = logging.getLogger("pydock.network")


class Networks:
    """All networks of one daemon: `bridge`, `host`, `none` and the user's own."""

    def __init__(self, documents: Documents, trace: Trace, config: DaemonConfig) -> None:
        self._documents = documents
        self._trace = trace
        self._config = config
        self._tag = link_tag(config.data_root)
        self._records: dict[str, NetworkRecord] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._pools = Pools()
        broker = Broker(config.broker_fd) if config.broker_fd is not None else None
        make_socket = broker.make_socket if broker else socket.socket
        self._ports = HostPorts(make_socket)
        self.names = Names(self._records, self._endpoints, trace, make_socket)
        self._outbound = Outbound(broker) if broker else None
        self._kernel = HostNetwork(self._tag, trace, str(config.data_root))
        self._ready: asyncio.Task[None] | None = None

    # -- the daemon's life ------------------------------------------------------------------

    async def start(self) -> None:
        """Load networks and endpoints; make the kernel agree with them in the background.

        The background part (bridges, filter rules) takes some 20 ms; whoever needs it waits.
        """
        for key, document in self._documents.items():
            kind, _, identifier = key.partition("/")
            if kind == "network":
                self._records[identifier] = msgspec.convert(document, NetworkRecord)
            elif kind == "endpoint":
                self._adopt(msgspec.convert(document, Endpoint))
        for name in PREDEFINED:
            if not any(record.name == name for record in self._records.values()):
                self._keep(creation.predefined(name))
        claim = contextlib.AsyncExitStack()
        await claim.enter_async_context(subnet_choice())
        self._choose_subnets()
        self._ready = asyncio.create_task(self._prepare(claim))

    def _adopt(self, endpoint: Endpoint) -> None:
        """Take up an endpoint of an earlier daemon if its container still runs: its link tells."""
        if endpoint.host_ifname in link_names():
            self._endpoints[endpoint.endpoint_id] = endpoint
        else:
            self._documents.delete(f"endpoint/{endpoint.endpoint_id}")

    def _choose_subnets(self) -> None:
        """Give the default bridge its subnet; give networks another one if theirs is not free any more."""
        present = link_names()
        attached = {endpoint.network_id for endpoint in self._endpoints.values()}
        foreign = host_routes()
        for record in list(self._records.values()):
            if record.driver != "bridge" or record.bridge in present or record.id in attached:
                continue
            if record.name == "bridge" and self._config.bip:
                self._keep(self._as_default(record, creation.bridge_address(self._config.bip)))
                continue
            held = record.subnet4
            if held is not None and not (held.chosen and overlaps(held.network, foreign)):
                continue
            ours = [r.subnet4.network for r in self._records.values() if r.subnet4 is not None and r is not record]
            subnet = creation.chosen(free_subnet([*foreign, *ours]))
            if record.name == "bridge":
                self._keep(self._as_default(record, subnet))
            else:
                self._keep(msgspec.structs.replace(record, subnet4=subnet))
        for record in self._records.values():
            self._pools.open(record, self._endpoints_of(record))

    def _as_default(self, record: NetworkRecord, subnet: Subnet) -> NetworkRecord:
        bridge = self._config.bridge or f"pd{self._tag}-0"
        fresh = creation.predefined("bridge", bridge=bridge, subnet=subnet)
        return msgspec.structs.replace(fresh, id=record.id, created=record.created)

    async def _prepare(self, claim: contextlib.AsyncExitStack) -> None:
        async with claim:
            if self._outbound is not None:
                redirect = await self._outbound.start()
                await self._kernel.open_rootless(redirect)
            await self._kernel.sweep({record.bridge for record in self._bridged()})
            for record in self._bridged():
                await self._kernel.add_bridge(record)
        adopted = [endpoint for endpoint in self._endpoints.values() if endpoint.bindings]
        for endpoint in adopted:
            try:
                self._ports.publish(endpoint, list(endpoint.bindings))
            except LabError as error:
                log.warning("%s", error.message)
        published = [f for e in adopted for f in forwards(e, self._ports.bindings(e))]
        await self._kernel.hold(self._rules(), published)

    async def ready(self) -> None:
        """Wait until the kernel has what start() promised.

        Raises:
            SystemFailure: it could not be made (no privilege, no bridge driver).
        """
        if self._ready is None:
            raise SystemFailure("network controller is not started")
        try:
            await asyncio.shield(self._ready)
        except (LabError, OSError) as error:
            raise SystemFailure(f"network controller could not be initialized: {error}") from error

    async def close(self) -> None:
        """Remove bridges, filter rules and sockets; networks stay remembered."""
        if self._ready is not None:
            with contextlib.suppress(LabError, OSError):
                await self._ready
        self.names.close()
        if self._outbound is not None:
            self._outbound.close()
        for endpoint in list(self._endpoints.values()):
            self._forget(endpoint)
        await self._kernel.close([record.bridge for record in self._bridged()])
        self._ports.close()

    @property
    def warnings(self) -> list[str]:
        """What a user should know of this machine's networking, for `docker info`."""
        found = [*self._kernel.warnings, *(self._outbound.warnings if self._outbound else ())]
        if self._ready is not None and self._ready.done() and (error := self._ready.exception()):
            found.append(f"WARNING: bridge networks can't be used: {error}")
        return found

    @property
    def host_gateway(self) -> str:
        """What `host-gateway` stands for: this host's address on the default bridge."""
        bridge = self.record("bridge").subnet4
        return bridge.gateway if bridge else "127.0.0.1"

    @property
    def backend(self) -> str:
        """Who filters packets: nftables, iptables or none."""
        return self._kernel.backend

    # -- networks ---------------------------------------------------------------------------

    async def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Create a network from Docker's NetworkCreateRequest; return its inspect document."""
        await self.ready()
        await self._kernel.settled()
        async with subnet_choice():
            record = creation.new_network(options, self._records.values(), host_routes(), f"pd{self._tag}")
            self._records[record.id] = record
            try:
                await self._kernel.add_bridge(record)
                await self._kernel.hold(self._rules())
                self._keep(record)
            except BaseException:
                del self._records[record.id]
                self._kernel.delete_bridge(record)
                raise
        self._pools.open(record, ())
        return record.document()

    def resolve(self, name: str) -> dict[str, Any]:
        """Return the inspect document by name, id or prefix. Raises NotFound `network NAME not found`."""
        record = self.record(name)
        return record.document(self._endpoints_of(record))

    def record(self, name: str) -> NetworkRecord:
        """Return a network by id, name or prefix of its id. Raises NotFound, InvalidParameter."""
        if found := self._records.get(name):
            return found
        by_name = [record for record in self._records.values() if record.name == name]
        by_prefix = [record for record in self._records.values() if name and record.id.startswith(name)]
        matches = by_name or by_prefix
        if not matches:
            raise NotFound(f"network {name} not found")
        if len(matches) > 1:
            raise InvalidParameter(f"network {name} is ambiguous ({len(matches)} matches found based on ID prefix)")
        return matches[0]

    async def remove(self, name: str) -> None:
        """Remove a network without endpoints. Raises Forbidden / NotFound in Docker's words."""
        await self.ready()
        record = self.record(name)
        if not record.user_defined:
            raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
        if self._endpoints_of(record):
            raise Forbidden(
                f"error while removing network: network {record.name} id {record.id} has active endpoints",
                hint=f"docker network inspect {record.name} shows the containers that use it",
            )
        del self._records[record.id]
        self._documents.delete(f"network/{record.id}")
        self._pools.close(record)
        await self._kernel.hold(self._rules())
        self._kernel.delete_bridge(record)

    # -- endpoints --------------------------------------------------------------------------

    async def allocate(
        self,
        network: str,
        container_id: str,
        *,
        config: dict[str, Any] | None = None,
        name: str = "",
        hostname: str = "",
        least: int = 0,
    ) -> Endpoint:
        """Reserve an address and names for a container (Docker's EndpointSettings as `config`).

        Its interface is called `eth` and a number, at least `least`, that no other of its interfaces has.

        Raises InvalidParameter / Forbidden / NotFound in Docker's words.
        """
        await self.ready()
        record = self.record(network)
        if record.driver != "bridge" or record.subnet4 is None:
            raise InvalidParameter(f"network {record.name} gives no addresses")
        if any(endpoint.container_id == container_id for endpoint in self._endpoints_of(record)):
            raise Forbidden(f"endpoint with name {name or container_id} already exists in network {record.name}")
        settings = config or {}
        wanted = settings.get("IPAMConfig") or {}
        address, address6 = self._pools.take(record, wanted.get("IPv4Address") or "", wanted.get("IPv6Address") or "")
        used = {endpoint.ifname for endpoint in self._endpoints.values() if endpoint.container_id == container_id}
        endpoint_id = secrets.token_hex(32)
        aliases = [*(settings.get("Aliases") or []), container_id[:12], *filter(None, [hostname])]
        endpoint = Endpoint(
            network_id=record.id,
            endpoint_id=endpoint_id,
            container_id=container_id,
            bridge=record.bridge,
            host_ifname=f"pd{self._tag}v{endpoint_id[:8]}",
            mac=(settings.get("MacAddress") or _mac_of(address)).lower(),
            address=address,
            prefix=record.subnet4.network.prefixlen,
            gateway="" if record.internal else record.subnet4.gateway,
            address6=address6,
            prefix6=record.subnet6.network.prefixlen if record.subnet6 else 0,
            gateway6=record.subnet6.gateway if record.subnet6 and not record.internal else "",
            mtu=record.mtu,
            aliases=tuple(dict.fromkeys(aliases)) if record.user_defined else (),
            named=record.user_defined,
            name=name,
            ifname=next(ifname for ifname in map("eth{}".format, count(least)) if ifname not in used),
        )
        self._remember(endpoint)
        self._trace.emit("network", "address.reserved", container_id, network=record.name, address=address)
        return endpoint

    async def publish(self, endpoint: Endpoint, bindings: list[PortBinding]) -> list[PortBinding]:
        """Open host ports for an endpoint; return them with the host ports that were chosen.

        Raises SystemFailure with Docker's text, `driver failed programming external connectivity on
        endpoint …: Bind for 0.0.0.0:5000 failed: port is already allocated`; nothing stays open then.
        """
        if address := self._records[endpoint.network_id].host_binding:
            bindings = [one if one.host_ip else replace(one, host_ip=address) for one in bindings]
        published = self._ports.publish(endpoint, bindings)
        try:
            await self._kernel.forward(forwards(endpoint, published))
        except BaseException:
            self._ports.release(endpoint)
            raise
        self._remember(replace(endpoint, bindings=(*endpoint.bindings, *published)))
        for one in published:
            self._trace.emit(
                "network",
                "port.published",
                endpoint.container_id,
                host=f"{one.host_ip}:{one.host_port}",
                container=f"{endpoint.address}:{one.container_port}",
                protocol=one.protocol,
                backend=self.backend,
            )
        return published

    async def release(self, endpoint: Endpoint) -> None:
        """Close its ports and free its address. The veth pair dies with the container's netns."""
        await self._close_ports(endpoint)
        if endpoint.endpoint_id in self._endpoints:
            self._forget(endpoint)
            if not any(e.named for e in self._endpoints.values() if e.container_id == endpoint.container_id):
                self.names.stop(endpoint.container_id)
            self._pools.free(endpoint)
            self._trace.emit("network", "address.freed", endpoint.container_id, address=endpoint.address)

    async def withdraw(self, endpoint: Endpoint) -> None:
        """Close the ports of an endpoint that stays."""
        await self._close_ports(endpoint)
        self._remember(replace(endpoint, bindings=()))

    async def _close_ports(self, endpoint: Endpoint) -> None:
        # The kernel first: a rule that outlived its socket would lead whoever gets the port next astray.
        await self._kernel.withdraw(forwards(endpoint, self._ports.bindings(endpoint)))
        self._ports.release(endpoint)

    async def filter_rules(self) -> list[Rule]:
        """Return the packet filter's rules as the kernel has them now."""
        return await self._kernel.rules()

    def snapshot(self) -> list[tuple[NetworkRecord, list[Endpoint]]]:
        """Return every network with the endpoints on it; those are told with what is published for them."""
        return [
            (r, [replace(e, bindings=tuple(self._ports.bindings(e))) for e in self._endpoints_of(r)])
            for r in self._records.values()
        ]

    def rename(self, container_id: str, name: str) -> None:
        """Show a container under its new name in the documents of its networks."""
        for endpoint in [e for e in self._endpoints.values() if e.container_id == container_id]:
            self._remember(replace(endpoint, name=name))

    def _endpoints_of(self, record: NetworkRecord) -> list[Endpoint]:
        return [endpoint for endpoint in self._endpoints.values() if endpoint.network_id == record.id]

    def _remember(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.endpoint_id] = endpoint
        self.names.changed(endpoint.network_id)
        self._documents.put(f"endpoint/{endpoint.endpoint_id}", endpoint)

    def _forget(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.endpoint_id]
        self.names.changed(endpoint.network_id)
        self._documents.delete(f"endpoint/{endpoint.endpoint_id}")

    def _keep(self, record: NetworkRecord) -> None:
        self._records[record.id] = record
        self._documents.put(f"network/{record.id}", record)

    def _bridged(self) -> Iterable[NetworkRecord]:
        return [record for record in self._records.values() if record.driver == "bridge"]

    def _rules(self) -> list[BridgeRules]:
        return [
            BridgeRules(
                record.bridge,
                str(record.subnet4.network),
                str(record.subnet6.network) if record.subnet6 else "",
                masquerade=record.masquerade,
                internal=record.internal,
                icc=record.icc,
            )
            for record in self._bridged()
            if record.subnet4 is not None
        ]

    # Last in the class: below it `list` would no longer name the type.
    def list(self) -> list[dict[str, Any]]:
        """Return the inspect documents of all networks."""
        return [record.document(self._endpoints_of(record)) for record in self._records.values()]


def _mac_of(address: str) -> str:
    """Docker's address of a container's link: 02:42 and the four bytes of its IPv4 address."""
    return "02:42:" + ":".join(f"{int(byte):02x}" for byte in address.split("."))
