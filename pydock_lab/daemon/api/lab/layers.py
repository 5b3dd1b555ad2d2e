"""An image as its instructions made it: per step the size, whether it was cached, the files it touched.

Joins three records: the image's history, its layers (store/layers.py), and the
build that made it (builder/record.py) where the engine remembers it. The shape
is what notebook/widgets/layers.js draws.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.engine.images_files import ImageFiles, Merged, waste
from pydock_lab.daemon.engine.layer_tree import LayerTree
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import chain_id
from pydock_lab.errors import NotFound

PAGE = 200
_FIRST_FILES = 12
_FIRST_ENTRIES = 120
_ALL_FIRST_ENTRIES = 1000
_FIRST_WASTED = 12
_REMEMBERED_IMAGES = 8
_NOP = "#(nop)"
_SHELL = "/bin/sh -c "


@dataclass
class _Step:
    """One line of the view and the layers behind it."""

    keyword: str
    text: str
    chain_ids: list[str] = field(default_factory=list)
    size: int = 0
    base: bool = False
    cached: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Story:
    """An image as it is remembered: what each step does to the files, and the view of it all."""

    trees: list[LayerTree]
    view: dict[str, Any]


class LayerReader:
    """Reads images for the layers view. Called from worker threads.

    Args:
        engine: Of this daemon.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        # Neither image nor build changes any more, so what was read once stays true.
        self._stories: OrderedDict[tuple[str, str], _Story] = OrderedDict()

    def document(self, name: str) -> dict[str, Any]:
        """Return the whole view of an image, with the beginning of every step's tree."""
        return {"image": name} | self._story(self._engine.images.resolve(name)).view

    def entries(self, name: str, step: int, *, directory: str, offset: int, limit: int, search: str) -> dict[str, Any]:
        """Return some entries of a directory of one step, or some paths that hold `search`, and how many there are."""
        image = self._engine.images.resolve(name)
        trees = self._story(image).trees
        if step >= len(trees):
            raise NotFound(f"{name} has no step {step}")
        limit = min(limit, 10 * PAGE)
        if not search:
            return trees[step].page(directory.rstrip("/"), offset, limit)
        found = trees[step].search(search)
        return {"entries": found[offset : offset + limit], "total": len(found)}

    def _story(self, image: Image) -> _Story:
        build = self._build_of(image)
        key = (image.id, build["id"] if build else "")
        with self._lock:
            if key in self._stories:
                self._stories.move_to_end(key)
                return self._stories[key]
        story = self._read(image, build)
        with self._lock:
            self._stories[key] = story
            while len(self._stories) > _REMEMBERED_IMAGES:
                self._stories.popitem(last=False)
        return story

    def _read(self, image: Image, build: dict[str, Any] | None) -> _Story:
        layers = self._engine.layers
        steps = self._steps(image, build)
        changes = {layer.chain_id: layers.changes(layer.chain_id) for layer in layers.stack(image.chain_id)}
        merged = ImageFiles(layers, changes.__getitem__).merge(image)
        hidden = _hidden(steps, merged)
        trees = [
            LayerTree([change for chain in step.chain_ids for change in changes[chain]], lost)
            for step, lost in zip(steps, hidden, strict=True)
        ]
        documents, left = [], _ALL_FIRST_ENTRIES
        for step, tree in zip(steps, trees, strict=True):
            first = tree.beginning(min(left, _FIRST_ENTRIES), PAGE)
            left -= sum(len(page["entries"]) for page in first.values())
            documents.append(_step_document(step, tree, first))
        lost = waste(image, merged)
        lost["wasted"] = lost["wasted"][:_FIRST_WASTED]
        view = {"id": image.id, "size": image.size, "explained": True, "steps": documents, "waste": lost}
        return _Story(trees, view)

    def _steps(self, image: Image, build: dict[str, Any] | None) -> list[_Step]:
        """The history with layers, in the words of the Dockerfile where the build is remembered."""
        steps, stack = [], self._stack(image)
        for entry in image.config.get("history") or []:
            step = _Step(*_instruction(entry.get("created_by", "")))
            if not entry.get("empty_layer") and stack:
                chain, step.size = stack.pop(0)
                step.chain_ids.append(chain)
            steps.append(step)
        steps += [_Step("layer", "", [chain], size) for chain, size in stack]  # an image without history
        return self._explained(steps, build)

    def _stack(self, image: Image) -> list[tuple[str, int]]:
        """(chain_id, size) of every layer, lowest first."""
        stack: list[tuple[str, int]] = []
        chain: str | None = None
        for diff_id in image.config["rootfs"]["diff_ids"]:
            chain = chain_id(chain, diff_id)
            stack.append((chain, self._engine.layers.get(chain).size))
        return stack

    def _build_of(self, image: Image) -> dict[str, Any] | None:
        """The latest build that came to this image."""
        builds = [b for _, b in self._engine.database.table("builds").items() if b.get("image") == image.id]
        return max(builds, key=lambda build: int(build["started_at_ns"]), default=None)

    @staticmethod
    def _explained(steps: list[_Step], build: dict[str, Any] | None) -> list[_Step]:
        """Put what the build knows onto the steps it made, and gather those below it as FROM."""
        if build is None or not build["steps"]:
            return steps
        stage = build["steps"][-1]["stage"]
        own = [step for step in build["steps"] if step["stage"] == stage]
        made = [step for step in own if step["instruction"].upper() not in ("FROM", "ARG")]
        history = [step for step in steps if step.keyword != "ARG"]
        if len(made) > len(history) or own[0]["instruction"].upper() != "FROM":
            return steps
        base, rest = history[: len(history) - len(made)], history[len(history) - len(made) :]
        origin = _Step("FROM", _arguments(own[0]["text"]), base=True)
        for step in base:
            origin.chain_ids += step.chain_ids
            origin.size += step.size
        for step, record in zip(rest, made, strict=True):
            step.keyword, step.text = record["instruction"].upper(), _arguments(record["text"])
            step.cached = record["state"] == "cached"
            step.reason = _reason(record)
        return [origin, *rest]


