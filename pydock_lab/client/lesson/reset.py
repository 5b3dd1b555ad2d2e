"""Take away what a lesson made, and nothing else.

In the order in which things hold each other: containers, then networks and
volumes, then tags and images. What somebody else uses by now stays, and is said.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.lesson.ledger import Entry, Kind, Ledger
from pydock_lab.client.lesson.witness import image_id
from pydock_lab.spec import timestamps

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection

_ID_DIGITS = 64
_SHORT_ID = re.compile(r"\b[0-9a-f]{12}\b")
_SAME_S = 2.0
"""Docker's CreatedAt of a volume is its directory's, in whole seconds: within this it is the same volume."""

_ORDER: tuple[Kind, ...] = ("container", "network", "volume", "tag", "image", "registry")
_NOUNS: Mapping[Kind, str] = {
    "container": "container",
    "network": "network",
    "volume": "volume",
    "tag": "image",
    "image": "untagged image",
    "registry": "registry",
}


@dataclass
class Report:
    """What a reset did.

    Attributes:
        removed: By kind, the names of what is gone now and was there before.
        kept: What had to stay, each with the engine's reason.
    """

    removed: dict[Kind, list[str]] = field(default_factory=dict)
    kept: list[tuple[Entry, str]] = field(default_factory=list)

    def __str__(self) -> str:
        counts = [
            f"{len(names)} {_NOUNS[kind]}{'s' if len(names) != 1 else ''} ({', '.join(_sorted(names))})"
            for kind in _ORDER
            if (names := self.removed.get(kind))
        ]
        lines = [f"Removed {', '.join(counts)}." if counts else "There was nothing of this lesson to remove."]
        lines += [f"Kept {_NOUNS[entry.kind]} {entry.name}: {why}" for entry, why in self.kept]
        return "\n".join(lines)


def _sorted(names: list[str]) -> list[str]:
    """By name; the ids in some of them say nothing of an order."""
    return sorted(names, key=lambda name: _SHORT_ID.sub("", name))


def reset(connection: Connection, ledger: Ledger) -> Report:
    """Bring the engine back to what it was before the lesson's first command.

    Args:
        connection: To the ledger's engine.
        ledger: Of the lesson; what had to stay remains in it.
    """
    report = remove(connection, ledger.entries())
    shutil.rmtree(ledger.checkpoints, ignore_errors=True)
    ledger.keep_only(entry for entry, _ in report.kept)
    return report


def remove(connection: Connection, entries: list[Entry]) -> Report:
    """Remove what is still there of `entries`; a tag goes back to the image that had it before."""
    report = Report()
    for kind in _ORDER:
        for entry in reversed(entries):  # the newest first: an image is made from older ones
            if entry.kind != kind:
                continue
            try:
                if name := _REMOVERS[kind](connection, entry):
                    report.removed.setdefault(kind, []).append(name)
            except EngineError as error:
                if error.status_code != 404:
                    report.kept.append((entry, error.explanation))
    return report


def _container(connection: Connection, entry: Entry) -> str:
    found = connection.request("GET", f"/containers/{entry.name}/json").json()
    connection.request("DELETE", f"/containers/{entry.name}", query={"force": True, "v": True})
    return str(found["Name"].removeprefix("/"))


def _network(connection: Connection, entry: Entry) -> str:
    found = connection.request("GET", f"/networks/{entry.name}").json()
    connection.request("DELETE", f"/networks/{entry.name}")
    return str(found["Name"])


def _volume(connection: Connection, entry: Entry) -> str:
    found = connection.request("GET", f"/volumes/{entry.name}").json()
    if _created(found.get("CreatedAt")) > _created(entry.before) + _SAME_S:
        return ""  # another one by now
    connection.request("DELETE", f"/volumes/{entry.name}")
    return entry.name if len(entry.name) != _ID_DIGITS else "without a name"


def _created(text: str | None) -> float:
    """Seconds since 1970 of a volume's CreatedAt; 0 where the engine does not say."""
    return timestamps.parse(text) / 1e9 if text else 0.0


def _tag(connection: Connection, entry: Entry) -> str:
    now = image_id(connection, entry.name)
    if not now or now == entry.before:
        return ""
    if entry.before and image_id(connection, entry.before):
        repository, _, tag = entry.name.rpartition(":")
        connection.request("POST", f"/images/{entry.before}/tag", query={"repo": repository, "tag": tag})
        with contextlib.suppress(EngineError):  # it has another tag, or somebody uses it
            connection.request("DELETE", f"/images/{now}")
    else:
        connection.request("DELETE", f"/images/{entry.name}")
    return entry.name


def _image(connection: Connection, entry: Entry) -> str:
    found = connection.request("GET", f"/images/{entry.name}/json").json()
    if any(tag != "<none>:<none>" for tag in found.get("RepoTags") or ()):
        return ""  # its tags are noted by themselves
    connection.request("DELETE", f"/images/{entry.name}")
    return entry.name.removeprefix("sha256:")[:12]


def _registry(connection: Connection, entry: Entry) -> str:
    if connection.lab("registry")["Address"] != entry.name:
        return ""  # stopped, or somebody has started it anew elsewhere
    connection.lab_request("DELETE", "registry")
    return entry.name


_REMOVERS: Mapping[Kind, Callable[[Connection, Entry], str]] = {
    "container": _container,
    "network": _network,
    "volume": _volume,
    "tag": _tag,
    "image": _image,
    "registry": _registry,
}
