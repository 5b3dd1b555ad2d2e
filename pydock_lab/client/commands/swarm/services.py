"""What a swarm runs: `docker service` and `docker node`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.failure import CommandError, EngineError, UsageError
from pydock_lab.client.commands.filters import api_time, filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table, natural
from pydock_lab.client.hijack import demultiplex
from pydock_lab.client.swarm.rows import SERVICES, TASKS, Names, service_row, task_rows
from pydock_lab.client.swarm.waiting import await_services
from pydock_lab.errors import LabError

_NODES = Table(
    {
        "ID": "ID",
        "Self": "SELF",
        "Hostname": "HOSTNAME",
        "Status": "STATUS",
        "Availability": "AVAILABILITY",
        "ManagerStatus": "MANAGER STATUS",
        "EngineVersion": "ENGINE VERSION",
        "TLSStatus": "TLS STATUS",
    },
    ("ID", "Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion"),
    "*node.nodeContext",
)
_MARK = "com.docker.swarm."


def ls(arguments: Arguments, session: Session) -> Result:
    """List services."""
    query = {"filters": filters_json(arguments), "status": "true"}
    documents = session.connection.request("GET", "/services", query=query).json() or []
    rows = sorted(map(service_row, documents), key=lambda row: natural(row["Name"]))
    found = SERVICES.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = documents
    return found


def ps(arguments: Arguments, session: Session) -> Result:
    """List the tasks of services."""
    ids, failures = [], []
    for name in arguments.positional:
        try:
            ids.append(_service(session, name)["ID"])
        except EngineError as error:
            failures.append(f"no such service: {name}" if error.status_code == 404 else error.message)
    result = _tasks(arguments, session, service=ids) if ids else Result()
    if failures:
        if result.text:
            session.say(result.text)
        raise CommandError("\n".join(failures))
    return result


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show services as the API describes them."""

    def one(name: str) -> Any:
        try:
            return _service(session, name)
        except EngineError as error:
            if error.status_code != 404:
                raise
            raise CommandError(f"Error: no such service: {name}") from None

    return inspect_each(arguments, session, one)


