"""Networks: `create`, `ls`, `rm`, `inspect`, `connect`, `disconnect`, `prune`."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import confirmed, filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table, natural

_HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv6": "IPV6",
    "IPv4": "IPV4",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_TABLE = Table(_HEADINGS, ("ID", "Name", "Driver", "Scope"), "*network.networkContext")


def create(arguments: Arguments, session: Session) -> Result:
    """Create a network."""
    name = arguments.positional[0]
    body: dict[str, Any] = {
        "Name": name,
        "Driver": arguments.text("driver"),
        "Internal": arguments.on("internal"),
        "Attachable": arguments.on("attachable"),
        "Ingress": arguments.on("ingress"),
        "Scope": arguments.text("scope"),
        "ConfigOnly": arguments.on("config-only"),
        "EnableIPv6": arguments.on("ipv6"),
        "Options": arguments.mapping("opt"),
        "Labels": arguments.mapping("label"),
        "IPAM": {
            "Driver": arguments.text("ipam-driver"),
            "Options": arguments.mapping("ipam-opt"),
            "Config": _pools(arguments),
        },
    }
    if arguments.text("config-from"):
        body["ConfigFrom"] = {"Network": arguments.text("config-from")}
    document = session.connection.request("POST", "/networks/create", body).json()
    if warning := document.get("Warning"):
        session.say(f"WARNING: {warning}", "stderr")
    return Result(text=document["Id"], names=(name,), documents=[document])


def ls(arguments: Arguments, session: Session) -> Result:
    """List networks."""
    query = {"filters": filters_json(arguments)}
    documents = session.connection.request("GET", "/networks", query=query).json()
    documents.sort(key=lambda document: natural(document["Name"]))
    truncate = not arguments.on("no-trunc")
    rows = [network_row(document, truncate=truncate) for document in documents]
    found = _TABLE.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = documents
    found.names = tuple(document["Name"] for document in documents)
    return found


def network_row(document: dict[str, Any], *, truncate: bool = True) -> dict[str, Any]:
    """Return a network's fields in the vocabulary of `docker network ls --format`."""
    labels: dict[str, str] = document.get("Labels") or {}
    created = str(document.get("Created") or "")
    return {
        "ID": document["Id"][:12] if truncate else document["Id"],
        "Name": document["Name"],
        "Driver": document["Driver"],
        "Scope": document["Scope"],
        "IPv4": _truth(document.get("EnableIPv4", False)),
        "IPv6": _truth(document.get("EnableIPv6", False)),
        "Internal": _truth(document.get("Internal", False)),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "CreatedAt": re.sub(r"\.?0*Z$", " +0000 UTC", created.replace("T", " ")),
    }


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove networks that no container is connected to."""
    return each_named(
        arguments.positional, session, lambda name: session.connection.request("DELETE", f"/networks/{name}")
    )


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show networks as the API describes them."""
    query = {"verbose": arguments.on("verbose") or None}

    def one(name: str) -> Any:
        return session.connection.request("GET", f"/networks/{name}", query=query).json()

    return inspect_each(arguments, session, one)


def connect(arguments: Arguments, session: Session) -> Result:
    """Connect a container to a network."""
    network, container = arguments.positional
    endpoint: dict[str, Any] = {
        "Aliases": arguments.many("alias"),
        "Links": arguments.many("link"),
        "DriverOpts": dict(option.partition("=")[::2] for option in arguments.many("driver-opt")),
    }
    addresses = {
        "IPv4Address": arguments.text("ip"),
        "IPv6Address": arguments.text("ip6"),
        "LinkLocalIPs": arguments.many("link-local-ip"),
    }
    if given := {name: value for name, value in addresses.items() if value}:
        endpoint["IPAMConfig"] = given
    body = {"Container": container, "EndpointConfig": {name: value for name, value in endpoint.items() if value}}
    session.connection.request("POST", f"/networks/{network}/connect", body)
    return Result(names=(network,))


def disconnect(arguments: Arguments, session: Session) -> Result:
    """Disconnect a container from a network."""
    network, container = arguments.positional
    body = {"Container": container, "Force": arguments.on("force")}
    session.connection.request("POST", f"/networks/{network}/disconnect", body)
    return Result(names=(network,))


def prune(arguments: Arguments, session: Session) -> Result:
    """Remove networks that no container is connected to."""
    warning = "This will remove all custom networks not used by at least one container."
    if not confirmed(arguments, session, warning):
        return Result()
    query = {"filters": filters_json(arguments)}
    answer = session.connection.request("POST", "/networks/prune", query=query).json()
    gone = tuple(answer.get("NetworksDeleted") or ())
    return Result(text="\n".join(["Deleted Networks:", *gone, ""]) if gone else "", names=gone, documents=[answer])


def _pools(arguments: Arguments) -> list[dict[str, Any]]:
    """Match ranges, gateways and auxiliary addresses with the subnet each lies in, as Docker does."""
    pools: list[dict[str, Any]] = []
    for subnet in arguments.many("subnet"):
        try:
            ipaddress.ip_network(subnet)
        except ValueError:
            raise CommandError(f"invalid subnet {subnet} : invalid CIDR address: {subnet}") from None
        pools.append({"Subnet": subnet})
    for flag, name in (("ip-range", "IPRange"), ("gateway", "Gateway")):
        for text in arguments.many(flag):
            _pool_of(pools, text, flag)[name] = text
    for name, address in arguments.mapping("aux-address").items():
        _pool_of(pools, address, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = address
    return pools


def _pool_of(pools: list[dict[str, Any]], text: str, flag: str) -> dict[str, Any]:
    try:
        wanted = ipaddress.ip_interface(text).ip
    except ValueError:
        raise CommandError(f"invalid {flag} {text}") from None
    for pool in pools:
        if wanted in ipaddress.ip_network(pool["Subnet"]):
            return pool
    if not pools:
        raise CommandError(f"every {flag} or gateway must have a corresponding subnet")
    raise CommandError(f"no matching subnet for {flag} {text}")


def _truth(value: object) -> str:
    return "true" if value else "false"
