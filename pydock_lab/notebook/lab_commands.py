"""`%lab …`: what the lab adds to Docker's commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydock_lab.client.commands.failure import UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.client.lesson.ledger import Ledger
from pydock_lab.notebook.machine import Machine
from pydock_lab.notebook.steady import Steady

_PAGE = """Usage:  %lab COMMAND

See what stands behind Docker's commands

Commands:
  checkpoint [NAME]     Keep the files and settings of what this notebook made
  compose [PROJECT]     The services of a Compose project and what they wait for
  doctor                Which boundaries between containers are real on this machine
  events                What has happened in the last minutes, on a line of time
  explain CONTAINER     What the engine did to start a container, step by step
  instances IMAGE       One image, and what each of its containers wrote for itself
  layers IMAGE          What each instruction of an image made: sizes, cache, files
  network               Who is on which network, and which ports lead in
  processes             Containers' processes, with the pid on either side
  requests COMMAND...   What a docker command asks of the engine, and what that does
  reset                 Remove what this notebook made, and nothing else
  restore [NAME]        Bring a checkpoint back
  source FILE:NAME      The lines of this package that do something
  stacks [--boot|--off] Virtual machines and this machine's containers, side by side
  stats                 What each container uses, now and in the last minute
  storage CONTAINER     Where a container's files live, and what rm takes
  volume NAME           One volume's files as the host and every container see them"""


@dataclass(frozen=True)
class Lab:
    """What the commands share.

    Attributes:
        connection: To the engine.
        steady: Makes ids and times stable where outputs are compared.
        seen: Who has mounted a volume in this notebook's life, by volume; see views/volume.py.
        machine: A virtual machine to compare containers with; booted when asked for.
        docker: Runs a docker command line and shows what it comes to.
    """

    connection: Connection
    steady: Steady
    seen: dict[str, dict[str, Any]]
    machine: Machine
    docker: Callable[[list[str]], Any]


@dataclass(frozen=True)
class _Command:
    """One command.

    Attributes:
        function: Carries it out.
        arguments: As the usage line shows them.
        least, most: How many; None where there is no limit.
    """

    function: Callable[..., None]
    arguments: str = ""
    least: int = 0
    most: int | None = 0


def run(words: list[str], lab: Lab) -> None:
    """Carry out one line of `%lab`.

    Raises:
        UsageError: there is no such command, or it takes other arguments.
        CommandError: the engine refused, in Docker's words.
    """
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(f"{_PAGE}\n")
        return
    name, arguments = words[0], words[1:]
    if name not in _COMMANDS:
        raise UsageError(f"%lab: unknown command: {name}\n\n{_PAGE}")
    command = _COMMANDS[name]
    if len(arguments) < command.least or (command.most is not None and len(arguments) > command.most):
        needs = {(0, 0): "no arguments", (1, 1): "1 argument"}.get(
            (command.least, command.most or 0), "other arguments"
        )
        raise UsageError(f"%lab: 'lab {name}' takes {needs}\n\nUsage:  %lab {name} {command.arguments}".rstrip())
    command.function(lab, *arguments)


def _doctor(lab: Lab) -> None:
    from pydock_lab.notebook.views.doctor import show

    show(lab.connection, lab.steady)


def _layers(lab: Lab, image: str) -> None:
    from pydock_lab.notebook.views.layers import show

    show(image, lab.connection, lab.steady)


def _volume(lab: Lab, name: str) -> None:
    from pydock_lab.notebook.views.volume import show

    show(name, lab.connection, lab.steady, lab.seen.setdefault(name, {}))


def _stacks(lab: Lab, flag: str = "") -> None:
    from pydock_lab.notebook.views import container_start, picture, stacks

    if flag not in ("", "--boot", "--off"):
        raise UsageError(f"%lab: unknown flag: {flag}\n\nUsage:  %lab stacks [--boot|--off]")
    if flag == "--boot":
        lab.machine.boot()
        lab.machine.container_start_ns = container_start.measure(lab.connection)
    elif flag == "--off":
        lab.machine.stop()
    picture.show_live(stacks.Reader(lab.machine), stacks.draw, lab.connection, lab.steady)


def _processes(lab: Lab) -> None:
    from pydock_lab.notebook.views import picture, processes

    picture.show_live(processes.read, processes.draw, lab.connection, lab.steady)


def _network(lab: Lab) -> None:
    from pydock_lab.notebook.views import network_map, picture

    picture.show_live(network_map.read, network_map.draw, lab.connection, lab.steady)


