"""`docker stack`: a Compose file on a swarm."""

from __future__ import annotations

import time
from collections import Counter

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import filters_json, filters_of
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table, natural
from pydock_lab.client.compose.load import Source, load
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.render import config_yaml
from pydock_lab.client.swarm.rows import SERVICES, TASKS, Names, service_row, task_rows
from pydock_lab.client.swarm.spec import NAMESPACE, unsupported
from pydock_lab.client.swarm.stack import Deployment, Stack
from pydock_lab.client.swarm.waiting import await_services

_STACKS = Table({"Name": "NAME", "Services": "SERVICES"}, ("Name", "Services"), "*formatter.stackContext", quiet="Name")
_NOT_A_MANAGER = (
    'this node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again"
)
_DETACHED = (
    "Since --detach=false was not specified, tasks will be created in the background.\n"
    "In a future release, --detach=false will become the default."
)


def deploy(arguments: Arguments, session: Session) -> Result:
    """Make a stack what its file says."""
    name = arguments.positional[0]
    project = _project(arguments, session, name)
    ignored = unsupported(project)
    if ignored:
        session.say(f"Ignoring unsupported options: {', '.join(ignored)}\n", "stderr")
    if arguments.on("detach") and not arguments.has("detach"):
        session.say(_DETACHED, "stderr")
    resolve = arguments.text("resolve-image")
    if resolve not in ("always", "changed", "never"):
        raise CommandError(f"Invalid option {resolve} for flag --resolve-image")
    swarm = session.connection.request("GET", "/info").json().get("Swarm") or {}
    if not swarm.get("ControlAvailable"):
        raise CommandError(_NOT_A_MANAGER, hint=_hint(session))
    stack = Stack(session, name)
    if arguments.on("prune"):
        stack.remove_services(f"{name}_{key}" for key in project.services)
    deployment = Deployment(stack, project, resolve=resolve, send_auth=arguments.on("with-registry-auth"))
    services = deployment.run()
    if not arguments.on("detach"):
        await_services(session, services, quiet=arguments.on("quiet"))
    return Result(names=(name,))


def config(arguments: Arguments, session: Session) -> Result:
    """Show what the files come to."""
    project = _project(arguments, session, "stack", interpolate=not arguments.on("skip-interpolation"))
    return Result(text=config_yaml(project).rstrip("\n"))


def ls(arguments: Arguments, session: Session) -> Result:
    """List the stacks of the swarm."""
    query = {"filters": filters_of({"label": [NAMESPACE]})}
    documents = session.connection.request("GET", "/services", query=query).json() or []
    counts = Counter(labels[NAMESPACE] for one in documents if NAMESPACE in (labels := one["Spec"].get("Labels") or {}))
    rows = [{"Name": name, "Services": str(counts[name])} for name in sorted(counts, key=natural)]
    return _STACKS.result(rows, template=arguments.text("format"))


def services(arguments: Arguments, session: Session) -> Result:
    """List the services of a stack."""
    name = arguments.positional[0]
    query = {"filters": filters_json(arguments, label=[f"{NAMESPACE}={name}"]), "status": "true"}
    documents = session.connection.request("GET", "/services", query=query).json() or []
    if not documents:
        session.say(f"Nothing found in stack: {name}", "stderr")
        return Result()
    rows = sorted(map(service_row, documents), key=lambda row: natural(row["Name"]))
    found = SERVICES.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = documents
    return found


def ps(arguments: Arguments, session: Session) -> Result:
    """List the tasks of a stack: its containers, with those that came before them."""
    name = arguments.positional[0]
    query = {"filters": filters_json(arguments, label=[f"{NAMESPACE}={name}"])}
    documents = session.connection.request("GET", "/tasks", query=query).json() or []
    if not documents:
        raise CommandError(f"nothing found in stack: {name}")
    names = Names(session, resolve=not arguments.on("no-resolve"))
    rows = task_rows(documents, names, truncate=not arguments.on("no-trunc"))
    return TASKS.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove stacks: services, secrets, configs and networks; volumes stay."""
    for name in arguments.positional:
        stack = Stack(session, name)
        if not stack.remove():
            session.say(f"Nothing found in stack: {name}", "stderr")
        elif not arguments.on("detach"):
            with session.interruptible():
                while any(task["Status"]["State"] not in _ENDED for task in stack.of("tasks")):
                    time.sleep(_LOOK_S)
    return Result(names=arguments.positional)


_ENDED = frozenset({"complete", "failed", "shutdown", "rejected", "orphaned", "remove"})
_LOOK_S = 0.2


def _project(arguments: Arguments, session: Session, name: str, *, interpolate: bool = True) -> Project:
    files = arguments.many("compose-file")
    if not files:
        raise CommandError("Specify a Compose file (with --compose-file)")
    text = None
    if files == ["-"]:
        if session.stdin is None:
            raise CommandError("there is no Compose file on stdin")
        text, files = session.stdin.read().decode(), []
    for file in files:
        if not session.path(file).is_file():
            raise CommandError(f"open {file}: no such file or directory")
    source = Source(
        directory=session.directory,
        environment=session.environment,
        files=tuple(files),
        text=text,
        name=name,
        interpolate=interpolate,
    )
    return load(source)


def _hint(session: Session) -> str:
    if session.connection.is_lab:
        return "this engine is one machine without a swarm: `docker compose up` runs the same file here"
    return "docker swarm init --advertise-addr 127.0.0.1 makes a swarm of this machine alone"
