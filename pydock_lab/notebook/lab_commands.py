"""`%lab …`: what the lab adds to Docker's commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydock_lab.client.commands.failure import UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.notebook.answers import in_dockers_words
from pydock_lab.notebook.steady import Steady

_PAGE = """Usage:  %lab COMMAND

See what stands behind Docker's commands

Commands:
  doctor          Which boundaries between containers are real on this machine
  layers IMAGE    What each instruction of an image made: sizes, cache, files
  volume NAME     One volume's files as the host and every container see them"""


@dataclass(frozen=True)
class Lab:
    """What the commands share.

    Attributes:
        connection: To the engine.
        steady: Makes ids and times stable where outputs are compared.
        seen: Who has mounted a volume in this notebook's life, by volume; see volume_view.py.
    """

    connection: Connection
    steady: Steady
    seen: dict[str, dict[str, Any]]


def run(words: list[str], lab: Lab) -> Any:
    """Carry out one line of `%lab`.

    Raises:
        UsageError: there is no such command, or it takes other arguments.
        CommandError: the engine refused, in Docker's words.
    """
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(f"{_PAGE}\n")
        return None
    name, arguments = words[0], words[1:]
    if name not in _COMMANDS:
        raise UsageError(f"%lab: unknown command: {name}\n\n{_PAGE}")
    command, placeholder = _COMMANDS[name]
    wanted = 1 if placeholder else 0
    if len(arguments) != wanted:
        count = "1 argument" if wanted else "no arguments"
        raise UsageError(f"%lab: 'lab {name}' takes {count}\n\nUsage:  %lab {name} {placeholder}".rstrip())
    return in_dockers_words(lambda: command(lab, *arguments))


def _doctor(lab: Lab) -> None:
    from pydock_lab.notebook.doctor_view import show

    show(lab.connection)


def _layers(lab: Lab, image: str) -> None:
    from pydock_lab.notebook.layers_view import show

    show(image, lab.connection, lab.steady)


def _volume(lab: Lab, name: str) -> None:
    from pydock_lab.notebook.volume_view import show

    show(name, lab.connection, lab.steady, lab.seen.setdefault(name, {}))


_COMMANDS: Mapping[str, tuple[Callable[..., None], str]] = {
    "doctor": (_doctor, ""),
    "layers": (_layers, "IMAGE"),
    "volume": (_volume, "NAME"),
}