def _events(lab: Lab) -> None:
    from pydock_lab.notebook.views import picture, timeline

    picture.show_live(timeline.read, timeline.draw, lab.connection, lab.steady)


def _source(lab: Lab, where: str) -> None:
    from pydock_lab.notebook.views import picture
    from pydock_lab.notebook.views import source as source_view

    picture.show_still(source_view.draw(source_view.find(where)), lab.steady)


def _stats(lab: Lab) -> None:
    from pydock_lab.notebook.views import picture, stats

    picture.show_live(stats.Reader(), stats.draw, lab.connection, lab.steady, fresh=stats.Reader())


def _instances(lab: Lab, image: str) -> None:
    from pydock_lab.notebook.views import instances, picture

    picture.show_live(lambda connection: instances.read(connection, image), instances.draw, lab.connection, lab.steady)


def _storage(lab: Lab, container: str) -> None:
    from pydock_lab.notebook.views import picture, storage

    first = storage.Reader(container)
    picture.show_live(first, storage.draw, lab.connection, lab.steady, fresh=first)


def _compose(lab: Lab, project: str = "") -> None:
    from pydock_lab.notebook.views import picture, projects

    picture.show_live(lambda connection: projects.read(connection, project), projects.draw, lab.connection, lab.steady)


def _explain(lab: Lab, container: str) -> None:
    explain(container, container, lab.connection, lab.steady)


def explain(name: str, container: str, connection: Connection, steady: Steady) -> None:
    """Show how a container was started.

    Args:
        name: For the reader.
        container: Its name, or its full id if it may be removed already.
        connection: To the engine.
        steady: Makes ids and times stable where outputs are compared.
    """
    from pydock_lab.notebook.views import launch, picture

    picture.show_still(launch.draw(name, steady.data(launch.read(connection, container))), steady)


def _requests(lab: Lab, *words: str) -> None:
    from pydock_lab.notebook.views import picture, requests

    command = list(words[1:] if words[0] == "docker" else words)
    past = lab.connection.lab("trace")
    try:
        lab.docker(command)
    finally:
        events = lab.connection.lab("trace", since=str(past[-1]["seq"] if past else 0))
        picture.show_still(requests.draw(" ".join(command), lab.steady.data(requests.rows(events))), lab.steady)


def _reset(lab: Lab) -> None:
    from pydock_lab.client.lesson.reset import reset

    report = reset(lab.connection, _ledger(lab))
    report.removed = lab.steady.data(report.removed)
    lab.seen.clear()
    _say(lab, str(report))


def _checkpoint(lab: Lab, *name: str) -> None:
    from pydock_lab.client.lesson.checkpoint import save

    _say(lab, save(lab.connection, _ledger(lab), *name))


def _restore(lab: Lab, *name: str) -> None:
    from pydock_lab.client.lesson.checkpoint import restore

    said, report = restore(lab.connection, _ledger(lab), *name)
    if report.kept:
        _say(lab, str(report))
    _say(lab, f"{said} Containers that ran have started anew.")


def _ledger(lab: Lab) -> Ledger:
    ledger = lab.connection.ledger
    assert ledger is not None, "a notebook's connection has a ledger"
    return ledger


def _say(lab: Lab, text: str) -> None:
    sys.stdout.write(f"{lab.steady.text(text)}\n")


_COMMANDS: Mapping[str, _Command] = {
    "checkpoint": _Command(_checkpoint, "[NAME]", most=1),
    "compose": _Command(_compose, "[PROJECT]", most=1),
    "doctor": _Command(_doctor),
    "events": _Command(_events),
    "explain": _Command(_explain, "CONTAINER", 1, 1),
    "instances": _Command(_instances, "IMAGE", 1, 1),
    "layers": _Command(_layers, "IMAGE", 1, 1),
    "network": _Command(_network),
    "processes": _Command(_processes),
    "requests": _Command(_requests, "COMMAND [ARG...]", 1, None),
    "reset": _Command(_reset),
    "restore": _Command(_restore, "[NAME]", most=1),
    "source": _Command(_source, "FILE:NAME", 1, 1),
    "stacks": _Command(_stacks, "[--boot|--off]", most=1),
    "stats": _Command(_stats),
    "storage": _Command(_storage, "CONTAINER", 1, 1),
    "volume": _Command(_volume, "NAME", 1, 1),
}


def names() -> list[str]:
    """The commands' names, for completion."""
    return sorted(_COMMANDS)
