"""A container's places on its networks: taken when it starts, given back when it ends.

Between `network` (which hands out Endpoints) and `runtime` (which takes
Attachments); those two never meet. Source: moby daemon/container_operations.go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.containers import ports
from pydock_lab.daemon.engine.containers.links import links_of, split_link
from pydock_lab.daemon.engine.containers.record import Container, Record
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.network import etcfiles, resolver
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.names import Customs
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import Attachment
from pydock_lab.errors import InvalidParameter, LabError

_UNATTACHED = ("host", "none")
_DNS_PORT = 53


def network_mode(record: Record) -> str:
    """Return `bridge`, `host`, `none`, `container:ID` or the name of a network."""
    if record.config.get("NetworkDisabled"):
        return "none"
    return str(record.host_config["NetworkMode"])


def requested_networks(
    host: dict[str, Any], endpoints_config: dict[str, dict[str, Any] | None], config: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return network name → EndpointSettings for a container that is being created.

    Raises:
        InvalidParameter: an address on a network that can't give one, in Docker's words.
    """
    mode = host["NetworkMode"]
    if mode.startswith("container:"):
        return {}
    asked = {name: dict(settings or {}) for name, settings in endpoints_config.items()}
    if "default" in asked:
        asked.setdefault("bridge", asked.pop("default"))
    networks = {mode: asked.pop(mode, {}), **asked}
    if config.get("MacAddress"):
        networks[mode].setdefault("MacAddress", config["MacAddress"])
    for name, settings in networks.items():
        wanted = settings.get("IPAMConfig") or {}
        if name in ("bridge", *_UNATTACHED) and (wanted.get("IPv4Address") or wanted.get("IPv6Address")):
            raise InvalidParameter("user specified IP address is supported on user defined networks only")
        if name in ("bridge", *_UNATTACHED) and settings.get("Aliases"):
            raise InvalidParameter("network-scoped aliases are only supported for user-defined networks")
        if mode == "host" and len(networks) > 1:
            raise InvalidParameter("conflicting options: host networking can't be used with other networks")
    return networks


