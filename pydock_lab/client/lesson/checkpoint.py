"""Keep the state of a lesson's objects under a name, and bring it back.

Kept are files and settings: what containers wrote, what lies in volumes, which
tags name which image, how networks were made. Processes are not: a container
that ran starts anew. All of it goes through Docker's API (commit, archive), so a
real Docker's objects are kept as well. Images of a checkpoint are tagged
`lesson-checkpoint:…` and are in the ledger: a reset takes them along.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.lesson.ledger import Ledger
from pydock_lab.client.lesson.recreate import container_body, other_networks
from pydock_lab.client.lesson.reset import Report, remove
from pydock_lab.client.lesson.witness import image_id

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection

REPOSITORY = "lesson-checkpoint"
DEFAULT = "checkpoint"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,60}")
_INSIDE = "/lesson-checkpoint"  # where a volume is mounted to be copied; a path that no image has
_OF_NETWORK = ("Name", "Driver", "IPAM", "Options", "Labels", "Internal", "EnableIPv6", "Attachable")
_OF_VOLUME = ("Name", "Driver", "Labels")


def save(connection: Connection, ledger: Ledger, name: str = DEFAULT) -> str:
    """Keep the present state of what the lesson made; one of the same name is replaced.

    Args:
        connection: To the ledger's engine, which notes in `ledger` what it makes.
        ledger: Of the lesson.
        name: Of the checkpoint.

    Returns:
        What was kept, for the reader.
    """
    target = _directory(ledger, name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    kept: dict[str, list[Any]] = {"containers": [], "networks": [], "volumes": [], "tags": []}
    for entry in ledger.entries():
        if entry.kind == "tag" and not entry.name.startswith(f"{REPOSITORY}:"):
            if found := image_id(connection, entry.name):
                _hold(connection, found)
                kept["tags"].append([entry.name, found])
        elif entry.kind in ("container", "network", "volume") and (
            document := _inspect(connection, entry.kind, entry.name)
        ):
            kept[f"{entry.kind}s"].append(document)
    for document in kept["containers"]:
        if connection.request("GET", f"/containers/{document['Id']}/changes").json():
            query = {"container": document["Id"], "repo": REPOSITORY, "tag": f"{name}-{document['Id'][:12]}"}
            document["LessonImage"] = connection.request("POST", "/commit", {}, query=query).json()["Id"]
    for document in kept["volumes"]:
        _copy_out(connection, document["Name"], target / f"{document['Name']}.tar")
    (target / "kept.json").write_text(json.dumps(kept), "utf-8")
    return f"Checkpoint {name}: {_counted(kept)}."


def restore(connection: Connection, ledger: Ledger, name: str = DEFAULT) -> tuple[str, Report]:
    """Bring the state of a checkpoint back; what the lesson has made since is removed.

    Returns:
        What was brought back, for the reader, and what was removed before.

    Raises:
        CommandError: there is no such checkpoint.
    """
    source = _directory(ledger, name)
    try:
        kept: dict[str, list[Any]] = json.loads((source / "kept.json").read_text("utf-8"))
    except FileNotFoundError:
        others = ", ".join(names(ledger)) or "none yet"
        raise CommandError(
            f"Error: no such checkpoint: {name}", hint=f"there are: {others}; `%lab checkpoint` makes one"
        ) from None
    held = [entry for entry in ledger.entries() if entry.kind in ("tag", "image", "registry")]
    wanted = {tag for tag, _ in kept["tags"]}
    gone = [entry for entry in ledger.entries() if not _stays(entry.kind, entry.name, wanted)]
    report = remove(connection, gone)
    ledger.keep_only([*held, *(entry for entry, _ in report.kept)])
    for document in kept["networks"]:
        body = {key: document[key] for key in _OF_NETWORK if key in document}
        connection.request("POST", "/networks/create", body | {"CheckDuplicate": True})
    for document in kept["volumes"]:
        body = {key: document[key] for key in _OF_VOLUME} | {"DriverOpts": document.get("Options")}
        connection.request("POST", "/volumes/create", body)
        _copy_in(connection, document["Name"], source / f"{document['Name']}.tar")
    for tag, image in kept["tags"]:
        repository, _, word = tag.rpartition(":")
        connection.request("POST", f"/images/{image}/tag", query={"repo": repository, "tag": word})
    _recreate(connection, kept["containers"])
    return f"Restored {name}: {_counted(kept)}.", report


def names(ledger: Ledger) -> list[str]:
    """The lesson's checkpoints."""
    return sorted(path.parent.name for path in ledger.checkpoints.glob("*/kept.json"))


