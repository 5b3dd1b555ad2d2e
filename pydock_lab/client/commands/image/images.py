"""Images: `ls`, `rm`, `tag`, `inspect`, `history`, `prune`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.list import ellipsis
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.container.run import each_named
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import confirmed, filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import reference

_HEADINGS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
_FIELDS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
_WITH_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
_HISTORY_HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_HISTORY_FIELDS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_CREATED_BY_WIDTH = 45
_NONE = "<none>"


def ls(arguments: Arguments, session: Session) -> Result:
    """List images, one row for each name."""
    wanted = {"reference": [arguments.positional[0]]} if arguments.positional else {}
    digests = arguments.on("digests")
    query = {"all": arguments.on("all"), "filters": filters_json(arguments, **wanted), "digests": digests or None}
    documents = session.connection.request("GET", "/images/json", query=query).json()
    truncate = not arguments.on("no-trunc")
    with_digests = digests or ".Digest" in arguments.text("format")
    rows = [row for document in documents for row in image_rows(document, truncate=truncate, with_digests=with_digests)]
    table = Table(_HEADINGS, _WITH_DIGESTS if digests else _FIELDS, "*formatter.imageContext")
    found = table.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = documents
    return found


def image_rows(
    document: Mapping[str, Any], *, truncate: bool = True, with_digests: bool = False
) -> list[dict[str, Any]]:
    """Return a row for each name of an image in the vocabulary of `docker images --format`."""
    names = [_name_and_tag(name) for name in document.get("RepoTags") or () if name != "<none>:<none>"]
    digests = dict(name.split("@", 1) for name in document.get("RepoDigests") or () if "@" in name)
    digests.pop(_NONE, None)
    identifier = document["Id"].removeprefix("sha256:")[:12] if truncate else document["Id"]
    base = {
        "ID": identifier,
        "CreatedSince": humanize.ago(time.time() - document["Created"]),
        "CreatedAt": humanize.local_time(document["Created"]),
        "Size": humanize.size(document["Size"]),
        "VirtualSize": humanize.size(document.get("VirtualSize") or document["Size"], precision=4),
        "Containers": _count(document.get("Containers")),
        "SharedSize": _room(document.get("SharedSize")),
        "UniqueSize": _room(document["Size"] - document["SharedSize"] if document.get("SharedSize", -1) >= 0 else -1),
    }
    if names:
        return [
            base | {"Repository": name, "Tag": tag, "Digest": digests.get(name, _NONE) if with_digests else _NONE}
            for name, tag in names
        ]
    if digests:
        return [base | {"Repository": name, "Tag": _NONE, "Digest": digest} for name, digest in digests.items()]
    return [base | {"Repository": _NONE, "Tag": _NONE, "Digest": _NONE}]


def remove(arguments: Arguments, session: Session) -> Result:
    """Take names away from images, and images without names."""
    query = {"force": arguments.on("force"), "noprune": arguments.on("no-prune")}

    def one(name: str) -> None:
        for change in session.connection.request("DELETE", f"/images/{name}", query=query).json():
            for action, what in change.items():
                session.say(f"{action}: {what}")

    return each_named(arguments.positional, session, one, say=False)


def tag(arguments: Arguments, session: Session) -> Result:
    """Give an image another name."""
    source, target = arguments.positional
    try:
        wanted = reference.parse(target)
    except InvalidParameter as error:
        message = f'Error parsing reference: "{target}" is not a valid repository/tag: {error.message}'
        raise CommandError(message) from None
    query = {"repo": wanted.familiar_name, "tag": wanted.tag}
    session.connection.request("POST", f"/images/{source}/tag", query=query)
    return Result(names=(wanted.familiar,))


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show images as the API describes them."""
    return inspect_each(arguments, session, lambda name: session.inspect("images", name))


def history(arguments: Arguments, session: Session) -> Result:
    """Show how an image was made, the latest step first."""
    documents = session.connection.request("GET", f"/images/{arguments.positional[0]}/history").json()
    truncate, human = not arguments.on("no-trunc"), arguments.on("human")
    rows = []
    for step in documents:
        made_by = str(step.get("CreatedBy") or "").replace("\t", " ")
        identifier = str(step["Id"])
        rows.append(
            {
                "ID": identifier.removeprefix("sha256:")[:12] if truncate and identifier != "<missing>" else identifier,
                "CreatedSince": _step_age(step["Created"], human=human),
                "CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(step["Created"], 0))),
                "CreatedBy": ellipsis(made_by, _CREATED_BY_WIDTH) if truncate else made_by,
                "Size": humanize.size(step["Size"]) if human else str(step["Size"]),
                "Comment": step.get("Comment") or "",
            }
        )
    table = Table(_HISTORY_HEADINGS, _HISTORY_FIELDS, "*formatter.historyContext")
    found = table.result(rows, template=arguments.text("format"), quiet=arguments.on("quiet"))
    found.documents = list(documents)
    return found


def prune(arguments: Arguments, session: Session) -> Result:
    """Remove images that nothing uses: those without a name, or with `-a` all."""
    everything = arguments.on("all")
    which = "all images without at least one container associated to them." if everything else "all dangling images."
    if not confirmed(arguments, session, f"This will remove {which}"):
        return Result()
    filters = json.loads(filters_json(arguments, dangling=["false" if everything else "true"]) or "{}")
    answer = session.connection.request("POST", "/images/prune", query={"filters": json.dumps(filters)}).json()
    return Result(text=pruned_images(answer), documents=[answer])


def pruned_images(answer: Mapping[str, Any]) -> str:
    """Say what an image prune took."""
    lines: list[str] = []
    for change in answer.get("ImagesDeleted") or ():
        lines += [f"{action.lower()}: {what}" for action, what in change.items()]
    if lines:
        lines = ["Deleted Images:", *lines, ""]
    lines.append(f"Total reclaimed space: {humanize.size(answer.get('SpaceReclaimed') or 0, precision=4)}")
    return "\n".join(lines)


def _name_and_tag(name: str) -> tuple[str, str]:
    repository, _, tag_name = name.rpartition(":")
    return repository, tag_name


def _step_age(created: int, *, human: bool) -> str:
    if created <= 0:
        return "N/A"
    if not human:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created))
    return humanize.ago(time.time() - created)


def _count(number: int | None) -> str:
    return "N/A" if number is None or number < 0 else str(number)


def _room(size: int | None) -> str:
    return "N/A" if size is None or size < 0 else humanize.size(size, precision=4)
