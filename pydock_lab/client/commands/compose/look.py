"""What looks at projects without changing them: `compose ps`, `ls`, `top`, `port`, `events`, `stats`, `volumes`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from functools import partial
from itertools import groupby
from typing import Any

from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.compose.project import begin
from pydock_lab.client.commands.container.list import container_row
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.filters import api_time
from pydock_lab.client.commands.grammar import load
from pydock_lab.client.commands.session import Change, Result, Session
from pydock_lab.client.commands.text.tables import Table, align, cells_result
from pydock_lab.client.commands.text.templates import go_json
from pydock_lab.client.compose import labels
from pydock_lab.client.compose.state import Observed, observed

_PS_HEADINGS = {
    "Name": "NAME",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "Service": "SERVICE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "ID": "CONTAINER ID",
    "CreatedAt": "CREATED AT",
    "State": "STATE",
    "Health": "HEALTH",
    "ExitCode": "EXIT CODE",
    "Names": "NAMES",
    "Project": "PROJECT",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Size": "SIZE",
}
_PS_FIELDS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")
_WIDTH = 20


def ps(arguments: Arguments, session: Session) -> Result:
    """List a project's containers."""
    work = begin(arguments, session, arguments.positional, files=False)
    states = set(arguments.many("status"))
    if wanted := arguments.text("filter"):
        name, _, value = wanted.partition("=")
        if name != "status":
            raise CommandError(f"unknown filter {name}")
        states.add(value)
    for name in arguments.positional:
        work.project.service(name)
    orphans = {one.id for one in work.orphans}
    found = [
        one
        for one in work.found
        if (not arguments.positional or one.service in arguments.positional)
        and (arguments.on("all") or bool(states) or one.running)
        and (not one.oneoff or arguments.on("all"))
        and (not states or one.state in states)
        and (arguments.on("orphans") or one.id not in orphans)
    ]
    if arguments.on("services"):
        return Result(text="\n".join(sorted({one.service for one in found})))
    template = "" if arguments.text("format") == "table" else arguments.text("format")
    exited = {one.id for one in found if one.state == "exited"}
    rows = [_ps_row(one, session, exited, truncate=not arguments.on("no-trunc")) for one in found]
    if arguments.on("quiet"):
        return Result(text="\n".join(one.id for one in found), names=tuple(one.name for one in found))
    result = Table(_PS_HEADINGS, _PS_FIELDS, "*formatter.ContainerContext").result(rows, template=template)
    result.documents = [dict(one.document) for one in found]
    result.names = tuple(one.name for one in found)
    return result


def ls(arguments: Arguments, session: Session) -> Result:
    """List the projects that have containers."""
    query = {"all": True, "filters": json.dumps({"label": [labels.PROJECT]})}
    documents = session.connection.request("GET", "/containers/json", query=query).json()
    projects: dict[str, list[Observed]] = {}
    for one in (observed(document) for document in documents):
        projects.setdefault(one.labels[labels.PROJECT], []).append(one)
    wanted = dict(entry.split("=", 1) for entry in arguments.many("filter") if "=" in entry).get("name", "")
    rows = []
    for name, found in sorted(projects.items()):
        if wanted not in name or not (arguments.on("all") or any(one.running for one in found)):
            continue
        counts: dict[str, int] = {}
        for one in found:
            counts[one.state] = counts.get(one.state, 0) + 1
        files = dict.fromkeys(one.labels.get(labels.CONFIG_FILES) or "N/A" for one in found)
        status = ", ".join(f"{state}({count})" for state, count in sorted(counts.items()))
        rows.append({"Name": name, "Status": status, "ConfigFiles": ",".join(files)})
    if arguments.on("quiet"):
        return Result(text="\n".join(row["Name"] for row in rows))
    if arguments.text("format") == "json":
        return Result(text=go_json(rows))
    columns = ("NAME", "STATUS", "CONFIG FILES")
    cells = [tuple(row.values()) for row in rows]
    return cells_result(columns, cells, partial(align, min_width=_WIDTH))


def top(arguments: Arguments, session: Session) -> Result:
    """Show the processes of a project's containers."""
    work = begin(arguments, session, arguments.positional, files=False)
    rows: list[dict[str, str]] = []
    columns: tuple[str, ...] = ()
    for container in [one for one in work.of(arguments.positional) if one.running]:
        try:
            document = session.connection.request("GET", f"/containers/{container.id}/top").json()
        except EngineError as error:
            if error.status_code == 409:  # it ended a moment ago
                continue
            raise
        columns = ("CONTAINER", *document["Titles"])
        processes = document.get("Processes") or []
        rows += [dict(zip(columns, (container.name, *one), strict=False)) for one in processes]

    def layout(change: Change) -> str:
        return _top_text(change(rows))

    return Result(text=_top_text(rows), columns=columns, rows=rows, layout=layout)


def _top_text(rows: list[dict[str, str]]) -> str:
    """A table for each container, below its name."""
    parts = []
    for name, of_one in groupby(rows, key=lambda row: row["CONTAINER"]):
        processes = [list(row.items())[1:] for row in of_one]
        table = [[column for column, _ in processes[0]], *([cell for _, cell in row] for row in processes)]
        widths = [max(5, *(len(row[number]) + 3 for row in table)) for number in range(len(table[0]))]
        lines = ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
        parts.append("\n".join([name, *lines, ""]))
    return "\n".join(parts)


