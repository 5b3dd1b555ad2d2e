"""`%lab stacks`: virtual machines and this machine's containers, floor by floor, on the same host.

Both sides are read from what runs. Containers: each one's processes with the pid
on both sides, the one kernel they share, namespaces by inode. The virtual machine
is booted by `%lab stacks --boot` (machine.py) and tells its own kernel, processes
and boot time; until then its side is the principle, and says so.
The floors have the names of the course notes' table.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, bar, join, scroll, tag, with_code
from pydock_lab.notebook.machine import Machine
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.picture import Picture

_TOWERS, _PROCESSES = 4, 3
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


class Reader:
    """Asks for the containers' processes, and looks at the virtual machine.

    Args:
        machine: Of this notebook, booted or not.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __call__(self, connection: Connection) -> dict[str, Any]:
        """Return what `draw` draws."""
        document: dict[str, Any] = connection.lab("processes")
        guest = self._machine.guest if self._machine.is_running else None
        machine = guest and {
            "pid": guest.pid,
            "kernel": guest.kernel,
            "processes": [{"inside": pid, "command": command} for pid, command in guest.processes],
            "process_count": guest.process_count,
            "memory_bytes": guest.memory_bytes,
            "resident_bytes": self._machine.resident_bytes,
            "boot_ns": guest.boot_ns,
        }
        return document | {
            "machine": machine,
            "can_boot": self._machine.is_possible(),
            "container_start_ns": self._machine.container_start_ns,
        }


def draw(document: dict[str, Any]) -> Picture:
    """Draw both stacks on their common ground, what was measured, and the table of namespaces."""
    host, containers, machine = document["host"], document["containers"], document["machine"]
    count = plural(len(containers), "container")
    summary = f"{count} on one kernel, {host['kernel']}"
    if machine:
        summary += f"; beside them a virtual machine with a kernel of its own, {machine['kernel']}"
    size = f"{plural(host['cpus'], 'CPU')}, {byte_count(host['memory_bytes'])} of memory, {host['machine']}"
    users = "every container's kernel" + (", and the hypervisor's" if machine else "")
    html = join(
        tag("div", _machines(document), _containers(host, containers), class_="pd-two"),
        tag(
            "div",
            _floor("Host OS", f"{host['kernel']}: {users}", "pd-guest"),
            _floor("Infrastructure", size),
            class_="pd-ground",
        ),
        _measured(document) if machine else None,
        tag("p", f"{summary}.", class_="pd-verdict"),
        _namespaces(host, containers),
    )
    return Picture("Virtual machines and containers", "\n".join(_plain(document, summary)), html, summary)


def _plain(document: dict[str, Any], summary: str) -> list[str]:
    machine = document["machine"]
    lines = [f"{summary}{':' if machine or document['containers'] else '.'}"]
    for container in document["containers"]:
        lines.append(f"  {container['name']} ({container['image']})")
        for process in container["processes"][:_PROCESSES]:
            lines.append(f"      {_cut(process['command'])}: pid {process['inside']} inside, {process['pid']} outside")
        own, shared = _own_and_shared(container, document["host"])
        lines.append(
            f"      namespaces of its own: {', '.join(own) or 'none'}; the host's: {', '.join(shared) or 'none'}"
        )
    if not machine:
        what = "A virtual machine brings a kernel of its own instead: it boots one, on hardware that is imitated."
        return [*lines, what, _how_to_boot(document)]
    lines.append(f"  virtual machine ({machine['kernel']}), process {machine['pid']} of this host")
    for process in machine["processes"]:
        lines.append(f"      {process['command']}: pid {process['inside']} inside, not to be seen outside")
    return [*lines, *(f"  {what}: {vm}; container: {one}" for what, vm, one, _, _ in _figures(document))]


def _how_to_boot(document: dict[str, Any]) -> str:
    if document["can_boot"]:
        return "None runs here now: `%lab stacks --boot` boots one (a few seconds)."
    return "None can be booted here: user-mode Linux is not installed (Debian's package user-mode-linux)."


def _floor(name: str, text: str, kind: str = "") -> Markup:
    # The space is for pages that show no styles, such as GitHub's.
    return tag("div", tag("b", name), " ", tag("span", text), class_=f"pd-floor {kind}".strip())


def _process(command: str, pids: str) -> Markup:
    return tag("li", tag("code", _cut(command)), " ", tag("span", pids))


