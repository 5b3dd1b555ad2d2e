"""What looks at a container without changing it: `inspect`, `logs`, `top`, `port`, `diff`, `stats`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.filters import api_time
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table, align, cells_result, inspect_result
from pydock_lab.client.hijack import demultiplex
from pydock_lab.errors import LabError

_STATS_HEADINGS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_STATS_FIELDS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_TOP_WIDTH = 20
_STATS_PAUSE_S = 0.5


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show containers as the API describes them."""
    query = {"size": arguments.on("size") or None}

    def one(name: str) -> Any:
        return session.connection.request("GET", f"/containers/{name}/json", query=query).json()

    return inspect_each(arguments, session, one)


def inspect_each(arguments: Arguments, session: Session, fetch: Callable[[str], Any]) -> Result:
    """Fetch each object named; show those found even when others are not.

    Raises:
        CommandError: some were not found.
    """
    documents: list[Any] = []
    failures: list[str] = []
    for name in arguments.positional:
        try:
            documents.append(fetch(name))
        except LabError as error:
            failures.append(error.message)
    found = inspect_result(documents, arguments.text("format"))
    if failures:
        if documents or not arguments.text("format"):
            session.say(found.text)
        raise CommandError("\n".join(failures))
    found.names = arguments.positional
    return found


def logs(arguments: Arguments, session: Session) -> Result:
    """Show what a container wrote."""
    name = arguments.positional[0]
    tail = arguments.text("tail")
    document = session.inspect("containers", name)
    query = {
        "stdout": 1,
        "stderr": 1,
        "follow": arguments.on("follow"),
        "timestamps": arguments.on("timestamps"),
        "details": arguments.on("details"),
        "tail": tail,
        "since": api_time(arguments.text("since")),
        "until": api_time(arguments.text("until")),
    }
    response = session.connection.request("GET", f"/containers/{document['Id']}/logs", stream=True, query=query)
    with response, session.interruptible():
        # None: each chunk as it comes; an engine always sends logs in chunks.
        chunks = response.iter_content(None)
        if document["Config"]["Tty"]:
            for data in chunks:
                session.output.write("stdout", data)
        else:
            for stream, data in demultiplex(chunks):
                session.output.write(stream, data)
    return Result(container_id=document["Id"])


def top(arguments: Arguments, session: Session) -> Result:
    """Show the processes of a container, with the host's pids."""
    name, *options = arguments.positional
    query = {"ps_args": " ".join(options) or None}
    document = session.connection.request("GET", f"/containers/{name}/top", query=query).json()
    columns, processes = tuple(document["Titles"]), document.get("Processes") or []
    return cells_result(columns, processes, partial(align, min_width=_TOP_WIDTH))


def port(arguments: Arguments, session: Session) -> Result:
    """Show where a container's ports are published."""
    name, *wanted = arguments.positional
    ports: Mapping[str, Any] = session.inspect("containers", name)["NetworkSettings"]["Ports"] or {}
    if wanted:
        number, _, protocol = wanted[0].partition("/")
        bindings = ports.get(f"{number}/{protocol or 'tcp'}")
        if not bindings:
            raise CommandError(f"Error: No public port '{wanted[0]}' published for {name}")
        return Result(text="\n".join(_bound(binding) for binding in bindings))
    lines = [
        (int(key.partition("/")[0]), f"{key} -> {_bound(binding)}") for key in ports for binding in ports[key] or ()
    ]
    return Result(text="\n".join(line for _, line in sorted(lines)))


def diff(arguments: Arguments, session: Session) -> Result:
    """Show what changed in a container's file system: added, changed, deleted."""
    changes = session.connection.request("GET", f"/containers/{arguments.positional[0]}/changes").json() or []
    rows = [{"KIND": "CAD"[change["Kind"]], "PATH": change["Path"]} for change in changes]
    text = "\n".join(f"{row['KIND']} {row['PATH']}" for row in rows)
    return Result(text=text, columns=("KIND", "PATH"), rows=rows)


