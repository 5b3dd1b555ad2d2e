"""Sees the requests of a lesson's commands and notes in its ledger what they make.

It asks the engine only what it must: whether a volume or tag was there before,
and which volumes a new container got. Images pulled from Docker Hub are not
noted: they are copies of what lies elsewhere, and the next lesson wants them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.lesson.ledger import Entry, Ledger
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import reference

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection
    from pydock_lab.client.wire import Response

Noted = Callable[["Response"], None]

_HUB = "docker.io"
_LOADED = re.compile(r"Loaded image( ID)?: (\S+)")


def watch(
    connection: Connection, ledger: Ledger, path: str, document: Any, query: Mapping[str, Any] | None
) -> Noted | None:
    """Look at a POST before it is sent.

    Args:
        connection: Asks the engine.
        ledger: Of the lesson.
        path: Without the version.
        document: JSON body, or None.
        query: Parameters of the URL.

    Returns:
        What to call with the answer, or None where nothing is made.
    """
    query = query or {}
    if path == "/containers/create":
        return _container(connection, ledger, document)
    if path == "/volumes/create":
        known = _volume(connection, document.get("Name") or "")
        return lambda answer: None if known else ledger.add(_volume_entry(answer.json()))
    if path == "/networks/create":
        return lambda answer: ledger.add(Entry("network", answer.json()["Id"]))
    tags = list(_tags(path, query))
    if not tags and path != "/commit":
        return None
    entries = [Entry("tag", tag, image_id(connection, tag)) for tag in tags]

    def noted(answer: Response) -> None:
        made = [Entry("image", answer.json()["Id"])] if path == "/commit" else []
        ledger.add(*entries, *made)

    return noted


def loading(connection: Connection) -> Callable[[Iterable[dict[str, Any]]], Iterable[dict[str, Any]]]:
    """What to let the answer to a `load` pass through: it tells which tags were in the archive, not the request."""
    ledger = connection.ledger
    if ledger is None:
        return lambda events: events
    images = connection.request("GET", "/images/json").json()
    known = {image["Id"] for image in images}
    before = {tag: image["Id"] for image in images for tag in image.get("RepoTags") or ()}

    def noted(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for event in events:
            if found := _LOADED.match(str(event.get("stream", ""))):
                untagged, name = found.groups()
                if not untagged:
                    ledger.add(Entry("tag", name, before.get(name, "")))
                elif name not in known:
                    ledger.add(Entry("image", name))
            yield event

    return noted


def image_id(connection: Connection, name: str) -> str:
    """The id of an image, or "" if there is none of this name."""
    try:
        return str(connection.request("GET", f"/images/{name}/json").json()["Id"])
    except EngineError as error:
        if error.status_code != 404:
            raise
        return ""


def _container(connection: Connection, ledger: Ledger, body: Mapping[str, Any]) -> Noted:
    host = body.get("HostConfig") or {}
    named = {bind.partition(":")[0] for bind in host.get("Binds") or () if not bind.startswith("/")}
    named |= {mount["Source"] for mount in host.get("Mounts") or () if _names_volume(mount)}
    known = {name for name in named if _volume(connection, name)}
    borrows = bool(host.get("VolumesFrom"))

    def noted(answer: Response) -> None:
        container_id = answer.json()["Id"]
        ledger.add(Entry("container", container_id))
        for mount in connection.request("GET", f"/containers/{container_id}/json").json()["Mounts"]:
            name = mount.get("Name", "")
            if mount["Type"] != "volume" or name in known or (borrows and name not in named):
                continue
            if found := _volume(connection, name):
                ledger.add(_volume_entry(found))

    return noted


def _names_volume(mount: Mapping[str, Any]) -> bool:
    return mount.get("Type") == "volume" and bool(mount.get("Source"))


def _volume(connection: Connection, name: str) -> dict[str, Any] | None:
    if not name:
        return None
    try:
        found: dict[str, Any] = connection.request("GET", f"/volumes/{name}").json()
    except EngineError as error:
        if error.status_code not in (400, 404):  # 400: no name of a volume, which the request itself will be told
            raise
        return None
    return found


def _volume_entry(document: Mapping[str, Any]) -> Entry:
    return Entry("volume", document["Name"], document.get("CreatedAt") or "")


def _tags(path: str, query: Mapping[str, Any]) -> Iterator[str]:
    """The tags that a request will set."""
    if path == "/build":
        for tag in query.get("t") or ():
            yield from _familiar(tag)
    elif path == "/images/create" and (name := query.get("fromImage")):
        tag = query.get("tag") or "latest"
        if "@" not in name and ":" not in tag and not name.startswith(f"{_HUB}/"):
            yield from (found for found in _familiar(f"{name}:{tag}") if reference.parse(found).domain != _HUB)
    elif (path in ("/commit", "/images/create") or path.endswith("/tag")) and (repository := query.get("repo")):
        yield from _familiar(f"{repository}:{query.get('tag') or 'latest'}")


def _familiar(tag: str) -> Iterator[str]:
    try:
        yield reference.parse(tag).familiar
    except InvalidParameter:
        return  # the engine will say so