def _machines(document: dict[str, Any]) -> Markup:
    machine = document["machine"]
    if machine is None:
        note = tag("p", "the principle. ", *with_code(_how_to_boot(document)), class_="pd-note")
        towers = [_imagined("machine A"), _imagined("machine B")]
        hypervisor = _floor("Hypervisor", "imitates hardware, for each machine", "pd-idea")
    else:
        text = f"one booted here, in {_time(machine['boot_ns'])}; the second is the principle"
        note = tag("p", text, class_="pd-note")
        towers = [_booted(machine), _imagined("another")]
        used = f"process {machine['pid']} of this host, {byte_count(machine['resident_bytes'])}"
        hypervisor = _floor("Hypervisor", f"user-mode Linux, {used}", "pd-engine")
    return tag(
        "section",
        tag("h3", "Virtual machines", class_="pd-title"),
        note,
        tag("div", *towers, class_="pd-towers"),
        hypervisor,
        class_="pd-stack",
    )


def _imagined(name: str) -> Markup:
    return tag(
        "div",
        tag("h4", name, class_="pd-title"),
        _floor("Applications", "only the guest's kernel sees them", "pd-idea"),
        _floor("Bins/Libs", "a whole installed system", "pd-idea"),
        _floor("Guest OS", "a kernel for each, booted", "pd-idea"),
        class_="pd-tower",
    )


def _booted(machine: dict[str, Any]) -> Markup:
    items = [
        _process(process["command"], f"pid {process['inside']} inside, unseen outside")
        for process in machine["processes"]
    ]
    return tag(
        "div",
        tag("h4", "● booted here", class_="pd-title"),
        tag("ul", *items, class_="pd-floor pd-app", aria_label="Applications of the virtual machine"),
        _floor("Bins/Libs", "this host's files, read-only"),
        _floor("Guest OS", f"{machine['kernel']}, {machine['process_count']} processes", "pd-kernel"),
        class_="pd-tower",
        data_key="machine",
    )


def _containers(host: dict[str, Any], containers: list[dict[str, Any]]) -> Markup:
    towers = [_tower(container) for container in containers[:_TOWERS]]
    left = len(containers) - len(towers)
    more = f"; {left} more in the table below" if left > 0 else ""
    empty = tag("p", "No container runs. Start one and watch this place.", class_="pd-note")
    daemon = f"process {host['engine_pid']}: starts and watches them; their system calls go straight to the kernel"
    return tag(
        "section",
        tag("h3", "Containers", class_="pd-title"),
        tag("p", f"as they run on this machine now{more}", class_="pd-note"),
        tag("div", *(towers or [empty]), class_="pd-towers"),
        _floor("Docker daemon", daemon, "pd-beside"),
        class_="pd-stack",
    )


def _tower(container: dict[str, Any]) -> Markup:
    processes = container["processes"]
    items = [
        _process(process["command"], f"pid {process['inside']} inside, {process['pid']} outside")
        for process in processes[:_PROCESSES]
    ]
    if left := len(processes) - len(items):
        items.append(tag("li", f"and {left} more", class_="pd-soft"))
    return tag(
        "div",
        tag("h4", container["name"], class_="pd-title"),
        tag("ul", *items, class_="pd-floor pd-app", aria_label=f"Applications: processes of {container['name']}"),
        _floor("Bins/Libs", f"image {container['image']}"),
        class_="pd-tower",
        data_key=container["id"],
    )


def _figures(document: dict[str, Any]) -> list[tuple[str, str, str, float, float]]:
    """What was measured: (what, of the machine, of a container, and both as shares of the larger)."""
    machine, start_ns = document["machine"], document["container_start_ns"]
    figures = [("kernel", machine["kernel"], f"the host's, {document['host']['kernel']}", 0.0, 0.0)]
    if start_ns is not None:
        longest = max(machine["boot_ns"], start_ns) or 1
        figures.append(
            (
                "from start to its first process",
                _time(machine["boot_ns"]),
                _time(start_ns),
                machine["boot_ns"] / longest,
                start_ns / longest,
            )
        )
    figures.append(("memory set aside", byte_count(machine["memory_bytes"]), "none: what its processes use", 0.0, 0.0))
    figures.append(("seen by the host", "the program that it is", "each of its processes", 0.0, 0.0))
    return figures


def _measured(document: dict[str, Any]) -> Markup:
    names = ("", "Virtual machine", "Container")
    head = tag("tr", *(tag("th", name, scope="col") if name else tag("td", "") for name in names))
    rows = [
        tag(
            "tr",
            tag("th", what, scope="row"),
            tag("td", machine, bar(wide) if wide else None),
            tag("td", container, bar(narrow) if wide else None),
        )
        for what, machine, container, wide, narrow in _figures(document)
    ]
    table = tag(
        "table", tag("caption", "Measured here"), tag("thead", head), tag("tbody", *rows), class_="pd-table pd-measured"
    )
    return scroll(table, "Measured here")


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


def _time(duration_ns: int) -> str:
    return f"{duration_ns / 1e9:.1f} s" if duration_ns >= 1e9 else f"{duration_ns / 1e6:.0f} ms"


def _cut(command: str) -> str:
    return command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"
