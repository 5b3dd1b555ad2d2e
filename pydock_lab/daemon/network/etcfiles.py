"""The three files that Docker writes for a container: /etc/hostname, /etc/hosts, /etc/resolv.conf.

They live in the container's directory and are bind-mounted, so they can
change while it runs. Source: moby libnetwork etchosts and resolvconf.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.errors import InvalidParameter

_LOCAL_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")
NAMES = ("hostname", "hosts", "resolv.conf")


@dataclass(frozen=True)
class ResolvConf:
    """What /etc/resolv.conf says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @classmethod
    def of_host(cls) -> ResolvConf:
        """Read the host's; systemd-resolved's real servers instead of its stub."""
        for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
            try:
                parsed = cls.parse(Path(path).read_text())
            except OSError:
                continue
            if parsed.servers != ("127.0.0.53",):
                return parsed
        return cls()

    @classmethod
    def parse(cls, text: str) -> ResolvConf:
        """Read resolv.conf(5)."""
        servers: list[str] = []
        search: tuple[str, ...] = ()
        options: list[str] = []
        for line in text.splitlines():
            words = line.split()
            if len(words) < 2:
                continue
            if words[0] == "nameserver":
                servers.append(words[1])
            elif words[0] in ("search", "domain"):
                search = tuple(words[1:])
            elif words[0] == "options":
                options += words[1:]
        return cls(tuple(servers), search, tuple(options))

    def reachable(self) -> ResolvConf:
        """Leave out servers on the host's loopback, which a container's network can't reach."""
        servers = tuple(server for server in self.servers if not _is_loopback(server))
        return ResolvConf(servers or _FALLBACK_SERVERS, self.search, self.options)

    def override(self, servers: list[str], search: list[str], options: list[str]) -> ResolvConf:
        """Put `--dns`, `--dns-search` and `--dns-option` in place; a search of "." means none."""
        return ResolvConf(
            tuple(servers) or self.servers,
            tuple(name for name in search if name != ".") if search else self.search,
            tuple(options) or self.options,
        )

    def through(self, resolver: str) -> ResolvConf:
        """Ask the embedded name server first and with every name, also one without dots."""
        options = self.options if self.ndots else (*self.options, "ndots:0")
        return ResolvConf((resolver,), self.search, options)

    def forwarders(self) -> tuple[str, ...]:
        """Return the servers that the embedded name server may ask."""
        return tuple(server for server in self.servers if not _is_loopback(server)) or self.servers

    @property
    def ndots(self) -> int:
        """The option of that name, 0 where it is not set."""
        found = [option.partition(":")[2] for option in self.options if option.startswith("ndots:")]
        return int(found[-1]) if found and found[-1].isdigit() else 0

    def render(self) -> str:
        """Return the file's text."""
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append("search " + " ".join(self.search))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "\n".join(lines) + "\n"


def render_hosts(hostname: str, domainname: str, addresses: list[str], extra: list[str], gateway: str) -> str:
    """Return /etc/hosts.

    Args:
        hostname: The container's.
        domainname: The container's, or "".
        addresses: Its own, on every network.
        extra: `--add-host` entries, `NAME:ADDRESS`; the address `host-gateway` is the bridge's.
        gateway: What `host-gateway` stands for, or "".
    """
    lines = []
    for entry in extra:
        name, address = split_extra_host(entry)
        lines.append(f"{gateway if address == 'host-gateway' else address}\t{name}\n")
    # The host name may have its domain in it.
    full = f"{hostname}.{domainname}" if domainname else hostname
    names = f"{full} {full.partition('.')[0]}" if "." in full else full
    lines += [f"{address}\t{names}\n" for address in addresses if hostname]
    return _LOCAL_HOSTS + "".join(lines)


def split_extra_host(entry: str) -> tuple[str, str]:
    """Read `NAME:ADDRESS` or `NAME=ADDRESS`. Raises InvalidParameter in Docker's words."""
    colon = entry.find("=") if "=" in entry else entry.find(":")
    name, address = entry[:colon], entry[colon + 1 :].strip("[]")
    if colon <= 0 or not name:
        raise InvalidParameter(f'bad format for add-host: "{entry}"')
    if address != "host-gateway":
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidParameter(f'invalid IP address in add-host: "{address}"') from None
    return name, address


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
