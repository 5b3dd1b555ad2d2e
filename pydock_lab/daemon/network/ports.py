"""The host's side of published ports: sockets that hold them, proxies behind them, forwards for the kernel.

A published port always has a listening socket of ours: so a port in use is
found out before the container starts, and nobody can take it later. A port
that is ours to choose is tried first, too: see reach.py.

Source: moby libnetwork/portallocator and portmapper (the messages are theirs).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.links import ipv6_available
from pydock_lab.daemon.network.nat import Forward
from pydock_lab.daemon.network.proxy import TcpProxy, UdpProxy, connected_datagrams, dial_addresses
from pydock_lab.daemon.network.reach import reaches
from pydock_lab.errors import InvalidParameter, LabError, SystemFailure

MakeSocket = Callable[[int, int], socket.socket]
"""From family and type to a new socket in the network namespace whose ports are published."""

_SOCK_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_BACKLOG = 128
_ASTRAY = 16  # so many ports in a row that don't reach us: it is this machine's firewall, not somebody's ports


@dataclass
class _Published:
    """One open host port."""

    binding: PortBinding
    carrier: TcpProxy | UdpProxy


class HostPorts:
    """Every published port of one daemon.

    Args:
        make_socket: Rootless, sockets come from the broker.
    """

    def __init__(self, make_socket: MakeSocket = socket.socket) -> None:
        self._make_socket = make_socket
        self._published: dict[str, list[_Published]] = {}
        self._opening: list[_Published] = []  # of the endpoint that is being published: may clash with itself
        self._free_ports = _ephemeral_ports()
        self._last_port = self._free_ports.start - 1
        self._ipv6 = ipv6_available()
        self._astray = 0

    def publish(self, endpoint: Endpoint, bindings: list[PortBinding]) -> list[PortBinding]:
        """Open all of these or none; return them one address each, with the ports that were chosen.

        Raises:
            SystemFailure: a port is taken or not ours to open, in Docker's words.
        """
        opened = self._opening = []
        try:
            for binding in bindings:
                opened += self._open_binding(endpoint, binding)
        except LabError as error:
            _close(opened)
            raise SystemFailure(
                f"driver failed programming external connectivity on endpoint "
                f"{endpoint.name} ({endpoint.endpoint_id}): {error.message}",
                hint=error.hint,
            ) from error
        except BaseException:
            _close(opened)
            raise
        finally:
            self._opening = []
        self._published.setdefault(endpoint.endpoint_id, []).extend(opened)
        return [published.binding for published in opened]

    def bindings(self, endpoint: Endpoint) -> list[PortBinding]:
        """Return what is open for an endpoint."""
        return [published.binding for published in self._published.get(endpoint.endpoint_id, ())]

    def release(self, endpoint: Endpoint) -> list[PortBinding]:
        """Close an endpoint's ports and return them."""
        published = self._published.pop(endpoint.endpoint_id, [])
        _close(published)
        return [one.binding for one in published]

    def close(self) -> None:
        """Close every port."""
        for published in self._published.values():
            _close(published)
        self._published.clear()

    def _open_binding(self, endpoint: Endpoint, binding: PortBinding) -> list[_Published]:
        """Open one binding on its address, or on every address of both families with the same port."""
        if binding.protocol not in ("tcp", "udp"):
            # SCTP: what Docker says where the kernel was built without it.
            raise InvalidParameter("Error starting userland proxy: protocol not supported")
        addresses = [binding.host_ip] if binding.host_ip else ["0.0.0.0", *(["::"] if self._ipv6 else [])]
        choice = not binding.host_port or binding.host_port_end > binding.host_port
        last: LabError | None = None
        for port in self._candidates(binding):
            opened: list[_Published] = []
            try:
                for address in addresses:
                    one = replace(binding, host_ip=address, host_port=port, host_port_end=0)
                    opened.append(_Published(one, self._carry(endpoint, one, self._listen(one, choice=choice))))
            except _PortTaken as error:
                _close(opened)
                last = error
                continue
            except BaseException:
                _close(opened)
                raise
            return opened
        raise last or SystemFailure("all ports are allocated")

    def _candidates(self, binding: PortBinding) -> Iterator[int]:
        if binding.host_port:
            yield from range(binding.host_port, max(binding.host_port, binding.host_port_end) + 1)
            return
        for _ in self._free_ports:
            self._last_port += 1
            if self._last_port not in self._free_ports:
                self._last_port = self._free_ports.start
            yield self._last_port

    def _carry(self, endpoint: Endpoint, binding: PortBinding, listener: socket.socket) -> TcpProxy | UdpProxy:
        version = _version(binding.host_ip)
        # Its own family first, as the kernel would forward it; many servers listen on one only.
        targets = sorted(filter(None, (endpoint.address, endpoint.address6)), key=lambda a: _version(a) != version)
        if binding.protocol == "tcp":
            return TcpProxy(listener, dial_addresses(targets, binding.container_port))
        return UdpProxy(listener, connected_datagrams(targets[0], binding.container_port))

    def _listen(self, binding: PortBinding, *, choice: bool) -> socket.socket:
        address, port = binding.host_ip, binding.host_port
        family = socket.AF_INET6 if _version(address) == 6 else socket.AF_INET
        listener = self._make_socket(family, _SOCK_TYPES[binding.protocol])
        try:
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if binding.protocol == "tcp":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            if binding.protocol == "tcp":
                listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise self._refusal(binding, error) from error
        if choice and not self._is_reached(listener):
            listener.close()
            raise _PortTaken(
                f"Bind for {_shown(binding)} failed: port is already allocated",
                hint="a rule of this machine's packet filter leads this port elsewhere: nft list ruleset shows it",
            )
        return listener

    def _is_reached(self, listener: socket.socket) -> bool:
        if self._astray >= _ASTRAY:
            return True
        reached = reaches(listener, self._make_socket)
        self._astray = 0 if reached else self._astray + 1
        return reached

    def _refusal(self, binding: PortBinding, error: OSError) -> LabError:
        where = _shown(binding)
        if error.errno == errno.EADDRINUSE and any(_overlap(binding, other) for other in self._all()):
            return _PortTaken(
                f"Bind for {where} failed: port is already allocated",
                hint="another container publishes this port: docker ps shows which",
            )
        version = _version(binding.host_ip)
        message = (
            f"Error starting userland proxy: listen {binding.protocol}{version} {where}: "
            f"bind: {os.strerror(error.errno or 0).lower()}"
        )
        if error.errno == errno.EADDRINUSE:
            return _PortTaken(message, hint="a process on this machine listens there: choose another host port")
        if error.errno == errno.EACCES:
            return SystemFailure(message, hint="ports below 1024 need root: choose a higher host port")
        return SystemFailure(message)

    def _all(self) -> Iterator[PortBinding]:
        return (one.binding for published in (*self._published.values(), self._opening) for one in published)