def _hidden(steps: list[_Step], merged: Merged) -> list[dict[str, tuple[int, int]]]:
    """For every step: path → bytes that are lost there, and the step that replaces or removes them."""
    step_of = {chain: number for number, step in enumerate(steps) for chain in step.chain_ids}
    hidden: list[dict[str, tuple[int, int]]] = [{} for _ in steps]
    for path, versions in merged.hidden.items():
        for version in versions:
            lost = hidden[step_of[version.layer]]
            if version.size:
                lost[path] = (lost.get(path, (0, 0))[0] + version.size, step_of[version.by])
    return hidden


def _step_document(step: _Step, tree: LayerTree, first: dict[str, Any]) -> dict[str, Any]:
    added, changed, deleted = tree.counts
    return {
        "keyword": step.keyword,
        "text": step.text,
        "size": step.size,
        "empty": not step.chain_ids,
        "base": step.base,
        "cached": step.cached,
        "reason": step.reason,
        "added": added,
        "changed": changed,
        "deleted": deleted,
        "wasted": tree.wasted,
        "files": [(change.kind, change.path, change.size) for change in tree.worst_first()[:_FIRST_FILES]],
        "tree": first,
    }


def _instruction(created_by: str) -> tuple[str, str]:
    """Split a history entry into keyword and arguments: what the builders write around them goes."""
    text = created_by.split("# buildkit")[0].strip()
    if text.startswith(_SHELL):
        text = text.removeprefix(_SHELL).strip()
        text = text.removeprefix(_NOP).strip() if text.startswith(_NOP) else f"RUN {text}"
    keyword, _, arguments = text.partition(" ")
    if keyword.isupper() and keyword.isalpha():
        return keyword, arguments.strip()
    return "", text  # made by no Dockerfile: an import, a commit, a stand-in


def _arguments(text: str) -> str:
    return re.sub(r"\s+", " ", text.partition(" ")[2]).strip()


def _reason(record: dict[str, Any]) -> str:
    if record["state"] == "cached":
        return "taken from the cache: nothing that it depends on has changed"
    reason = (record.get("cache") or {}).get("reason") or {}
    return f"built anew: {reason['text']}" if reason.get("text") else ""