def _directory(ledger: Ledger, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise CommandError(f"Error: invalid checkpoint name {name}: only letters, digits and `_.-` are allowed")
    return ledger.checkpoints / name


def _stays(kind: str, name: str, wanted: set[str]) -> bool:
    return kind in ("image", "registry") or (kind == "tag" and (name in wanted or name.startswith(f"{REPOSITORY}:")))


def _inspect(connection: Connection, kind: str, name: str) -> dict[str, Any] | None:
    path = f"/{kind}s/{name}" + ("/json" if kind == "container" else "")
    try:
        document: dict[str, Any] = connection.request("GET", path).json()
    except EngineError as error:
        if error.status_code != 404:
            raise
        return None
    return document


def _hold(connection: Connection, image: str) -> None:
    """Tag an image, so that it stays when its own tag goes."""
    query = {"repo": REPOSITORY, "tag": image.removeprefix("sha256:")[:12]}
    connection.request("POST", f"/images/{image}/tag", query=query)


def _recreate(connection: Connection, documents: list[dict[str, Any]]) -> None:
    """Make the containers again, the oldest first, and start those that ran, in the order in which they had."""
    fresh: dict[str, str] = {}
    for document in documents:
        body = container_body(document, fresh)
        answer = connection.request(
            "POST", "/containers/create", body, query={"name": document["Name"].removeprefix("/")}
        )
        fresh[document["Id"]] = container_id = answer.json()["Id"]
        for network, endpoint in other_networks(document).items():
            connect = {"Container": container_id, "EndpointConfig": endpoint}
            connection.request("POST", f"/networks/{network}/connect", connect)
    for document in sorted(documents, key=lambda each: str(each["State"]["StartedAt"])):
        if document["State"]["Running"]:
            connection.request("POST", f"/containers/{fresh[document['Id']]}/start")
        if document["State"]["Paused"]:
            connection.request("POST", f"/containers/{fresh[document['Id']]}/pause")


@contextmanager
def _beside(connection: Connection, volume: str) -> Iterator[str]:
    """A container that is never started and has the volume: the API reads and writes files of containers only."""
    images = connection.request("GET", "/images/json").json()
    if not images:
        raise CommandError("Error: a volume can't be copied without any image", hint="`%image pull alpine` gets one")
    body = {"Image": images[0]["Id"], "Cmd": ["true"], "HostConfig": {"Binds": [f"{volume}:{_INSIDE}:nocopy"]}}
    container_id: str = connection.request("POST", "/containers/create", body).json()["Id"]
    try:
        yield container_id
    finally:
        connection.request("DELETE", f"/containers/{container_id}", query={"v": True})


def _copy_out(connection: Connection, volume: str, target: Path) -> None:
    with _beside(connection, volume) as container_id:
        path, query = f"/containers/{container_id}/archive", {"path": f"{_INSIDE}/."}
        with connection.request("GET", path, query=query, stream=True) as answer, target.open("wb") as file:
            for piece in answer.iter_content():
                file.write(piece)


def _copy_in(connection: Connection, volume: str, source: Path) -> None:
    with _beside(connection, volume) as container_id, source.open("rb") as file:
        pieces = iter(lambda: file.read(65536), b"")
        headers = {"Content-Type": "application/x-tar"}
        path, query = f"/containers/{container_id}/archive", {"path": _INSIDE}
        connection.request("PUT", path, body=pieces, headers=headers, query=query)


def _counted(kept: Mapping[str, list[Any]]) -> str:
    words = {"containers": "container", "networks": "network", "volumes": "volume", "tags": "image"}
    counts = [f"{len(kept[key])} {word}{'s' if len(kept[key]) != 1 else ''}" for key, word in words.items()]
    return ", ".join(counts)
