"""The build cache: a key per step, an image per key, and the reason for every miss.

A key is the digest of a step's inputs (see `Inputs`): the step before, what the
instruction means, the ARG values it sees, and the content digests of what it
reads. Times never count, nor does it matter in which of several ways the same is
written: `COPY *.txt /` finds what `COPY a.txt /` made, as in Docker. The inputs
themselves are kept, so that a miss can say which of them changed. Rows of the
`build_cache` table:

    step:KEY          one step that was built: its inputs and its image
    files:DIGEST      path → digest of the files behind one `files` input
"""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from pydock_lab.daemon.store.database import Documents

_SHOWN = 20
_ALIKE, _COMPARED, _SHELL = 0.5, 300, "/bin/sh -c "


@dataclass(frozen=True)
class Inputs:
    """All that a step's result depends on.

    Attributes:
        parent: Image id of the step before, or "" for scratch.
        keyword: The instruction's name.
        instruction: Its text with variables expanded, as a miss shows it.
        meaning: What it does, unambiguously; two texts that mean the same have the same key.
        arguments: ARG values that it sees.
        files: Path → content digest of what it reads.
        options: What else counts: the network mode of RUN, the stage read from, SOURCE_DATE_EPOCH.
    """

    parent: str
    keyword: str
    instruction: str
    meaning: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    @cached_property
    def files_digest(self) -> str:
        """One digest for all files, "" for none."""
        if not self.files:
            return ""
        # Sorted here: msgspec's own sorting takes 0.6 s for 20,000 names in two runs that are sorted each.
        encoded = msgspec.json.encode(dict(sorted(self.files.items())))
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"

    def document(self) -> dict[str, Any]:
        """The inputs with the files' digest in place of the files."""
        return {
            "parent": self.parent,
            "keyword": self.keyword,
            "instruction": self.instruction,
            "meaning": self.meaning or self.instruction,
            "arguments": self.arguments,
            "files": self.files_digest,
            "options": self.options,
        }

    @cached_property
    def key(self) -> str:
        """The cache key, `sha256:…`."""
        counted = {name: value for name, value in self.document().items() if name != "instruction"}
        encoded = msgspec.json.encode(counted, order="deterministic")
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


@dataclass(frozen=True)
class Hit:
    """A step that was built before."""

    key: str
    image_id: str
    build: str
    step: int


@dataclass(frozen=True)
class Miss:
    """Why a step has to be built.

    Attributes:
        field: parent, base, instruction, argument, file, option, image, new or no-cache.
        text: One sentence for the learner.
        changes: What was and what is: `{"name", "before", "after"}` each; at most 20.
    """

    field: str
    text: str
    changes: Sequence[dict[str, str]] = ()


class BuildCache:
    """The steps that one data root has built."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._steps: dict[str, dict[str, Any]] | None = None

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """Key → inputs, image and origin of every step, oldest first."""
        if self._steps is None:
            rows = [(key, row) for key, row in self._documents.items() if key.startswith("step:")]
            rows.sort(key=lambda row: row[1]["at_ns"])
            self._steps = {key.removeprefix("step:"): row for key, row in rows}
        return self._steps

    def find(self, inputs: Inputs) -> Hit | None:
        """Look a step up; whether its image is still there is for the caller to see."""
        key = inputs.key
        row = self.steps.get(key)
        return None if row is None else Hit(key, row["image"], row["build"], row["step"])

    def add(self, inputs: Inputs, image_id: str, build: str, step: int) -> str:
        """Remember a step that was built; return its key."""
        key = inputs.key
        row = {**inputs.document(), "image": image_id, "build": build, "step": step, "at_ns": time.time_ns()}
        if inputs.files:
            self._documents.put(f"files:{inputs.files_digest}", inputs.files)
        self._documents.put(f"step:{key}", row)
        self.steps.pop(key, None)
        self.steps[key] = row
        return key

    def forget(self, key: str) -> None:
        """Drop a step whose image is gone."""
        self.steps.pop(key, None)
        self._documents.delete(f"step:{key}")

    def clear(self) -> list[str]:
        """Drop every step; return their keys. Images stay."""
        keys = list(self.steps)
        for row in self._documents.keys():  # noqa: SIM118 - no mapping
            self._documents.delete(row)
        self._steps = {}
        return keys

    def explain(self, inputs: Inputs, *, first: bool) -> Miss:
        """Say which field of a step that was not found differs from the nearest one that is known.

        Args:
            inputs: Of the step that missed.
            first: It stands right behind FROM, so that its parent is the base image.
        """
        document = inputs.document()
        nearest = self._nearest(document)
        if nearest is None:
            return Miss("new", f"no {inputs.keyword} step like this one has been built before")
        if _meaning(nearest) != document["meaning"]:
            change = {"name": "instruction", "before": nearest["instruction"], "after": inputs.instruction}
            return Miss("instruction", "the instruction's text changed", [change])
        if nearest["arguments"] != inputs.arguments:
            changes = _differences(nearest["arguments"], inputs.arguments)
            return Miss("argument", f"{_named('ARG', changes)} changed", changes)
        if nearest["files"] != document["files"]:
            before = self._documents.get(f"files:{nearest['files']}") or {}
            changes = _differences(before, inputs.files)
            return Miss("file", f"{_named('file', changes)} changed", changes[:_SHOWN])
        if nearest["options"] != inputs.options:
            changes = _differences(nearest["options"], inputs.options)
            return Miss("option", f"{_named('option', changes)} changed", changes)
        change = {"name": "parent", "before": nearest["parent"], "after": inputs.parent}
        if first:
            return Miss("base", "the base image is another one", [change])
        return Miss("parent", "the step before was built anew", [change])

    def _nearest(self, document: dict[str, Any]) -> dict[str, Any] | None:
        """The known step that shares most with this one; among equals the latest."""
        best: tuple[int, dict[str, Any]] | None = None
        for row in self.steps.values():
            if row["keyword"] != document["keyword"]:
                continue
            score = 2 * (row["parent"] == document["parent"]) + 2 * (_meaning(row) == document["meaning"])
            score += row["files"] == document["files"] and row["arguments"] == document["arguments"]
            nearer = score >= 2 and (best is None or score >= best[0])
            if nearer and _alike(row["instruction"], document["instruction"]):
                best = (score, row)
        return None if best is None else best[1]


def _meaning(row: dict[str, Any]) -> str:
    """What a step did; rows of earlier versions only have its text."""
    return str(row.get("meaning") or row["instruction"])


def _alike(before: str, after: str) -> bool:
    """Whether one text may be the other one edited: that another command stood there once explains nothing."""
    if before == after:
        return True
    before, after = before.removeprefix(_SHELL)[:_COMPARED], after.removeprefix(_SHELL)[:_COMPARED]
    return difflib.SequenceMatcher(None, before, after, autojunk=False).ratio() >= _ALIKE


def _differences(before: dict[str, str], after: dict[str, str]) -> list[dict[str, str]]:
    """Return the names whose values differ; "" stands for a missing one."""
    names = sorted({*before, *after})
    rows = ({"name": name, "before": before.get(name, ""), "after": after.get(name, "")} for name in names)
    return [row for row in rows if row["before"] != row["after"]]


def _named(kind: str, changes: list[dict[str, str]]) -> str:
    names = [change["name"] or "." for change in changes]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"
