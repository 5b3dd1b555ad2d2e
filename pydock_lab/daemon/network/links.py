"""The links of the host: bridges with their addresses, and the sysctls they need.

All netlink work is done by one thread with one long-lived socket: pyroute2's
synchronous interface may not be used on the event loop's thread, and deleting
a bridge blocks for some 30 ms in the kernel. Importing pyroute2 takes 100 ms,
so it is done there too, on first use.

Source: ip-link(8), Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydock_lab.errors import KernelError

if TYPE_CHECKING:
    from pyroute2.iproute.linux import IPRoute

T = TypeVar("T")

_SYSCTL = Path("/proc/sys/net")
_IFA_F_NODAD = 0x02  # linux/if_addr.h: the subnet is ours alone, no need to look for a duplicate


def link_tag(data_root: Path) -> str:
    """Return four hex digits that belong to a data root, so that two daemons' names never meet."""
    return hashlib.sha256(str(data_root).encode()).hexdigest()[:4]


def link_names() -> set[str]:
    """Return the names of all links in this network namespace."""
    return {name for _, name in socket.if_nameindex()}


def ipv6_available() -> bool:
    """Tell whether this network namespace speaks IPv6."""
    return Path("/proc/self/net/if_inet6").exists()


def enable_forwarding(*, ipv6: bool) -> None:
    """Switch forwarding on for the whole namespace, as dockerd does (and as dockerd does, leave it on)."""
    write_sysctl("ipv4/ip_forward", "1")
    if ipv6:
        write_sysctl("ipv6/conf/default/forwarding", "1")
        write_sysctl("ipv6/conf/all/forwarding", "1")


def write_sysctl(name: str, value: str) -> None:
    """Set `net.*`; left as it is where the file is read-only or already right."""
    path = _SYSCTL / name
    with contextlib.suppress(OSError):
        if path.read_text().strip() != value:
            path.write_text(value)


@dataclass(frozen=True)
class Bridge:
    """A bridge link to be made: addresses with prefix (`172.18.0.1/16`), "" for none."""

    name: str
    address4: str
    address6: str = ""
    mtu: int = 1500


class Links:
    """The daemon's one netlink socket, in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")
        self._ipr: IPRoute | None = None

    async def add_bridge(self, bridge: Bridge) -> bool:
        """Make a bridge, or put right one that is there; return whether it was made."""
        return await self._call(lambda ipr: _add_bridge(ipr, bridge))

    async def delete(self, names: list[str]) -> None:
        """Delete links; no error for one that is gone."""
        present = link_names()
        for name in names:
            if name in present:
                await self._call(partial(_delete, name=name))

    async def set_default_route(self, name: str, address: str) -> None:
        """Make a link that takes everything no other route takes (rootless: netfilter picks it up)."""
        await self._call(lambda ipr: _add_way_out(ipr, name, address))

    async def bring_up_loopback(self) -> None:
        """Bring `lo` up, which is down in a new network namespace."""
        await self._call(lambda ipr: ipr.link("set", index=1, state="up"))

    async def close(self) -> None:
        """Close the socket and end the thread."""
        if self._ipr is not None:
            await self._call(lambda ipr: ipr.close())
            self._ipr = None
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[Any], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_socket, work)

    def _with_socket(self, work: Callable[[Any], T]) -> T:
        from pyroute2.iproute.linux import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            if self._ipr is None:
                logging.getLogger("pyroute2").setLevel(logging.WARNING)  # it logs every message at DEBUG
                self._ipr = IPRoute()
            return work(self._ipr)
        except NetlinkError as error:
            raise KernelError("netlink", error.code) from error


def _add_bridge(ipr: Any, bridge: Bridge) -> bool:
    made = _add_link(ipr, bridge.name, "bridge", mtu=bridge.mtu, address=_mac(bridge))
    index = socket.if_nametoindex(bridge.name)
    for address in filter(None, (bridge.address4, bridge.address6)):
        interface = ipaddress.ip_interface(address)
        fields: dict[str, Any] = {"address": str(interface.ip), "prefixlen": interface.network.prefixlen}
        if interface.version == 4:
            fields["broadcast"] = str(interface.network.broadcast_address)
        else:
            fields["flags"] = _IFA_F_NODAD
        with _passing_over(errno.EEXIST):
            ipr.addr("add", index=index, **fields)
    # Lets the host's own loopback reach published ports; the firewall guards 127/8 from the other side.
    write_sysctl(f"ipv4/conf/{bridge.name}/route_localnet", "1")
    ipr.link("set", index=index, state="up")
    return made


def _add_link(ipr: Any, name: str, kind: str, **fields: Any) -> bool:
    if name in link_names():
        return False
    ipr.link("add", ifname=name, kind=kind, **fields)
    return True


def _add_way_out(ipr: Any, name: str, address: str) -> None:
    # A bridge without ports: a dummy link would do, but needs a module that a plain user can't have loaded.
    _add_link(ipr, name, "bridge")
    index = socket.if_nametoindex(name)
    with _passing_over(errno.EEXIST):
        ipr.addr("add", index=index, address=address, prefixlen=32)
    ipr.link("set", index=index, state="up")
    with _passing_over(errno.EEXIST):
        ipr.route("add", dst="0.0.0.0/0", oif=index)


def _delete(ipr: Any, name: str) -> None:
    # OSError: gone between the look and the deed.
    with contextlib.suppress(OSError), _passing_over(errno.ENODEV):
        ipr.link("del", index=socket.if_nametoindex(name))


def _mac(bridge: Bridge) -> str:
    """A fixed address: a bridge without one takes its lowest port's, and so changes it."""
    digest = hashlib.sha256(f"{bridge.name} {bridge.address4}".encode()).hexdigest()
    return "02:42:" + ":".join(digest[i : i + 2] for i in range(0, 8, 2))


@contextlib.contextmanager
def _passing_over(code: int) -> Iterator[None]:
    """Pass over one errno: what was asked for is there (EEXIST) or gone (ENODEV) already."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise
