"""The links of the host: bridges with their addresses, and the sysctls they need.

Everything here blocks for a millisecond or so, deleting a bridge for some 30
(the kernel waits for its readers), so the event loop calls it in a thread.
pyroute2 could do it too, for 11 MiB of memory, 0.1 s of import and an event
loop of its own; the launch has a netlink socket that does the same.

Source: rtnetlink(7), ip-link(8), Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.daemon.linux import netlink
from pydock_lab.daemon.linux.netlink import Netlink, attribute
from pydock_lab.errors import KernelError

_SYSCTL = Path("/proc/sys/net")
_OUR_DEFAULT_BRIDGE = re.compile(r"^pd[0-9a-f]{4}-0$")
_IFLA_IFALIAS = 20
_IFALIAS_MAX = 255  # the kernel refuses a longer one


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
    """A bridge link to be made: addresses with prefix (`172.18.0.1/16`), "" for none.

    `owner` is the data root of its daemon; `ip link` shows it as the alias.
    """

    name: str
    address4: str
    address6: str = ""
    mtu: int = 1500
    owner: str = ""


def add_bridge(bridge: Bridge) -> bool:
    """Make a bridge, or put right one that is there; return whether it was made."""
    with contextlib.closing(Netlink()) as kernel:
        made = _make_bridge(kernel, bridge.name, bridge.mtu, _mac(bridge))
        index = socket.if_nametoindex(bridge.name)
        _set_alias(kernel, index, bridge.owner)
        for address in filter(None, (bridge.address4, bridge.address6)):
            with _passing_over(errno.EEXIST):
                kernel.add_address(index, address)
        # Lets the host's own loopback reach published ports; the firewall guards 127/8 from the other side.
        write_sysctl(f"ipv4/conf/{bridge.name}/route_localnet", "1")
        kernel.set_up(index)
    return made


def delete_links(names: list[str]) -> None:
    """Delete links; no error for one that is gone."""
    with contextlib.closing(Netlink()) as kernel:
        for name in names:
            with _passing_over(errno.ENODEV):
                kernel.delete_link(name)


def abandoned_tags() -> set[str]:
    """Return the tags of daemons that were killed and whose data root is gone: they can't come back to clean up.

    A bridge that still has ports is left alone.
    """
    tags = set()
    for name in link_names():
        link = Path("/sys/class/net", name)
        if not _OUR_DEFAULT_BRIDGE.match(name) or not (link / "bridge").exists():
            continue
        owner = (link / "ifalias").read_text().strip()
        if owner and not Path(owner).exists() and not any((link / "brif").iterdir()):
            tags.add(name[2:6])
    return tags


def bring_up_loopback() -> None:
    """Bring `lo` up, which is down in a new network namespace."""
    with contextlib.closing(Netlink()) as kernel:
        kernel.set_up(socket.if_nametoindex("lo"))


def add_way_out(name: str, address: str) -> None:
    """Make a link that takes everything no other route takes (rootless: netfilter picks it up there).

    A bridge without ports: a dummy link would do, but needs a module that a plain user can't have loaded.
    """
    with contextlib.closing(Netlink()) as kernel:
        _make_bridge(kernel, name, 1500, "")
        index = socket.if_nametoindex(name)
        with _passing_over(errno.EEXIST):
            kernel.add_address(index, f"{address}/32")
        kernel.set_up(index)
        route = struct.pack(
            "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, netlink.RT_TABLE_MAIN, netlink.RTPROT_BOOT,
            netlink.RT_SCOPE_LINK, netlink.RTN_UNICAST, 0,
        )  # fmt: skip
        route += attribute(netlink.RTA_OIF, struct.pack("=I", index))
        with _passing_over(errno.EEXIST):
            flags = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL
            kernel.request(netlink.RTM_NEWROUTE, flags, route, name="route", about=f"default dev {name}")


def _make_bridge(kernel: Netlink, name: str, mtu: int, mac: str) -> bool:
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(netlink.IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(netlink.IFLA_MTU, struct.pack("=I", mtu))
    if mac:
        body += attribute(netlink.IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    body += attribute(netlink.IFLA_LINKINFO, attribute(netlink.IFLA_INFO_KIND, b"bridge"))
    with _passing_over(errno.EEXIST):
        flags = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL
        kernel.request(netlink.RTM_NEWLINK, flags, body, name="bridge", about=name)
        return True
    return False


def _set_alias(kernel: Netlink, index: int, alias: str) -> None:
    """Note something on a link; not part of making it, where the kernel passes over the attribute."""
    if alias and len(alias.encode()) <= _IFALIAS_MAX:
        body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + attribute(_IFLA_IFALIAS, alias.encode())
        kernel.request(netlink.RTM_NEWLINK, 0, body, name="alias", about=str(index))


def _mac(bridge: Bridge) -> str:
    """A fixed address: a bridge without one takes its lowest port's, and so changes it."""
    digest = hashlib.sha256(f"{bridge.name} {bridge.address4}".encode()).hexdigest()
    return "02:42:" + ":".join(digest[i : i + 2] for i in range(0, 8, 2))


@contextlib.contextmanager
def _passing_over(code: int) -> Iterator[None]:
    """Pass over one errno: what was asked for is there (EEXIST) or gone (ENODEV) already."""
    try:
        yield
    except KernelError as error:
        if error.errno != code:
            raise
