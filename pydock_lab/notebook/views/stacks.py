"""`%lab stacks`: a virtual machine and this machine's containers, layer upon layer.

The container side is read from the running system: one kernel, its version, each
container's processes with the pid on both sides, its namespaces by inode. The
side of the virtual machine is the principle, and says so: no number of it is measured.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.picture import Picture

_TOWERS, _PROCESSES = 6, 3
_COMMAND = 40
_KINDS = {
    "mnt": "mounts",
    "pid": "process ids",
    "net": "network",
    "uts": "host name",
    "ipc": "shared memory",
    "cgroup": "cgroup root",
    "user": "user ids",
}
_MACHINE = (
    ("app", "App", "its processes, seen by the guest's kernel only"),
    ("libraries", "Programs and libraries", "a whole installed system"),
    ("guest", "Guest kernel", "one for each machine, booted"),
)


def read(connection: Connection) -> Any:
    """Ask for the containers' processes."""
    return connection.lab("processes")


def draw(document: dict[str, Any]) -> Picture:
    """Draw both stacks and the table of namespaces."""
    containers = document["containers"]
    count = plural(len(containers), "container")
    summary = f"{count} on one kernel, {document['host']['kernel']}"
    html = join(
        tag(
            "div",
            _machines(),
            _containers(document["host"], containers),
            class_="pd-two",
        ),
        tag("p", f"{summary}.", class_="pd-verdict"),
        _namespaces(document["host"], containers),
    )
    return Picture("Virtual machines and containers", "\n".join(_plain(document, summary)), html, summary)


def _plain(document: dict[str, Any], summary: str) -> list[str]:
    lines = [f"{summary}:"]
    for container in document["containers"]:
        lines.append(f"  {container['name']} ({container['image']})")
        for process in container["processes"][:_PROCESSES]:
            lines.append(f"      {_cut(process['command'])}: pid {process['inside']} inside, {process['pid']} outside")
        own, shared = _own_and_shared(container, document["host"])
        lines.append(
            f"      namespaces of its own: {', '.join(own) or 'none'}; the host's: {', '.join(shared) or 'none'}"
        )
    lines.append("A virtual machine brings a kernel of its own instead: it boots one, on hardware that is imitated.")
    return lines


def _machines() -> Markup:
    one = [
        tag("div", tag("b", title), tag("span", text), class_=f"pd-floor pd-{name}") for name, title, text in _MACHINE
    ]
    return tag(
        "section",
        tag("h3", "Virtual machines", class_="pd-title"),
        tag("p", "the principle; none runs here", class_="pd-note"),
        tag(
            "div",
            *(
                tag("div", tag("h4", f"machine {letter}", class_="pd-title"), *one, class_="pd-tower")
                for letter in "AB"
            ),
            class_="pd-towers",
        ),
        tag("div", tag("b", "Hypervisor"), tag("span", "imitates hardware for each"), class_="pd-floor pd-engine"),
        tag("div", tag("b", "Hardware"), class_="pd-floor"),
        class_="pd-stack",
    )


def _containers(host: dict[str, Any], containers: list[dict[str, Any]]) -> Markup:
    towers = [_tower(container) for container in containers[:_TOWERS]]
    if left := len(containers) - len(towers):
        towers.append(tag("p", f"and {plural(left, 'more container')}", class_="pd-note"))
    empty = tag("p", "No container runs. Start one and watch this place.", class_="pd-note")
    size = f"{plural(host['cpus'], 'CPU')}, {byte_count(host['memory_bytes'])} of memory, {host['machine']}"
    return tag(
        "section",
        tag("h3", "Containers", class_="pd-title"),
        tag("p", "as they run on this machine now", class_="pd-note"),
        tag("div", *(towers or [empty]), class_="pd-towers"),
        tag(
            "div",
            tag("b", "One kernel"),
            tag("span", f"{host['kernel']}: the same for the host and every container"),
            class_="pd-floor pd-guest",
        ),
        tag("div", tag("b", "Hardware"), tag("span", size), class_="pd-floor"),
        class_="pd-stack",
    )


def _tower(container: dict[str, Any]) -> Markup:
    processes = container["processes"]
    items = [
        tag(
            "li",
            tag("code", _cut(process["command"])),
            tag("span", f"pid {process['inside']} inside, {process['pid']} outside", class_="pd-soft"),
        )
        for process in processes[:_PROCESSES]
    ]
    if left := len(processes) - len(items):
        items.append(tag("li", f"and {left} more", class_="pd-soft"))
    return tag(
        "div",
        tag("h4", container["name"], class_="pd-title"),
        tag("ul", *items, class_="pd-floor pd-app", aria_label=f"Processes of {container['name']}"),
        tag("div", tag("b", "Files"), tag("span", container["image"]), class_="pd-floor pd-libraries"),
        class_="pd-tower",
        data_key=container["id"],
    )


def _namespaces(host: dict[str, Any], containers: list[dict[str, Any]]) -> Markup:
    """What is separate and what is shared, by the inodes that the kernel shows."""
    names = ["this host", *(container["name"] for container in containers)]
    head = tag("tr", tag("th", "Namespace", scope="col"), *(tag("th", name, scope="col") for name in names))
    rows = []
    for kind, inode in host["namespaces"].items():
        cells = [tag("td", tag("code", str(inode)))]
        for container in containers:
            own = container["namespaces"].get(kind)
            text = "not to be seen" if own is None else "the host's" if own == inode else str(own)
            same = own == inode
            cells.append(
                tag("td", text if same or own is None else tag("code", text), class_="pd-soft" if same else None)
            )
        title = tag("th", f"{kind} ", tag("span", _KINDS.get(kind, ""), class_="pd-soft"), scope="row")
        rows.append(tag("tr", title, *cells))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table pd-lines")
    return tag(
        "details",
        tag("summary", "What each container has of its own: namespaces, by inode"),
        scroll(table, "Namespaces"),
    )


def _own_and_shared(container: dict[str, Any], host: dict[str, Any]) -> tuple[list[str], list[str]]:
    own: list[str] = []
    shared: list[str] = []
    for kind, inode in host["namespaces"].items():
        (shared if container["namespaces"].get(kind) == inode else own).append(kind)
    return own, shared


def _cut(command: str) -> str:
    return command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"
