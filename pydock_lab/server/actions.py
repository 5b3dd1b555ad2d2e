"""What the panel may do: a short list of commands, each with one name at its end.

The page names an action and an object. The words of the command come from here
and are run by the same grammar as `pydock` and the magics, so the command that
the panel shows is the one that was run. No I/O.
"""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.errors import InvalidParameter

Document = dict[str, Any]

_ALLOWED: dict[tuple[str, str], tuple[str, ...]] = {
    ("container", "start"): ("container", "start"),
    ("container", "stop"): ("container", "stop"),
    ("container", "unpause"): ("container", "unpause"),
    ("container", "remove"): ("container", "rm"),
    ("container", "kill"): ("container", "rm", "-f"),
    ("image", "remove"): ("image", "rm"),
    ("volume", "remove"): ("volume", "rm"),
    ("network", "remove"): ("network", "rm"),
}
_NAME = re.compile(r"[A-Za-z0-9][\w.:/@-]*")  # of any object; nothing that could be read as a flag

LOG_LINES = 500


def words(noun: str, act: str, name: str) -> tuple[str, ...]:
    """Return the command's words behind `docker`.

    Raises:
        InvalidParameter: it is none of the panel's, or no name.
    """
    if (noun, act) not in _ALLOWED:
        raise InvalidParameter(f"the panel has no action {noun} {act}")
    return (*_ALLOWED[noun, act], checked(name))


def logs(name: str) -> tuple[str, ...]:
    """The command that a followed log equals."""
    return "container", "logs", "-f", "--tail", str(LOG_LINES), checked(name)


def terminal(name: str) -> tuple[str, ...]:
    """The command that runs in a terminal."""
    return "container", "exec", "-it", checked(name), "sh"


def checked(name: str) -> str:
    """Return the name of an object.

    Raises:
        InvalidParameter: nothing can have this name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidParameter(f"invalid name: {name!r}")
    return name


def line(command: tuple[str, ...]) -> str:
    """The command as a learner types it."""
    return " ".join(("docker", *command))


def of_container(name: str, state: str) -> list[Document]:
    """Return what can be done with a container now.

    Args:
        name: Without a slash.
        state: As the API has it: `running`, `exited`, `created`, `paused`, …

    Returns:
        Of each action `noun`, `act`, `name`, the button's `label`, the `command` it equals, `warning` (what is
        lost, to be asked before; or None) and `enabled`.
    """
    alive = state in ("running", "paused", "restarting")
    offered = []
    if state == "paused":
        offered.append(_offer("container", "unpause", name, "Go on"))
    if alive:
        offered.append(_offer("container", "stop", name, "Stop"))
    else:
        offered.append(_offer("container", "start", name, "Start"))
    offered.append(_view("logs", logs(name), "Logs"))
    # Offered always, so that no other button takes its place under the pointer.
    offered.append(_view("terminal", terminal(name), "Terminal", enabled=state == "running"))
    loses = "Its writable layer goes with it: every file it has changed. Named volumes stay."
    if alive:
        offered.append(_offer("container", "kill", name, "Remove", f"It is {state}: its processes are killed. {loses}"))
    else:
        offered.append(_offer("container", "remove", name, "Remove", loses))
    return offered


def of_image(name: str) -> list[Document]:
    """Return what can be done with an image; `name` is a reference or an id."""
    text = "The name goes, and with the last name the layers that no other image shares."
    return [_offer("image", "remove", name, "Remove", text)]


def of_volume(name: str) -> list[Document]:
    """Return what can be done with a volume."""
    return [_offer("volume", "remove", name, "Remove", "Its data is lost: a volume has no other copy.")]


def of_network(name: str) -> list[Document]:
    """Return what can be done with a network; Docker's own three stay."""
    if name in ("bridge", "host", "none"):
        return []
    return [_offer("network", "remove", name, "Remove", "Containers that are still connected keep it in use.")]


def _offer(noun: str, act: str, name: str, label: str, warning: str | None = None) -> Document:
    return {
        "noun": noun,
        "act": act,
        "name": name,
        "label": label,
        "command": line(words(noun, act, name)),
        "warning": warning,
        "enabled": True,
    }


def _view(act: str, command: tuple[str, ...], label: str, *, enabled: bool = True) -> Document:
    return {
        "noun": "container",
        "act": act,
        "name": command[3] if act == "terminal" else command[-1],
        "label": label,
        "command": line(command),
        "warning": None,
        "enabled": enabled,
    }