class Networking:
    """Takes and gives back the endpoints of containers."""

    def __init__(self, table: ContainerTable, networks: Networks, runtime: Runtime, events: Events) -> None:
        self.networks = networks
        self._table = table
        self._runtime = runtime
        self._events = events

    async def connect(self, container: Container) -> list[Attachment]:
        """Take an address on every network of the container and open its ports; all of it or nothing.

        Raises:
            NotFound: `network NAME not found`.
            SystemFailure: a port can't be opened.
        """
        record = container.record
        if network_mode(record) in _UNATTACHED or not record.networks:
            for name in record.networks:
                self._publish_unattached("connect", container, name)
            return []
        try:
            # The default bridge first, as in dockerd: it is eth0 at every start.
            for name, settings in sorted(record.networks.items(), key=lambda item: item[0] != "bridge"):
                record.endpoints[name] = await self.allocate(container, name, settings)
            await self.publish_ports(container)
        except BaseException:
            await self.disconnect(container, quiet=True)
            raise
        for name, endpoint in record.endpoints.items():
            self._publish("connect", container, name, endpoint)
        return [self.attachment(container, endpoint) for endpoint in record.endpoints.values()]

    async def disconnect(self, container: Container, *, quiet: bool = False) -> None:
        """Give back everything; without `quiet` the events say so."""
        endpoints, container.record.endpoints = container.record.endpoints, {}
        container.interfaces = 0
        for name, endpoint in endpoints.items():
            await self.networks.release(endpoint)
            if not quiet:
                self._publish("disconnect", container, name, endpoint)
        if not quiet and network_mode(container.record) in _UNATTACHED:
            for name in container.record.networks:
                self._publish_unattached("disconnect", container, name)

    async def allocate(self, container: Container, network: str, settings: dict[str, Any]) -> Endpoint:
        """Take a container's place on one network (settings: Docker's EndpointSettings)."""
        record, hostname = container.record, container.record.config["Hostname"]
        endpoint = await self.networks.allocate(
            network, record.id, config=settings, name=record.name, hostname=hostname, least=container.interfaces
        )
        settings["NetworkID"] = endpoint.network_id  # is told also when the container has ended
        container.interfaces = int(endpoint.ifname.removeprefix("eth")) + 1
        return endpoint

    async def publish_ports(self, container: Container, bindings: list[PortBinding] | None = None) -> None:
        """Open a container's ports on the network that has its default route, if they are open elsewhere or not yet.

        Args:
            container: With its endpoints.
            bindings: What was open on a network that it left; None for what it was made with.

        Raises:
            SystemFailure: a port can't be opened.
        """
        record = container.record
        way_out = self._way_out(record, 4)
        now = next((endpoint for endpoint in record.endpoints.values() if endpoint.bindings), None)
        if way_out is None or now is way_out:
            return
        if now is not None:
            bindings = list(now.bindings)
            await self.networks.withdraw(now)
            self._keep(record, replace(now, bindings=()))
        if wanted := bindings or ports.requested(record.config, record.host_config):
            published = await self.networks.publish(way_out, wanted)
            self._keep(record, replace(way_out, bindings=tuple(published)))

    def attachment(self, container: Container, endpoint: Endpoint) -> Attachment:
        """Turn an endpoint into what the launch carries out; one of them has the default route of its family."""
        return Attachment(
            bridge=endpoint.bridge,
            host_ifname=endpoint.host_ifname,
            ifname=endpoint.ifname,
            mac=endpoint.mac,
            address=f"{endpoint.address}/{endpoint.prefix}" if endpoint.address else "",
            gateway=endpoint.gateway if endpoint is self._way_out(container.record, 4) else "",
            address6=f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else "",
            gateway6=endpoint.gateway6 if endpoint is self._way_out(container.record, 6) else "",
            mtu=endpoint.mtu,
        )

    def default_routes(self, container: Container) -> list[tuple[str, str]]:
        """Return the link and the gateway of each family that has a way out."""
        way4, way6 = self._way_out(container.record, 4), self._way_out(container.record, 6)
        return [*([(way4.ifname, way4.gateway)] if way4 else []), *([(way6.ifname, way6.gateway6)] if way6 else [])]

    def _way_out(self, record: Record, version: int) -> Endpoint | None:
        """Return who has the default route and the ports: the first by the network's name, as in dockerd.

        An internal network has no gateway, so no part in this.
        """
        open_ones = [e for e in record.endpoints.values() if (e.gateway if version == 4 else e.gateway6)]
        return min(open_ones, key=lambda e: self.networks.record(e.network_id).name, default=None)

    @staticmethod
    def _keep(record: Record, endpoint: Endpoint) -> None:
        """Put a changed endpoint in the place of what it was."""
        name = next(name for name, old in record.endpoints.items() if old.endpoint_id == endpoint.endpoint_id)
        record.endpoints[name] = endpoint

    def rename(self, container: Container) -> None:
        """Let other containers find a container under its new name."""
        record = container.record
        record.endpoints = {name: replace(e, name=record.name) for name, e in record.endpoints.items()}
        self.networks.rename(record.id, record.name)

    # -- names ------------------------------------------------------------------------------

    def serve_names(self, container: Container, sockets: Sequence[int]) -> None:
        """Answer a container's questions on the sockets that were opened in it, if any were."""
        if not sockets:
            return
        self.networks.names.serve(container.id, sockets, self._customs(container))

    def _customs(self, container: Container) -> Customs:
        resolv = self._resolv_conf(container)
        links = {}
        for settings in container.record.networks.values():
            for link in settings.get("Links") or []:
                name, alias = split_link(link)
                links[alias.lower()] = name
        return Customs(resolv.forwarders(), links, resolv.ndots)

    async def ensure_names(self, container: Container) -> None:
        """Give a running container its resolver, if it is on a network with names and has none.

        It came onto its first such network just now, or an earlier daemon started it. One that has a
        resolver may have come with new links.
        """
        names = self.networks.names
        if names.serves(container.id):
            names.customize(container.id, self._customs(container))
        elif has_names(container.record):
            self.serve_names(container, await self._runtime.open_resolver(container.id, resolver.ADDRESS))

    def write_files(self, container: Container, directory: Path) -> None:
        """Write hosts and resolv.conf for the endpoints that the container has now.

        Raises:
            SystemFailure: it is linked to a container that does not run.
        """
        record, host = container.record, container.record.host_config
        extra = host["ExtraHosts"] or []
        if network_mode(record) == "host" and not extra:
            hosts = Path("/etc/hosts").read_text(errors="surrogateescape") if Path("/etc/hosts").exists() else ""
        else:
            addresses = [a for e in record.endpoints.values() for a in (e.address, e.address6) if a]
            names = record.config["Hostname"], record.config["Domainname"]
            hosts = etcfiles.render_hosts(*names, addresses, extra, self.networks.host_gateway)
            hosts += "".join(link.hosts_line() for link in links_of(record, self._table))
        (directory / "hosts").write_text(hosts, errors="surrogateescape")
        resolv = self._resolv_conf(container)
        text = resolv.through(resolver.ADDRESS) if has_names(record) else resolv
        (directory / "resolv.conf").write_text(text.render())

    def tell_linked(self, container: Container, directory: Callable[[str], Path]) -> None:
        """Write the new address of a container that started into the hosts of those that are linked to it."""
        for other in self._table:
            linked = (split_link(link)[0] for link in other.record.host_config["Links"] or [])
            if other.state.running and "bridge" in other.record.endpoints and container.name in linked:
                with contextlib.suppress(LabError):  # another one it is linked to has ended
                    self.write_files(other, directory(other.id))

    def _resolv_conf(self, container: Container) -> etcfiles.ResolvConf:
        """Return what a container asks, embedded name server left aside."""
        host = container.record.host_config
        resolv = etcfiles.ResolvConf.of_host()
        if network_mode(container.record) != "host" and not has_names(container.record):
            resolv = resolv.reachable()
        return resolv.override(host["Dns"] or [], host["DnsSearch"] or [], host["DnsOptions"] or [])

    def _publish_unattached(self, action: str, container: Container, name: str) -> None:
        """Say that a container is on `none` or `host`, where it has no endpoint."""
        network = self.networks.record(name)
        attributes = {"container": container.id, "name": name, "type": network.driver}
        self._events.publish("network", action, network.id, attributes)

    def _publish(self, action: str, container: Container, name: str, endpoint: Endpoint) -> None:
        self._events.publish(
            "network", action, endpoint.network_id, {"container": container.id, "name": name, "type": "bridge"}
        )


def has_names(record: Record) -> bool:
    """Tell whether a container asks the embedded name server.

    It does on a network where containers have names, unless it serves names itself: for that it needs port 53
    of all its addresses, which two can't share. It then asks the servers outside; others find it as ever.
    """
    config, host = record.config, record.host_config
    open_ports = [*(config.get("ExposedPorts") or ()), *(host["PortBindings"] or ())]
    serves_names = any(ports.split(port)[0] == _DNS_PORT for port in open_ports)
    return not serves_names and any(endpoint.named for endpoint in record.endpoints.values())
