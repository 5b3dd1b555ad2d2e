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
from pydock_lab.daemon.engine.images_files import ImageFiles
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Change, chain_id
from pydock_lab.errors import NotFound

PAGE = 200
_FIRST_FILES = 200
_ALL_FIRST_FILES = 2000
_FIRST_WASTED = 12
_REMEMBERED_LAYERS = 64
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


class LayerReader:
    """Reads images for the layers view. Called from worker threads.

    Args:
        engine: Of this daemon.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        # Layers never change, so what was compared once stays true.
        self._changes: OrderedDict[str, list[Change]] = OrderedDict()

    def document(self, name: str) -> dict[str, Any]:
        """Return the whole view of an image, with the first files of every step."""
        image = self._engine.images.resolve(name)
        documents, left = [], _ALL_FIRST_FILES
        for step in self._steps(image):
            documents.append(self._step_document(step, min(left, _FIRST_FILES)))
            left -= len(documents[-1]["files"])
        view = {"image": name, "id": image.id, "size": image.size, "explained": True, "steps": documents}
        return view | {"waste": self._waste(image)}

    def _waste(self, image: Image) -> dict[str, Any]:
        """Bytes that no container sees, and the worst paths; one layer hides nothing of another."""
        if len(image.config["rootfs"]["diff_ids"]) < 2:
            return {"wasted_bytes": 0, "efficiency": 1.0, "wasted": [], "wasted_paths": 0}
        waste = ImageFiles(self._engine.layers, self._of_layer).waste(image)
        return waste | {"wasted": waste["wasted"][:_FIRST_WASTED]}

    def files(
        self, name: str, step: int, *, offset: int, limit: int, search: str
    ) -> tuple[list[tuple[str, str, int]], int]:
        """Return some files of one step and how many there are; `search` is looked for in the path."""
        steps = self._steps(self._engine.images.resolve(name))
        if step >= len(steps):
            raise NotFound(f"{name} has no step {step}")
        found = [change for change in self._of_step(steps[step]) if search.lower() in change.path.lower()]
        page = found[offset : offset + min(limit, 10 * PAGE)]
        return [(change.kind, change.path, change.size) for change in page], len(found)

    def _step_document(self, step: _Step, files: int) -> dict[str, Any]:
        changes = self._of_step(step)
        counts = {kind: sum(change.kind == kind for change in changes) for kind in "ACD"}
        return {
            "keyword": step.keyword,
            "text": step.text,
            "size": step.size,
            "empty": not step.chain_ids,
            "base": step.base,
            "cached": step.cached,
            "reason": step.reason,
            "added": counts["A"],
            "changed": counts["C"],
            "deleted": counts["D"],
            "files": [(change.kind, change.path, change.size) for change in changes[:files]],
        }

    def _steps(self, image: Image) -> list[_Step]:
        """The history with layers, in the words of the Dockerfile where the build is remembered."""
        steps, stack = [], self._stack(image)
        for entry in image.config.get("history") or []:
            step = _Step(*_instruction(entry.get("created_by", "")))
            if not entry.get("empty_layer") and stack:
                chain, step.size = stack.pop(0)
                step.chain_ids.append(chain)
            steps.append(step)
        steps += [_Step("layer", "", [chain], size) for chain, size in stack]  # an image without history
        return self._explained(steps, self._build_of(image))

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

    def _of_step(self, step: _Step) -> list[Change]:
        """Deleted and changed paths first, then the largest files."""
        changes = [change for chain in step.chain_ids for change in self._of_layer(chain)]
        return sorted(changes, key=lambda change: ("DCA".index(change.kind), -change.size, change.path))

    def _of_layer(self, chain: str) -> list[Change]:
        with self._lock:
            if chain in self._changes:
                self._changes.move_to_end(chain)
                return self._changes[chain]
        changes = self._engine.layers.changes(chain)
        with self._lock:
            self._changes[chain] = changes
            while len(self._changes) > _REMEMBERED_LAYERS:
                self._changes.popitem(last=False)
        return changes


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
