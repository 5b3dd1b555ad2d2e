"""Which container has which name: what the embedded name server of each container knows.

A name is known on a network, so two containers hear of each other only where
both are; the default bridge has no names. Several containers may share one (the
services of a project do): all their addresses are given, in another order each time.

Source: moby libnetwork/sandbox_dns_unix.go and network.go (ResolveName, ResolveIP).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydock_lab.daemon.network.dns_message import (
    NXDOMAIN,
    SERVFAIL,
    TYPE_A,
    TYPE_AAAA,
    TYPE_PTR,
    Query,
    address_answer,
    address_of_reverse_name,
    failure,
    name_answer,
)
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.daemon.network.record import NetworkRecord
from pydock_lab.daemon.network.resolver import Resolver
from pydock_lab.daemon.network.upstream import MakeSocket, Upstream
from pydock_lab.daemon.trace import Trace


@dataclass(frozen=True)
class Customs:
    """What one container wants of its name server.

    Attributes:
        servers: To be asked about names that are no containers'.
        links: Alias → name or id of a container, known to this container alone (`--link` on a network of the user's).
        ndots: Its resolv.conf tells it to try search domains for names with fewer dots; such a name is not
            passed on.
    """

    servers: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    ndots: int = 0


class Names:
    """The names of all networks of one daemon, and the resolvers of its containers.

    Args:
        records: Network id → network; the live table.
        endpoints: Endpoint id → endpoint; the live table.
        trace: Told of the names that are found.
        make_socket: For questions to servers outside.
    """

    def __init__(
        self,
        records: Mapping[str, NetworkRecord],
        endpoints: Mapping[str, Endpoint],
        trace: Trace,
        make_socket: MakeSocket,
    ) -> None:
        self._records = records
        self._endpoints = endpoints
        self._trace = trace
        self._make_socket = make_socket
        self._resolvers: dict[str, Resolver] = {}
        self._customs: dict[str, Customs] = {}
        self._index: dict[str, dict[str, list[Endpoint]]] = {}
        self._told: dict[str, dict[str, list[str]]] = {}

    def serve(self, container_id: str, sockets: Sequence[int], customs: Customs) -> None:
        """Answer a container on the sockets that were opened in it (taken over)."""
        self.stop(container_id)
        self._customs[container_id] = customs
        self._resolvers[container_id] = Resolver(
            sockets,
            lambda query, limit: self._know(container_id, self._customs[container_id], query, limit),
            Upstream(customs.servers, self._make_socket),
        )
        self._trace.emit("network", "resolver.opened", container_id, servers=list(customs.servers))

    def serves(self, container_id: str) -> bool:
        """Tell whether a container has a resolver."""
        return container_id in self._resolvers

    def customize(self, container_id: str, customs: Customs) -> None:
        """Hear what a container with a resolver knows now; whom it asks outside stays as it is."""
        self._customs[container_id] = customs

    def stop(self, container_id: str) -> None:
        """Answer a container no more; no error if it has no resolver."""
        self._told.pop(container_id, None)
        self._customs.pop(container_id, None)
        resolver = self._resolvers.pop(container_id, None)
        if resolver is not None:
            resolver.close()

    def close(self) -> None:
        """Answer nobody any more."""
        for container_id in list(self._resolvers):
            self.stop(container_id)

    def changed(self, network_id: str) -> None:
        """Hear that an endpoint of a network came, went or was renamed."""
        self._index.pop(network_id, None)

    def _know(self, container_id: str, customs: Customs, query: Query, limit: int) -> bytes | None:
        if query.kind in (TYPE_A, TYPE_AAAA):
            found = self._find(container_id, customs.links.get(query.name, query.name).lower())
            if found:
                addresses = [e.address if query.kind == TYPE_A else e.address6 for e in found]
                answers = [address for address in addresses if address]
                random.shuffle(answers)
                self._tell(container_id, query.name, found)
                return address_answer(query, answers, limit=limit)
        elif query.kind == TYPE_PTR and (address := address_of_reverse_name(query.name)):
            for network in self._networks(container_id):
                for endpoint in self._names(network).get(address, ()):
                    return name_answer(query, f"{endpoint.name}.{self._records[network].name}")
        return self._stay_inside(container_id, customs, query)

    def _tell(self, container_id: str, name: str, found: list[Endpoint]) -> None:
        """Trace a name when it is asked for first, and when it has come to mean something else."""
        known = self._told.setdefault(container_id, {})
        places = sorted(endpoint.address for endpoint in found)
        if known.get(name) != places:
            known[name] = places
            self._trace.emit("network", "name.resolved", container_id, name=name, addresses=places)

    def _stay_inside(self, container_id: str, customs: Customs, query: Query) -> bytes | None:
        """Answer what must not be asked outside."""
        if not any(e.gateway or e.gateway6 for e in self._endpoints.values() if e.container_id == container_id):
            return failure(query, SERVFAIL)  # internal networks only: a question would be a way out
        if customs.ndots and "." not in query.name:
            return failure(query, NXDOMAIN)  # so that the client goes on with its search domains
        return None

    def _find(self, container_id: str, name: str) -> list[Endpoint]:
        """Return who has a name on the first network of a container where somebody has it.

        `NAME.NETWORK` says on which.
        """
        networks = self._networks(container_id)
        for network in networks:
            if found := self._names(network).get(name):
                return found
        host, _, suffix = name.rpartition(".")
        for network in networks:
            if host and self._records[network].name.lower() == suffix and (found := self._names(network).get(host)):
                return found
        return []

    def _networks(self, container_id: str) -> list[str]:
        own = (e for e in self._endpoints.values() if e.container_id == container_id and e.named)
        return [endpoint.network_id for endpoint in own]

    def _names(self, network_id: str) -> dict[str, list[Endpoint]]:
        """Return name or address → endpoints of one network, made anew after a change."""
        index = self._index.get(network_id)
        if index is None:
            index = self._index[network_id] = defaultdict(list)
            for endpoint in self._endpoints.values():
                if endpoint.network_id == network_id:
                    for name in {*map(str.lower, endpoint.names), endpoint.address, endpoint.address6} - {""}:
                        index[name].append(endpoint)
        return index
