"""What a swarm's services, tasks and nodes look like in Docker's tables.

Source: docker/cli cli/command/{service,task,node}/formatter.go, task/print.go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydock_lab.client.commands.session import Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table, natural
from pydock_lab.errors import LabError
from pydock_lab.spec import reference, timestamps

_ERROR_WIDTH = 30

SERVICES = Table(
    {"ID": "ID", "Name": "NAME", "Mode": "MODE", "Replicas": "REPLICAS", "Image": "IMAGE", "Ports": "PORTS"},
    ("ID", "Name", "Mode", "Replicas", "Image", "Ports"),
    "*service.serviceContext",
)
TASKS = Table(
    {
        "ID": "ID",
        "Name": "NAME",
        "Image": "IMAGE",
        "Node": "NODE",
        "DesiredState": "DESIRED STATE",
        "CurrentState": "CURRENT STATE",
        "Error": "ERROR",
        "Ports": "PORTS",
    },
    ("ID", "Name", "Image", "Node", "DesiredState", "CurrentState", "Error", "Ports"),
    "*task.taskContext",
)


class Names:
    """Names of services and nodes by their ids, each asked for once.

    Args:
        session: The session.
        resolve: False for `--no-resolve`: ids stay ids.
    """

    def __init__(self, session: Session, *, resolve: bool = True) -> None:
        self._session = session
        self._resolve = resolve
        self._known: dict[tuple[str, str], str] = {}

    def service(self, identifier: str) -> str:
        """A service's name; its id if it is gone."""
        return self._name("services", identifier)

    def node(self, identifier: str) -> str:
        """A node's name or, if it was given none, its host's."""
        return self._name("nodes", identifier) if identifier else ""

    def task(self, document: Mapping[str, Any]) -> str:
        """`demo_web.1`, or `demo_web.NODE` where each node has one."""
        place = document.get("Slot") or document.get("NodeID", "")
        return f"{self.service(document['ServiceID'])}.{place}"

    def _name(self, kind: str, identifier: str) -> str:
        if not self._resolve:
            return identifier
        if (kind, identifier) not in self._known:
            try:
                document = self._session.connection.request("GET", f"/{kind}/{identifier}").json()
                name = document["Spec"].get("Name") or document.get("Description", {}).get("Hostname") or identifier
            except LabError:
                name = identifier
            self._known[kind, identifier] = name
        return self._known[kind, identifier]


def service_row(document: Mapping[str, Any]) -> dict[str, Any]:
    """A service's fields in the vocabulary of `docker service ls --format`."""
    spec, status = document["Spec"], document.get("ServiceStatus") or {}
    mode = next(iter(spec["Mode"]))
    replicas = f"{status.get('RunningTasks', 0)}/{status.get('DesiredTasks', 0)}"
    if mode.endswith("Job"):
        total = (spec["Mode"][mode] or {}).get("TotalCompletions", status.get("DesiredTasks", 0))
        replicas += f" ({status.get('CompletedTasks', 0)}/{total} completed)"
    if most := spec["TaskTemplate"].get("Placement", {}).get("MaxReplicas"):
        replicas += f" (max {most} per node)"
    return {
        "ID": document["ID"][:12],
        "Name": spec["Name"],
        "Mode": {"ReplicatedJob": "replicated job", "GlobalJob": "global job"}.get(mode, mode.lower()),
        "Replicas": replicas,
        "Image": _image(spec["TaskTemplate"]["ContainerSpec"]["Image"]),
        "Ports": _ports((document.get("Endpoint") or {}).get("Ports") or ()),
    }


def task_rows(documents: Sequence[Mapping[str, Any]], names: Names, *, truncate: bool = True) -> list[dict[str, Any]]:
    """Tasks in order; one that came before in the same place is marked with a hook, as Docker draws it."""
    named = [(names.task(document), document) for document in documents]
    named.sort(key=lambda pair: pair[1]["CreatedAt"], reverse=True)
    named.sort(key=lambda pair: natural(pair[0]))
    before, rows = None, []
    for name, document in named:
        rows.append(_task_row(document, f" \\_ {name}" if name == before else name, names, truncate=truncate))
        before = name
    return rows


def since(timestamp: str) -> str:
    """`2026-11-25T14:20:52Z` → `4 minutes ago`."""
    return humanize.ago(time.time() - timestamps.parse(timestamp) / 1e9)


def _task_row(document: Mapping[str, Any], name: str, names: Names, *, truncate: bool) -> dict[str, Any]:
    status = document["Status"]
    error = str(status.get("Err", ""))
    if truncate and len(error) > _ERROR_WIDTH:
        error = error[: _ERROR_WIDTH - 1] + "…"
    image = document["Spec"]["ContainerSpec"]["Image"]
    return {
        "ID": document["ID"][:12] if truncate else document["ID"],
        "Name": name,
        "Image": _image(image) if truncate else image,
        "Node": names.node(document.get("NodeID", "")),
        "DesiredState": document["DesiredState"].capitalize(),
        "CurrentState": f"{status['State'].capitalize()} {since(status['Timestamp']).lower()}",
        "Error": f'"{error}"' if error else "",
        "Ports": ",".join(
            f"*:{port['PublishedPort']}->{port['TargetPort']}/{port['Protocol']}"
            for port in (status.get("PortStatus") or {}).get("Ports") or ()
        ),
    }


def _image(text: str) -> str:
    """Without the digest that a swarm adds."""
    try:
        parsed = reference.parse(text)
    except LabError:
        return text
    return f"{parsed.familiar_name}:{parsed.tag}" if parsed.tag else text


def _ports(ports: Sequence[Mapping[str, Any]]) -> str:
    """`*:8099->80/tcp`, a run of ports as a range."""
    runs: list[list[Any]] = []
    usual = [port for port in ports if port.get("PublishMode", "ingress") == "ingress" and port.get("PublishedPort")]
    for port in sorted(usual, key=lambda one: (one["Protocol"], one["PublishedPort"])):
        published, target, protocol = port["PublishedPort"], port["TargetPort"], port["Protocol"]
        if runs and runs[-1][3] == protocol and (published - runs[-1][0] == target - runs[-1][2] == runs[-1][1]):
            runs[-1][1] += 1
        else:
            runs.append([published, 1, target, protocol])
    return ", ".join(f"*:{_range(at, many)}->{_range(to, many)}/{protocol}" for at, many, to, protocol in runs)


def _range(first: int, many: int) -> str:
    return str(first) if many == 1 else f"{first}-{first + many - 1}"