class _PortTaken(SystemFailure):
    """The port is in use; another one of a range may not be."""


def forwards(endpoint: Endpoint, bindings: list[PortBinding]) -> list[Forward]:
    """Return what the kernel can forward by itself: IPv4 to IPv4, IPv6 to IPv6."""
    found = []
    for binding in bindings:
        address = endpoint.address if _version(binding.host_ip) == 4 else endpoint.address6
        if address:
            host_ip = "" if binding.host_ip in ("0.0.0.0", "::") else binding.host_ip
            found.append(Forward(binding.protocol, host_ip, binding.host_port, address, binding.container_port))
    return found


def _shown(binding: PortBinding) -> str:
    address = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
    return f"{address}:{binding.host_port}"


def _version(address: str) -> int:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).version
    except ValueError:
        raise InvalidParameter(f"invalid IP address: {address}") from None


def _overlap(one: PortBinding, other: PortBinding) -> bool:
    """Tell whether two bindings want the same port of the same address."""
    if (one.protocol, one.host_port) != (other.protocol, other.host_port):
        return False
    if _version(one.host_ip) != _version(other.host_ip):
        return False
    return (
        one.host_ip == other.host_ip
        or "0.0.0.0" in (one.host_ip, other.host_ip)
        or "::"
        in (
            one.host_ip,
            other.host_ip,
        )
    )


def _close(published: list[_Published]) -> None:
    for one in published:
        one.carrier.close()


def _ephemeral_ports() -> range:
    """The range Docker chooses host ports from. Source: ip-sysctl.rst, ip_local_port_range."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return range(49153, 65536)
    return range(int(first), int(last) + 1)
