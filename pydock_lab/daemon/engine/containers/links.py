"""`--link`: how a container on the default bridge knows another one, which has no name there.

By lines in its /etc/hosts and by variables in its environment, both written
when it starts. On networks of the user's own a link is one more name for the
embedded name server, and nothing of this file.

Source: moby daemon/links and daemon/links.go, daemon/container_operations_unix.go (setupLinkedContainers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydock_lab.daemon.engine.containers import ports
from pydock_lab.daemon.engine.containers.record import Container, Record
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.errors import Conflict, InvalidParameter, NotFound, SystemFailure

_NOT_PASSED_ON = ("HOME", "PATH")


@dataclass(frozen=True)
class Link:
    """Another container under a name that the linking one has for it."""

    child: Container
    alias: str

    @property
    def endpoint(self) -> Endpoint:
        """Its place on the default bridge."""
        return self.child.record.endpoints["bridge"]

    def hosts_line(self) -> str:
        """Return its line of /etc/hosts."""
        names = (self.alias, self.child.record.config["Hostname"], self.child.name)
        return f"{self.endpoint.address}\t{' '.join(dict.fromkeys(names))}\n"

    def environment(self, parent: str) -> list[str]:
        """Return the variables that tell of it, for the container called `parent`."""
        config, address = self.child.record.config, self.endpoint.address
        prefix = self.alias.upper().replace("-", "_")
        exposed = sorted(map(ports.split, config.get("ExposedPorts") or {}), key=lambda port: (port[1] != "tcp", port))
        variables: list[str] = []
        for number, protocol in exposed:
            url = f"{protocol}://{address}:{number}"
            one = f"{prefix}_PORT_{number}_{protocol.upper()}"
            if not variables:
                variables.append(f"{prefix}_PORT={url}")
            variables += [f"{one}={url}", f"{one}_ADDR={address}", f"{one}_PORT={number}", f"{one}_PROTO={protocol}"]
        variables.append(f"{prefix}_NAME=/{parent}/{self.alias}")
        for entry in config["Env"] or []:
            if entry.partition("=")[0] not in _NOT_PASSED_ON:
                variables.append(f"{prefix}_ENV_{entry}")
        return variables


def split_link(link: str) -> tuple[str, str]:
    """Read `NAME[:ALIAS]`, also as inspect shows it: `/name:/parent/alias`. Raises InvalidParameter."""
    name, _, alias = link.partition(":")
    name = name.removeprefix("/")
    if not name or link.count(":") > 1:
        raise InvalidParameter(f"bad format for links: {link}")
    return name, alias.rpartition("/")[2] or name


def check_links(host: dict[str, Any], parent: str, table: ContainerTable) -> None:
    """Check HostConfig.Links of a container that is being created, and write them as Docker's inspect shows them.

    Raises:
        InvalidParameter: what is linked does not exist or has no address.
    """
    links = [split_link(link) for link in host["Links"] or []]
    if not links or host["NetworkMode"] not in ("bridge", "default", "none"):
        # On a network of the user's own what is linked may come later.
        return
    shown = []
    for name, alias in links:
        try:
            child = table.get(name)
            while (mode := child.record.host_config["NetworkMode"]).startswith("container:"):
                child = table.get(mode.removeprefix("container:"))
        except NotFound as error:
            raise InvalidParameter(f"could not get container for {name}: {error.message}") from None
        if mode == "host":
            raise InvalidParameter(
                "conflicting options: host type networking can't be used with links. "
                "This would result in undefined behavior"
            )
        shown.append(f"/{child.name}:/{parent}/{alias}")
    if host["NetworkMode"] in ("bridge", "default"):
        host["Links"] = shown


def names(table: ContainerTable) -> dict[str, list[str]]:
    """Return what linking containers call others: container name → `/parent/alias`, as `docker ps` shows it."""
    found: dict[str, list[str]] = {}
    for container in table:
        for link in container.record.host_config["Links"] or []:
            name, _, path = link.partition(":")
            if path.startswith("/"):
                found.setdefault(name.removeprefix("/"), []).append(path)
    return found


def unlink(reference: str, table: ContainerTable) -> Container:
    """Take `parent/alias` out of the linking container's HostConfig and return that container (`docker rm --link`).

    Raises:
        NotFound: there is no such link.
        Conflict: it is a container's own name.
    """
    parent, _, alias = reference.strip("/").rpartition("/")
    if not parent:
        table.get(alias)
        raise Conflict("Conflict, cannot remove the default link name of the container")
    try:
        container = table.get(parent)
    except NotFound:
        raise NotFound(f"No such container: {reference}") from None
    host = container.record.host_config
    kept = [link for link in host["Links"] or [] if split_link(link)[1] != alias]
    if kept == (host["Links"] or []):
        raise NotFound(f"No such container: {reference}")
    host["Links"] = kept or None
    table.save(container)
    return container


def links_of(record: Record, table: ContainerTable) -> list[Link]:
    """Return what a container that has its place on the default bridge is linked to.

    Raises:
        SystemFailure: one of them does not run.
    """
    if "bridge" not in record.endpoints:
        return []
    links = []
    for entry in record.host_config["Links"] or []:
        name, alias = split_link(entry)
        child = table.get(name)
        if "bridge" not in child.record.endpoints:
            raise SystemFailure(
                f"Cannot link to a non running container: /{child.name} AS /{record.name}/{alias}",
                hint=f"docker start {child.name}",
            )
        links.append(Link(child, alias))
    return links