def logs(arguments: Arguments, session: Session) -> Result:
    """Show what the tasks of a service wrote."""
    name = arguments.positional[0]
    kind, document = _service_or_task(session, name)
    query = {
        "stdout": 1,
        "stderr": 1,
        "follow": arguments.on("follow"),
        "timestamps": arguments.on("timestamps"),
        "details": True,
        "tail": arguments.text("tail"),
        "since": api_time(arguments.text("since")),
    }
    response = session.connection.request("GET", f"/{kind}/{document['ID']}/logs", stream=True, query=query)
    prefixes = _Prefixes(arguments, session, document)
    with response, session.interruptible():
        for stream, data in demultiplex(response.iter_content(None)):
            for line in data.decode(errors="replace").splitlines(keepends=True):
                session.output.write(stream, prefixes.line(line))
    return Result()


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove services."""
    return each_named(
        arguments.positional, session, lambda name: session.connection.request("DELETE", f"/services/{name}")
    )


def scale(arguments: Arguments, session: Session) -> Result:
    """Give services another number of tasks."""
    wanted: dict[str, int] = {}
    failures = []
    for entry in arguments.positional:
        name, equals, number = entry.partition("=")
        if not equals:
            raise UsageError(
                f"invalid scale specifier '{entry}'.\nSee '{arguments.command.line} --help'.\n\n"
                f"Usage:  {arguments.command.line} {arguments.command.usage}\n\n{arguments.command.summary}"
            )
        if not number.isdigit():
            raise CommandError(
                f'{name}: invalid replicas value {number}: strconv.ParseUint: parsing "{number}": invalid syntax'
            )
        wanted[name] = int(number)
    done = []
    for name, replicas in wanted.items():
        try:
            _scale(session, name, replicas)
        except LabError as error:
            failures.append(f"{name}: {error.message}")
            continue
        session.say(f"{name} scaled to {replicas}")
        done.append(name)
    if failures:
        raise CommandError("\n".join(failures))
    if not arguments.on("detach"):
        await_services(session, done)
    return Result(names=tuple(done))


def nodes(arguments: Arguments, session: Session) -> Result:
    """List the machines of the swarm."""
    request = session.connection.request
    documents = request("GET", "/nodes", query={"filters": filters_json(arguments)}).json() or []
    own = (request("GET", "/info").json().get("Swarm") or {}).get("NodeID", "")
    trusted = ((request("GET", "/info").json().get("Swarm") or {}).get("Cluster") or {}).get("TLSInfo")
    documents.sort(key=lambda one: natural(one["Description"]["Hostname"]))
    template, quiet = arguments.text("format"), arguments.on("quiet")
    rows = [_node_row(document, own, trusted) for document in documents]
    if not quiet and template in ("", "table"):
        for row in rows:
            row["ID"] = f"{row['ID']} {'*' if row['Self'] else ' '}"
    found = _NODES.result(rows, template=template, quiet=quiet)
    found.documents = documents
    return found


def inspect_nodes(arguments: Arguments, session: Session) -> Result:
    """Show machines of the swarm as the API describes them; `self` is this one."""

    def one(name: str) -> Any:
        return session.connection.request("GET", f"/nodes/{_node_id(session, name)}").json()

    return inspect_each(arguments, session, one)


def ps_nodes(arguments: Arguments, session: Session) -> Result:
    """List the tasks of machines of the swarm; without a name, of this one."""
    ids = [_node_id(session, name) for name in arguments.positional or ("self",)]
    return _tasks(arguments, session, node=ids)


def _tasks(arguments: Arguments, session: Session, **of: list[str]) -> Result:
    documents = session.connection.request("GET", "/tasks", query={"filters": filters_json(arguments, **of)}).json()
    names = Names(session, resolve=not arguments.on("no-resolve"))
    rows = task_rows(documents or (), names, truncate=not arguments.on("no-trunc"))
    return TASKS.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))


def _service(session: Session, name: str) -> dict[str, Any]:
    found: dict[str, Any] = session.connection.request("GET", f"/services/{name}").json()
    return found


def _service_or_task(session: Session, name: str) -> tuple[str, dict[str, Any]]:
    try:
        return "services", _service(session, name)
    except EngineError as error:
        if error.status_code != 404:
            raise
    try:
        return "tasks", session.connection.request("GET", f"/tasks/{name}").json()
    except EngineError as error:
        if error.status_code != 404:
            raise
        raise CommandError(f"no such task or service: {name}") from None


def _scale(session: Session, name: str, replicas: int) -> None:
    document = _service(session, name)
    spec = document["Spec"]
    if "Replicated" in spec["Mode"]:
        spec["Mode"]["Replicated"]["Replicas"] = replicas
    elif "ReplicatedJob" in spec["Mode"]:
        spec["Mode"]["ReplicatedJob"]["TotalCompletions"] = replicas
    else:
        raise CommandError("scale can only be used with replicated or replicated-job mode")
    query = {"version": document["Version"]["Index"]}
    session.connection.request("POST", f"/services/{document['ID']}/update", spec, query=query)


def _node_id(session: Session, name: str) -> str:
    if name != "self":
        return name
    swarm = session.connection.request("GET", "/info").json().get("Swarm") or {}
    if identifier := swarm.get("NodeID"):
        return str(identifier)
    session.connection.request("GET", "/nodes")  # says, in the engine's words, that there is no swarm
    raise CommandError("node ID not found in /info")


def _node_row(document: dict[str, Any], own: str, trusted: Any) -> dict[str, Any]:
    manager, description = document.get("ManagerStatus") or {}, document["Description"]
    tls = description.get("TLSInfo")
    return {
        "ID": document["ID"],
        "Self": document["ID"] == own,
        "Hostname": description["Hostname"],
        "Status": document["Status"]["State"].capitalize(),
        "Availability": document["Spec"]["Availability"].capitalize(),
        "ManagerStatus": "Leader" if manager.get("Leader") else str(manager.get("Reachability", "")).capitalize(),
        "EngineVersion": description["Engine"]["EngineVersion"],
        "TLSStatus": "Ready" if tls and tls == trusted else "Needs Rotation" if tls else "Unknown",
    }


class _Prefixes:
    """What stands before each line of a service's log: `demo_web.1.o92k6e0wanuj@vm    | `."""

    def __init__(self, arguments: Arguments, session: Session, document: dict[str, Any]) -> None:
        self._arguments = arguments
        self._session = session
        self._names = Names(session, resolve=not arguments.on("no-resolve"))
        self._known: dict[str, str] = {}
        mode = (document["Spec"].get("Mode") or {}) if "Spec" in document else {}
        replicas = (mode.get("Replicated") or {}).get("Replicas", 1)
        self._width = len(str(replicas))

    def line(self, text: str) -> str:
        """Put the name of its task before a line that begins with its details."""
        arguments, stamp = self._arguments, ""
        if arguments.on("timestamps"):
            stamp, _, text = text.partition(" ")
            stamp += " "
        found, _, message = text.partition(" ")
        details = dict(_pairs(found))
        task = details.pop(f"{_MARK}task.id", "")
        own = {key: value for key, value in details.items() if not key.startswith(_MARK)}
        if arguments.on("details") and own:
            message = ",".join(f"{key}={value}" for key, value in sorted(own.items())) + f" {message}"
        return stamp + message if arguments.on("raw") else f"{stamp}{self._prefix(task)}{message}"

    def _prefix(self, task: str) -> str:
        if task not in self._known:
            self._known[task] = self._made(task)
        return self._known[task]

    def _made(self, task: str) -> str:
        document = self._session.connection.request("GET", f"/tasks/{task}").json()
        name = self._names.task(document)
        if not self._arguments.on("no-task-ids"):
            name += "." + (task if self._arguments.on("no-trunc") else task[:12])
        padding = " " * (self._width - len(str(document.get("Slot") or "")))
        return f"{name}@{self._names.node(document.get('NodeID', ''))}{padding}    | "


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for entry in text.split(","):
        key, equals, value = entry.partition("=")
        if equals:
            yield key, value