def stats(arguments: Arguments, session: Session) -> Result:
    """Show what containers use, once or until interrupted."""
    table = Table(_STATS_HEADINGS, _STATS_FIELDS, "*container.statsContext", quiet="ID")
    found = _stats_once(arguments, session, table)
    if arguments.on("no-stream"):
        return found
    with session.interruptible():
        while True:
            session.output.redraw(found.text)
            time.sleep(_STATS_PAUSE_S)
            found = _stats_once(arguments, session, table)
    return Result(columns=found.columns, rows=found.rows, as_text=found.as_text)


def _stats_once(arguments: Arguments, session: Session, table: Table) -> Result:
    names: Sequence[str] = arguments.positional
    if not names:
        listed = session.connection.request("GET", "/containers/json", query={"all": arguments.on("all")}).json()
        names = [found["Id"] for found in listed]
    if not names:
        return table.result([], template=arguments.text("format"))

    def one(name: str) -> dict[str, Any] | None:
        # Not one-shot: the engine takes two samples, from which the CPU's share follows.
        try:
            document = session.connection.request("GET", f"/containers/{name}/stats", query={"stream": False}).json()
        except EngineError as error:
            if arguments.positional or error.status_code != 404:
                raise
            return None  # it went away since it was listed
        return stats_row(document, name, truncate=not arguments.on("no-trunc"))

    with ThreadPoolExecutor(min(len(names), 8)) as pool:
        rows = [row for row in pool.map(one, names) if row is not None]
    return table.result(rows, template=arguments.text("format"))


def stats_row(document: Mapping[str, Any], name: str, *, truncate: bool = True) -> dict[str, Any]:
    """Return a container's use in the vocabulary of `docker stats --format`."""
    identifier = str(document.get("id") or name)
    memory = document.get("memory_stats") or {}
    used, limit = _memory_used(memory), memory.get("limit") or 0
    networks = (document.get("networks") or {}).values()
    received = sum(network["rx_bytes"] for network in networks)
    sent = sum(network["tx_bytes"] for network in networks)
    blocks = (document.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    read = sum(entry["value"] for entry in blocks if str(entry["op"]).lower() == "read")
    written = sum(entry["value"] for entry in blocks if str(entry["op"]).lower() == "write")
    return {
        "ID": identifier[:12] if truncate else identifier,
        "Container": name[:12] if re.fullmatch(r"[0-9a-f]{64}", name) and truncate else name,
        "Name": str(document.get("name") or "").removeprefix("/"),
        "CPUPerc": f"{_cpu_percent(document):.2f}%",
        "MemUsage": f"{humanize.binary_size(used)} / {humanize.binary_size(limit)}",
        "MemPerc": f"{used / limit * 100 if limit else 0:.2f}%",
        "NetIO": f"{humanize.size(received)} / {humanize.size(sent)}",
        "BlockIO": f"{humanize.size(read)} / {humanize.size(written)}",
        "PIDs": str((document.get("pids_stats") or {}).get("current") or 0),
    }


def _memory_used(memory: Mapping[str, Any]) -> int:
    """What is in use without the page cache that could go: cgroup v1 and v2 name it differently."""
    usage, details = memory.get("usage") or 0, memory.get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
    return int(usage - inactive if inactive < usage else usage)


def _cpu_percent(document: Mapping[str, Any]) -> float:
    now, before = document.get("cpu_stats") or {}, document.get("precpu_stats") or {}
    used = _cpu_total(now) - _cpu_total(before)
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    cores = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    return used / passed * cores * 100 if used > 0 and passed > 0 else 0.0


def _cpu_total(sample: Mapping[str, Any]) -> int:
    return int((sample.get("cpu_usage") or {}).get("total_usage") or 0)


def _bound(binding: Mapping[str, str]) -> str:
    address = binding["HostIp"]
    return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"
