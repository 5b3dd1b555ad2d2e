"""`docker swarm`: make a swarm of the engine, join one, leave it; what a swarm keeps for its services.

This project's own engine has no swarm; the commands are for a Docker engine
that the notebook or `pydock` is pointed at (`DOCKER_HOST`, contexts).
"""

from __future__ import annotations

import base64
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table, natural
from pydock_lab.client.swarm.rows import since

_KEPT = {"ID": "ID", "Name": "NAME", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED", "Labels": "LABELS"}
_CONFIGS = Table(_KEPT, ("ID", "Name", "CreatedAt", "UpdatedAt"), "*config.configContext")
_SECRETS = Table(
    _KEPT | {"Driver": "DRIVER"}, ("ID", "Name", "Driver", "CreatedAt", "UpdatedAt"), "*secret.secretContext"
)


def init(arguments: Arguments, session: Session) -> Result:
    """Make this engine the first manager of a new swarm."""
    body = {
        "ListenAddr": arguments.text("listen-addr"),
        "AdvertiseAddr": arguments.text("advertise-addr"),
        "DataPathAddr": arguments.text("data-path-addr"),
        "DataPathPort": arguments.number("data-path-port"),
        "DefaultAddrPool": arguments.many("default-addr-pool"),
        "SubnetSize": arguments.number("default-addr-pool-mask-length"),
        "ForceNewCluster": arguments.on("force-new-cluster"),
        "Availability": arguments.text("availability"),
        "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": arguments.number("task-history-limit")}},
    }
    node = session.connection.request("POST", "/swarm/init", body).json()
    session.say(f"Swarm initialized: current node ({node}) is now a manager.\n")
    session.say(f"To add a worker to this swarm, run the following command:\n\n{_join_line(session, 'Worker')}\n")
    session.say("To add a manager to this swarm, run 'docker swarm join-token manager' and follow the instructions.\n")
    return Result(names=(node,))


def join(arguments: Arguments, session: Session) -> Result:
    """Join a swarm."""
    body = {
        "ListenAddr": arguments.text("listen-addr"),
        "AdvertiseAddr": arguments.text("advertise-addr"),
        "DataPathAddr": arguments.text("data-path-addr"),
        "JoinToken": arguments.text("token"),
        "RemoteAddrs": [arguments.positional[0]],
        "Availability": arguments.text("availability"),
    }
    session.connection.request("POST", "/swarm/join", body)
    swarm = session.connection.request("GET", "/info").json().get("Swarm") or {}
    role = "manager" if swarm.get("ControlAvailable") else "worker"
    return Result(text=f"This node joined a swarm as a {role}.")


def join_token(arguments: Arguments, session: Session) -> Result:
    """Show how another machine joins."""
    role = arguments.positional[0]
    if role not in ("worker", "manager"):
        raise CommandError(f"unknown role {role}", hint="worker or manager")
    request = session.connection.request
    quiet = arguments.on("quiet")
    if arguments.on("rotate"):
        swarm = request("GET", "/swarm").json()
        query = {
            "version": swarm["Version"]["Index"],
            "rotateWorkerToken": str(role == "worker").lower(),
            "rotateManagerToken": str(role == "manager").lower(),
        }
        request("POST", "/swarm/update", swarm["Spec"], query=query)
        if not quiet:
            session.say(f"Successfully rotated {role} join token.\n")
    if quiet:
        return Result(text=request("GET", "/swarm").json()["JoinTokens"][role.capitalize()])
    line = _join_line(session, role.capitalize())
    session.say(f"To add a {role} to this swarm, run the following command:\n\n{line}\n")
    return Result()


def leave(arguments: Arguments, session: Session) -> Result:
    """Leave the swarm."""
    session.connection.request("POST", "/swarm/leave", query={"force": arguments.on("force")})
    return Result(text="Node left the swarm.")


def ls(arguments: Arguments, session: Session) -> Result:
    """List secrets or configs."""
    kind = arguments.command.path[0]
    documents = session.connection.request("GET", f"/{kind}s", query={"filters": filters_json(arguments)}).json() or []
    rows = sorted((_row(document) for document in documents), key=lambda row: natural(row["Name"]))
    if kind == "config":
        for row in rows:
            del row["Driver"]
    table = _SECRETS if kind == "secret" else _CONFIGS
    found = table.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = documents
    return found


def create(arguments: Arguments, session: Session) -> Result:
    """Keep a secret or config from a file or stdin."""
    kind = arguments.command.path[0]
    name, source = (*arguments.positional, "-")[:2]
    if source != "-":
        try:
            data = session.path(source).read_bytes()
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise CommandError(f'error reading content from "{source}": open {source}: {reason}') from None
    elif session.stdin is None:
        raise CommandError(f"there is nothing on stdin to make the {kind} of", hint=f"docker {kind} create {name} FILE")
    else:
        data = session.stdin.read()
    body: dict[str, Any] = {
        "Name": name,
        "Labels": arguments.mapping("label"),
        "Data": base64.b64encode(data).decode(),
    }
    if driver := arguments.text("template-driver"):
        body["Templating"] = {"Name": driver}
    if kind == "secret" and (driver := arguments.text("driver")):
        body["Driver"] = {"Name": driver}
    identifier = session.connection.request("POST", f"/{kind}s/create", body).json()["ID"]
    return Result(text=identifier, names=(name,))


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show secrets or configs as the API describes them; a secret's content stays with the swarm."""
    kind = arguments.command.path[0]
    return inspect_each(arguments, session, lambda name: session.connection.request("GET", f"/{kind}s/{name}").json())


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove secrets or configs."""
    kind = arguments.command.path[0]
    return each_named(
        arguments.positional, session, lambda name: session.connection.request("DELETE", f"/{kind}s/{name}")
    )


def _join_line(session: Session, role: str) -> str:
    request = session.connection.request
    node = (request("GET", "/info").json().get("Swarm") or {}).get("NodeID", "")
    token = request("GET", "/swarm").json()["JoinTokens"][role]
    address = request("GET", f"/nodes/{node}").json()["ManagerStatus"]["Addr"]
    return f"    docker swarm join --token {token} {address}"


def _row(document: dict[str, Any]) -> dict[str, Any]:
    spec = document["Spec"]
    labels: dict[str, str] = spec.get("Labels") or {}
    return {
        "ID": document["ID"],
        "Name": spec["Name"],
        "Driver": (spec.get("Driver") or {}).get("Name", ""),
        "CreatedAt": since(document["CreatedAt"]),
        "UpdatedAt": since(document["UpdatedAt"]),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Label": lambda name: labels.get(name, ""),
    }
