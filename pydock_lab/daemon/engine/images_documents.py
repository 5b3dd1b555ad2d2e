"""What the API says about images: list entries, inspect documents, histories.

Source: Docker Engine API 1.47 (ImageSummary, ImageInspect, HistoryResponseItem);
moby daemon/images (image_list.go, image_inspect.go, image_history.go).
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from typing import Any

from pydock_lab.daemon.engine.containers.request import EMPTY_CONFIG
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.timestamps import parse_time_ns
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import Layer
from pydock_lab.errors import InvalidParameter, NotFound
from pydock_lab.spec import timestamps
from pydock_lab.spec.reference import Reference, parse

_FILTERS = ("dangling", "label", "label!", "before", "since", "reference", "until")


class ImageDocuments:
    """Reads the image store for the API."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def list(self, filters: Filters, *, everything: bool, shared_size: bool) -> builtins.list[dict[str, Any]]:
        """Return list entries, newest first.

        Args:
            filters: dangling, label, before, since, reference, until.
            everything: Images of intermediate build steps too.
            shared_size: Count bytes that other images share; -1 stands there otherwise.

        Raises:
            InvalidParameter, NotFound: a filter is unknown, or names an image that is not there.
        """
        filters.check(_FILTERS)
        selected = self._selection(filters)
        entries = []
        for image in self._store.list():
            references = [parse(text) for text in self._store.references(image.id)]
            if not selected(image):
                continue
            if "reference" in filters:
                references = [ref for ref in references if any(matches(ref, p) for p in filters.values("reference"))]
                if not references:
                    continue
            dangling = not any(ref.tag for ref in references)
            if "dangling" in filters and dangling != filters.flag("dangling", default=False):
                continue
            # Others were made from it: an intermediate image. It is shown with `-a`, but never hangs loose.
            hidden = not everything or "dangling" in filters
            if not references and hidden and self._store.children(image.id):
                continue
            entries.append(self._entry(image, references, shared_size=shared_size))
        return entries

    def inspect(self, image: Image) -> dict[str, Any]:
        """Return the inspect document."""
        references = [parse(text) for text in self._store.references(image.id)]
        config = image.config
        document: dict[str, Any] = {
            "Id": image.id,
            "RepoTags": [ref.familiar for ref in references if ref.tag],
            "RepoDigests": [ref.familiar for ref in references if ref.digest],
            "Parent": image.parent,
            "Comment": str(config.get("comment") or _last_comment(config)),
            "Created": config.get("created") or timestamps.ZERO,
            "Container": config.get("container") or "",
            # Docker left it out at 1.45; Compose 1 still reads an image's volumes from here, whatever the version.
            "ContainerConfig": EMPTY_CONFIG | (config.get("container_config") or config.get("config") or {}),
            "DockerVersion": config.get("docker_version") or "",
            "Author": config.get("author") or "",
            "Config": EMPTY_CONFIG | (config.get("config") or {}),
            "Architecture": config.get("architecture") or "",
        }
        if config.get("variant"):
            document["Variant"] = config["variant"]
        document["Os"] = config.get("os") or "linux"
        if config.get("os.version"):
            document["OsVersion"] = config["os.version"]
        document |= {
            "Size": image.size,
            "VirtualSize": image.size,
            "GraphDriver": {"Data": _graph_driver(self._store.layers.stack(image.chain_id)), "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
            "Metadata": {"LastTagTime": timestamps.render(image.tagged_ns) if image.tagged_ns else timestamps.ZERO},
        }
        return document

    def history(self, image: Image) -> builtins.list[dict[str, Any]]:
        """Return the history, newest step first."""
        layers = self._store.layers.stack(image.chain_id)[::-1]
        steps: list[dict[str, Any]] = []
        used = 0
        for entry in image.config.get("history") or []:
            size = 0
            if not entry.get("empty_layer") and used < len(layers):
                size = layers[used].size
                used += 1
            steps.append(
                {
                    "Comment": entry.get("comment") or "",
                    "Created": _seconds(entry.get("created")),
                    "CreatedBy": entry.get("created_by") or "",
                    "Id": "<missing>",
                    "Size": size,
                    "Tags": None,
                }
            )
        steps.reverse()
        current: Image | None = image
        for step in steps:
            if current is None:
                break
            step["Id"] = current.id
            tags = [ref.familiar for ref in map(parse, self._store.references(current.id)) if ref.tag]
            step["Tags"] = tags or None
            current = self._store.get(current.parent) if current.parent in self._store else None
        return steps

    def _selection(self, filters: Filters) -> Callable[[Image], bool]:
        """The filters that look at an image alone."""
        after_ns, before_ns = -1, None
        for name in filters.values("since"):
            after_ns = max(after_ns, self._find(name).created_ns)
        for name in filters.values("before"):
            created_ns = self._find(name).created_ns
            before_ns = created_ns if before_ns is None else min(before_ns, created_ns)
        for text in filters.values("until"):
            until_ns = parse_time_ns(text)
            before_ns = until_ns if before_ns is None else min(before_ns, until_ns)

        def selected(image: Image) -> bool:
            return (
                image.created_ns > after_ns
                and (before_ns is None or image.created_ns < before_ns)
                and filters.labels(image.labels)
            )

        return selected

    def _find(self, name: str) -> Image:
        try:
            return self._store.resolve(name)
        except InvalidParameter:
            raise NotFound(f"No such image: {name}") from None

    def _entry(self, image: Image, references: builtins.list[Reference], *, shared_size: bool) -> dict[str, Any]:
        return {
            "Containers": -1,
            "Created": image.created_ns // 10**9,
            "Id": image.id,
            "Labels": (image.config.get("config") or {}).get("Labels") or None,
            "ParentId": image.parent,
            "RepoDigests": [ref.familiar for ref in references if ref.digest],
            "RepoTags": [ref.familiar for ref in references if ref.tag],
            "SharedSize": self._shared_size(image) if shared_size else -1,
            "Size": image.size,
            "VirtualSize": image.size,
        }

    def _shared_size(self, image: Image) -> int:
        """Bytes of the image's layers that other tagged or childless images have too."""
        own = {layer.chain_id: layer.size for layer in self._store.layers.stack(image.chain_id)}
        others: set[str] = set()
        for other in self._store.list():
            if other.id != image.id and not self._store.children(other.id):
                others |= {layer.chain_id for layer in self._store.layers.stack(other.chain_id)}
        return sum(size for chain, size in own.items() if chain in others)


def matches(reference: Reference, pattern: str) -> bool:
    """Whether a reference, as Docker shows it, fits a pattern: Go's path.Match, where `*` stops at a slash.

    Raises:
        InvalidParameter: it is none: a `[` that nothing closes, or a backslash at the end.
    """
    if re.search(r"\[(?![^\]]+\])|(?<!\\)(\\\\)*\\$", pattern):
        raise InvalidParameter("syntax error in pattern")
    try:
        regex = re.compile(_translate(pattern))
    except re.error:  # such as [z-a], which nothing is in
        return False
    return any(regex.fullmatch(text) for text in (reference.familiar, reference.familiar_name))


def _translate(pattern: str) -> str:
    """A pattern of Go's path.Match as a regular expression: no wildcard matches a slash, `[^…]` negates."""
    wildcards = {"*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\[\^?[^\]]+\]|\\?.", pattern)
    return "".join(
        part[0] + part[1:].replace("[", r"\[").replace("^", "^/", 1 if part[1] == "^" else 0)
        if part.startswith("[") and len(part) > 1
        else wildcards.get(part) or re.escape(part.removeprefix("\\"))
        for part in parts
    )


def _graph_driver(stack: list[Layer]) -> dict[str, str]:
    """What Docker tells of its overlay2 driver: where the layers are."""
    if not stack:
        return {}
    data = {"UpperDir": str(stack[0].path)}
    if len(stack) > 1:
        data["LowerDir"] = ":".join(str(layer.path) for layer in stack[1:])
    return data


def _last_comment(config: dict[str, Any]) -> str:
    history = config.get("history") or []
    return str(history[-1].get("comment") or "") if history else ""


def _seconds(text: str | None) -> int:
    try:
        return timestamps.parse(text or "") // 10**9
    except InvalidParameter:
        return 0