def port(arguments: Arguments, session: Session) -> Result:
    """Show where a port of a service is published."""
    name, number = arguments.positional
    work = begin(arguments, session, (name,), files=False)
    private, _, protocol = number.partition("/")
    protocol = protocol or arguments.text("protocol") or "tcp"
    if not private.isdigit():
        raise CommandError(f"invalid port: {number}")
    container = work.one(name, arguments.number("index") if arguments.has("index") else 0)
    published = [one for one in container.document.get("Ports") or () if one.get("PublicPort")]
    for found in published:
        if found.get("PrivatePort") == int(private) and found.get("Type") == protocol:
            address = found.get("IP") or "0.0.0.0"
            address = f"[{address}]" if ":" in address else address
            return Result(text=f"{address}:{found['PublicPort']}")
    others = ", ".join(f"{one['PublicPort']}/{one['Type']}" for one in published)
    raise CommandError(f"no port {private}/{protocol} for container {container.name}: {others}")


def events(arguments: Arguments, session: Session) -> Result:
    """Show what happens to a project's containers, as it happens."""
    work = begin(arguments, session, arguments.positional, files=False)
    filters = json.dumps({"type": ["container"], "label": [f"{labels.PROJECT}={work.project.name}"]})
    times = {name: api_time(arguments.text(name)) for name in ("since", "until")}
    response = session.connection.request("GET", "/events", stream=True, query={"filters": filters} | times)
    with response, session.interruptible():
        for line in response.iter_lines():
            if not line.strip():
                continue
            event = json.loads(line)
            marks = event["Actor"]["Attributes"]
            service = marks.get(labels.SERVICE, "")
            if marks.get(labels.ONEOFF) == "True" or (arguments.positional and service not in arguments.positional):
                continue
            session.say(_event_line(event, service, as_json=arguments.on("json")))
    return Result()


def volumes(arguments: Arguments, session: Session) -> Result:
    """List a project's volumes, or those that services mount."""
    from pydock_lab.client.commands.volumes import listed

    work = begin(arguments, session, arguments.positional, files=False)
    wanted: set[str] | None = None
    if arguments.positional:
        mounts = [mount for one in work.of(arguments.positional) for mount in one.document.get("Mounts") or ()]
        wanted = {mount["Name"] for mount in mounts if mount["Type"] == "volume"}
    query = {"filters": json.dumps({"label": [f"{labels.PROJECT}={work.project.name}"]})}
    documents = session.connection.request("GET", "/volumes", query=query).json()["Volumes"] or []
    found = [document for document in documents if wanted is None or document["Name"] in wanted]
    template = "" if arguments.text("format") == "table" else arguments.text("format")
    return listed(found, template=template, quiet=arguments.on("quiet"))


def stats(arguments: Arguments, session: Session) -> Result:
    """Show what a project's containers use."""
    from pydock_lab.client.commands.container.look import stats as container_stats

    work = begin(arguments, session, arguments.positional, files=False)
    found = [one.id for one in work.of(arguments.positional) if one.running or arguments.on("all")]
    command = load().command("container", "stats")
    assert command is not None
    flags = [f"--{name}" for name in ("all", "no-stream", "no-trunc") if arguments.on(name)]
    if arguments.text("format"):
        flags.append(f"--format={arguments.text('format')}")
    if not found:
        return Result()
    return container_stats(parse(command, [*flags, *found]), session)


def _ps_row(container: Observed, session: Session, exited: set[str], *, truncate: bool) -> dict[str, Any]:
    row = container_row(container.document, truncate=truncate)
    state: Mapping[str, Any] = {}
    if container.id in exited:
        state = session.inspect("containers", container.id)["State"]
    status = row["Status"]
    health = next(
        (word for word in ("healthy", "unhealthy", "starting") if f"({word})" in status or f": {word})" in status), ""
    )
    publishers = [
        {
            "URL": one.get("IP") or "",
            "TargetPort": one.get("PrivatePort") or 0,
            "PublishedPort": one.get("PublicPort") or 0,
            "Protocol": one.get("Type") or "",
        }
        for one in container.document.get("Ports") or ()
    ]
    return {
        **row,
        "Name": container.name,
        "Names": container.name,
        "Service": container.service,
        "Project": container.labels.get(labels.PROJECT, ""),
        "Health": health,
        "ExitCode": int(state.get("ExitCode") or 0),
        "Publishers": publishers or None,
    }


def _event_line(event: Mapping[str, Any], service: str, *, as_json: bool) -> str:
    seconds, nanoseconds = divmod(event["timeNano"], 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds).astimezone()
    marks = event["Actor"]["Attributes"]
    attributes = {key: marks[key] for key in sorted(marks) if not key.startswith("com.docker.compose.")}
    if as_json:
        return go_json(
            {
                "action": event["Action"],
                "attributes": attributes,
                "id": event["Actor"]["ID"],
                "service": service,
                "time": f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(nanoseconds)}{_zone(moment)}",
                "type": "container",
            }
        )
    shown = ", ".join(f"{key}={value}" for key, value in attributes.items())
    when = f"{moment:%Y-%m-%d %H:%M:%S}.{nanoseconds // 1000:06d}"
    return f"{when} container {event['Action']} {event['Actor']['ID']} ({shown})"


def _fraction(nanoseconds: int) -> str:
    """As Go's RFC3339Nano: without zeros at the end, and none of it for a whole second."""
    return f".{nanoseconds:09d}".rstrip("0").rstrip(".")


def _zone(moment: datetime.datetime) -> str:
    offset = f"{moment:%z}"
    return "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
