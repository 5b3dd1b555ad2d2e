"""Which addresses of which network are taken, in memory; the endpoints in the database say it for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from pydock_lab.daemon.network.addresses import AddressPool
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.daemon.network.record import NetworkRecord
from pydock_lab.errors import Forbidden, InvalidParameter, LabError


class Pools:
    """The address pools of all networks, one for each IP version that a network has."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, int], AddressPool] = {}

    def open(self, record: NetworkRecord, endpoints: Iterable[Endpoint]) -> None:
        """Begin to give addresses of a network; those of its endpoints are taken."""
        for version, subnet in ((4, record.subnet4), (6, record.subnet6)):
            if subnet is not None:
                self._pools[record.id, version] = subnet.pool()
        for endpoint in endpoints:
            for version, address in ((4, endpoint.address), (6, endpoint.address6)):
                if address and (record.id, version) in self._pools:
                    with contextlib.suppress(LabError):
                        self._pools[record.id, version].take_this(address)

    def close(self, record: NetworkRecord) -> None:
        """Give no more addresses of a network."""
        self._pools.pop((record.id, 4), None)
        self._pools.pop((record.id, 6), None)

    def take(self, record: NetworkRecord, wanted4: str = "", wanted6: str = "") -> tuple[str, str]:
        """Reserve an address of each version that a network has, all or none; "" where it has none.

        Args:
            record: The network.
            wanted4: The IPv4 address that was asked for, or "" for a free one.
            wanted6: The IPv6 address, likewise.

        Raises:
            Forbidden: it is taken, or none is free.
            InvalidParameter: it can't be had here; in Docker's words.
        """
        address = self._take(record, 4, wanted4)
        try:
            return address, self._take(record, 6, wanted6)
        except BaseException:
            self._pools[record.id, 4].free(address)
            raise

    def free(self, endpoint: Endpoint) -> None:
        """Give an endpoint's addresses back."""
        for version, address in ((4, endpoint.address), (6, endpoint.address6)):
            if address and (pool := self._pools.get((endpoint.network_id, version))):
                pool.free(address)

    def _take(self, record: NetworkRecord, version: int, wanted: str) -> str:
        subnet = record.subnet4 if version == 4 else record.subnet6
        if subnet is None:
            return ""
        pool = self._pools[record.id, version]
        if not wanted:
            try:
                return str(pool.take())
            except Forbidden as error:
                raise Forbidden(f"{error.message}: {record.name} ({record.id})") from None
        if not record.user_defined:
            raise InvalidParameter("user specified IP address is supported on user defined networks only")
        if subnet.chosen:
            raise InvalidParameter(
                "user specified IP address is supported only when connecting to networks with user configured subnets",
                hint="create the network with --subnet",
            )
        return str(pool.take_this(wanted))
