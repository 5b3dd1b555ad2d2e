"""Volumes: `create`, `ls`, `rm`, `inspect`, `prune`."""

from __future__ import annotations

import json
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.container.state import pruned
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import confirmed, filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table, natural

_HEADINGS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
}
_TABLE = Table(_HEADINGS, ("Driver", "Name"), "*formatter.volumeContext", quiet="Name")


def create(arguments: Arguments, session: Session) -> Result:
    """Create a volume."""
    body = {
        "Name": arguments.positional[0] if arguments.positional else "",
        "Driver": arguments.text("driver"),
        "DriverOpts": arguments.mapping("opt"),
        "Labels": arguments.mapping("label"),
    }
    document = session.connection.request("POST", "/volumes/create", body).json()
    return Result(text=document["Name"], names=(document["Name"],), documents=[document])


def ls(arguments: Arguments, session: Session) -> Result:
    """List volumes."""
    query = {"filters": filters_json(arguments)}
    documents = session.connection.request("GET", "/volumes", query=query).json()["Volumes"] or []
    return listed(documents, template=arguments.text("format"), quiet=arguments.on("quiet"))


def listed(documents: list[dict[str, Any]], *, template: str, quiet: bool) -> Result:
    """Return volumes as a table, in the order of their names.

    Args:
        documents: As the API describes them.
        template: `--format`, or "".
        quiet: Only their names.
    """
    documents.sort(key=lambda document: natural(document["Name"]))
    rows = [volume_row(document) for document in documents]
    found = _TABLE.result(rows, template=template, quiet=quiet)
    found.documents = documents
    found.names = tuple(row["Name"] for row in rows)
    return found


def volume_row(document: dict[str, Any]) -> dict[str, Any]:
    """Return a volume's fields in the vocabulary of `docker volume ls --format`."""
    labels: dict[str, str] = document.get("Labels") or {}
    usage: dict[str, int] = document.get("UsageData") or {}
    return {
        "Name": document["Name"],
        "Driver": document["Driver"],
        "Scope": document["Scope"],
        "Mountpoint": document["Mountpoint"],
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "Links": str(usage.get("RefCount", "N/A")),
        "Size": humanize.size(usage["Size"]) if usage else "N/A",
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    }


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove volumes that no container uses."""
    query = {"force": arguments.on("force") or None}
    return each_named(
        arguments.positional,
        session,
        lambda name: session.connection.request("DELETE", f"/volumes/{name}", query=query),
    )


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show volumes as the API describes them."""
    return inspect_each(arguments, session, lambda name: session.inspect("volumes", name))


def prune(arguments: Arguments, session: Session) -> Result:
    """Remove anonymous volumes that no container uses; with `-a` named ones too."""
    everything = arguments.on("all")
    which = "all local volumes" if everything else "anonymous local volumes"
    if not confirmed(arguments, session, f"This will remove {which} not used by at least one container."):
        return Result()
    filters = json.loads(filters_json(arguments) or "{}")
    if everything:
        if "all" in filters:
            raise CommandError("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = ["true"]
    return pruned(session, "/volumes/prune", {"filters": json.dumps(filters)}, "Deleted Volumes", "VolumesDeleted")
