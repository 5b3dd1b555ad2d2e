"""`%lab processes`: the tree of every container's processes, with the number each side knows them by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.picture import Picture

_HEADINGS = ("Process", "Pid inside", "Pid outside", "User outside")


def read(connection: Connection) -> Any:
    """Ask for the containers' processes."""
    return connection.lab("processes")


def draw(document: dict[str, Any]) -> Picture:
    """Draw one tree per container, and who shares which namespace."""
    containers = document["containers"]
    total = sum(len(container["processes"]) for container in containers)
    summary = f"{total} process{'' if total == 1 else 'es'} in {plural(len(containers), 'container')}"
    lines = [summary]
    for container in containers:
        lines.append(f"{container['name']} ({container['image']})")
        for depth, process in tree(container["processes"]):
            name = "  " * depth + process["command"]
            lines.append(f"  {name:<44} {process['inside']:>6} inside {process['pid']:>8} outside")
    for text in shared(containers):
        lines.append(text)
    notes = [tag("p", text, class_="pd-note") for text in shared(containers)]
    if not containers:
        notes = [tag("p", "No container runs. Start one and watch this place.", class_="pd-note")]
    table = _table(document["host"], containers) if containers else None
    html = join(tag("p", summary, class_="pd-title"), table, *notes)
    return Picture("Processes", "\n".join(lines), html, summary)


def tree(processes: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield processes with their depth, parents before children; a parent outside makes a root."""
    known = {process["pid"] for process in processes}
    children: dict[int, list[dict[str, Any]]] = {}
    for process in processes:
        parent = process["parent"] if process["parent"] in known else 0
        children.setdefault(parent, []).append(process)

    def below(parent: int, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for process in sorted(children.get(parent, []), key=lambda process: int(process["inside"])):
            yield depth, process
            yield from below(process["pid"], depth + 1)

    return below(0, 0)


def shared(containers: list[dict[str, Any]]) -> list[str]:
    """Say which containers are in one namespace (`--net container:…`, `--pid container:…`)."""
    users: dict[tuple[str, int], list[str]] = {}
    for container in containers:
        for kind, inode in container["namespaces"].items():
            users.setdefault((kind, inode), []).append(container["name"])
    told: dict[tuple[str, ...], list[str]] = {}
    for (kind, _), names in users.items():
        if len(names) > 1 and kind not in ("user", "cgroup"):  # these are the host's unless asked otherwise
            told.setdefault(tuple(names), []).append(kind)
    return [f"{' and '.join(names)} are in the same namespaces: {', '.join(kinds)}." for names, kinds in told.items()]


def _table(host: dict[str, Any], containers: list[dict[str, Any]]) -> Markup:
    head = tag(
        "tr", *(tag("th", name, scope="col", class_="pd-num" if name != "Process" else None) for name in _HEADINGS)
    )
    bodies = [tag("tbody", *_rows(container, host), data_key=container["id"]) for container in containers]
    table = tag("table", tag("thead", head), *bodies, class_="pd-table pd-tree pd-close")
    return scroll(table, "Processes by container")


def _rows(container: dict[str, Any], host: dict[str, Any]) -> list[Markup]:
    inodes = container["namespaces"]
    own = [kind for kind, inode in host["namespaces"].items() if inodes.get(kind) != inode]
    title = tag(
        "th",
        container["name"],
        tag(
            "span",
            f" {container['image']}; its namespaces: {', '.join(own) or 'none, all are the host’s'}",
            class_="pd-soft",
        ),
        colspan=len(_HEADINGS),
        scope="rowgroup",
    )
    rows = [tag("tr", title, class_="pd-group")]
    for depth, process in tree(container["processes"]):
        indent = f"padding-left:{1 + 1.4 * depth:.1f}em"
        branch = tag("span", "└ ", class_="pd-soft", aria_hidden="true") if depth else None
        rows.append(
            tag(
                "tr",
                tag("td", tag("span", branch, tag("code", process["command"]), style=indent)),
                tag("td", tag("b", str(process["inside"])), class_="pd-num"),
                tag("td", str(process["pid"]), class_="pd-num"),
                tag("td", str(process["user"]), class_="pd-num"),
            )
        )
    return rows
