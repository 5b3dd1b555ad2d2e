"""What a build says, as events: the classic builder's stream read line by line.

Source: moby builder/dockerfile (the texts), pkg/jsonmessage (the documents).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import BuildEvent, Progress

_CHANGES, _VALUE = 3, 60
_STEP = re.compile(r"^Step (\d+)/(\d+) : (.*?)\n?$", re.DOTALL)
_RUNNING = re.compile(r"^ ---> Running in ([0-9a-f]+)\n?$")
_CACHED = re.compile(r"^ ---> Using cache\n?$")
_COMMITTED = re.compile(r"^ ---> ([0-9a-f]{12,})\n?$")
_REMOVED = re.compile(r"^Removing intermediate container ([0-9a-f]+)\n?$")
_REMOVED_LATER = re.compile(r"^ ---> Removed intermediate container ([0-9a-f]+)\n?$")
_BUILT = re.compile(r"^Successfully built ([0-9a-f]+)\n?$")
_TAGGED = re.compile(r"^Successfully tagged (.+?)\n?$")
_NOTICE = re.compile(r"^\[?(Warning|WARNING|Notice|NOTICE)\b.*", re.DOTALL)


def cache_reason(cache: Mapping[str, Any]) -> str:
    """Say why a step is in the cache or not; "" where there is nothing to learn from it.

    Args:
        cache: What pydock_lab's engine says beside the stream and keeps in the build's record.
    """
    if cache["hit"]:
        origin = cache["from"]
        where = f"step {origin['step']} of build {origin['build'][:12]}" if origin["build"] else "--cache-from"
        return f"Cached: from {where}"
    reason = cache["reason"]
    if reason["field"] in ("new", "no-cache"):
        return ""
    changes = "".join(f"; {change}" for change in map(_change, reason["changes"][:_CHANGES]) if change)
    return f"Not cached: {reason['text']}{changes}"


def _change(change: Mapping[str, str]) -> str:
    """`app.py sha256:1f0c8… → sha256:77ab2…`; ids of parents tell a reader nothing."""
    if change["name"] == "parent":
        return ""
    name = "" if change["name"] == "instruction" else f"{change['name'] or '.'}: "
    return f"{name}{_shortened(change['before'])} → {_shortened(change['after'])}"


def _shortened(value: str) -> str:
    if not value:
        return "nothing"
    if value.startswith("sha256:"):
        return value[:19]
    return value if len(value) <= _VALUE else f"{value[: _VALUE - 1]}…"


class BuildStream:
    """Reads one build.

    Attributes:
        image_id: The image built, once the engine has said so; full where it did.
    """

    def __init__(self) -> None:
        self.image_id = ""
        self._step = 0
        self._steps = 0
        self._after_step = False

    def read(self, document: Mapping[str, Any]) -> Iterator[BuildEvent | Progress]:
        """Turn one document of the stream into events.

        Raises:
            CommandError: the build failed; the message and exit status are the engine's.
        """
        if message := document.get("error"):
            detail = document.get("errorDetail") or {}
            text = str(detail.get("message") or message)
            raise CommandError(text, exit_code=int(detail.get("code") or 0) or 1, hint=detail.get("hint"))
        if "aux" in document:
            self.image_id = str((document["aux"] or {}).get("ID") or self.image_id)
        elif "stream" in document:
            text = str(document["stream"])
            if cache := document.get("cache"):
                reason = cache_reason(cache)
                yield self._made("reason", reason, raw=f" ---> {reason}\n" if reason else "")
            if text.startswith("sha256:"):  # all that a quiet build says
                self.image_id = text.strip()
            yield self._event(text)
        elif "status" in document:
            detail = document.get("progressDetail") or {}
            yield Progress(
                str(document["status"]),
                str(document.get("id") or ""),
                int(detail.get("current") or 0),
                int(detail.get("total") or 0),
            )

    def _event(self, text: str) -> BuildEvent:
        after_step, self._after_step = self._after_step, False
        if match := _STEP.match(text):
            self._step, self._steps, self._after_step = int(match[1]), int(match[2]), not text.endswith("\n")
            return self._made("step", match[3], raw=text)
        if after_step and text == "\n":  # the classic builder ends the line of a step on its own
            return self._made("output", "", raw=text)
        for kind, pattern in (
            ("running", _RUNNING),
            ("removed", _REMOVED),
            ("removed", _REMOVED_LATER),
            ("committed", _COMMITTED),
            ("built", _BUILT),
        ):
            if match := pattern.match(text):
                if kind == "built" and not self.image_id:
                    self.image_id = match[1]
                return self._made(kind, "", identifier=match[1], raw=text)
        if _CACHED.match(text):
            return self._made("cached", "", raw=text)
        if match := _TAGGED.match(text):
            return self._made("tagged", match[1], raw=text)
        return self._made("notice" if _NOTICE.match(text) else "output", text, raw=text)

    def _made(self, kind: Any, text: str, *, identifier: str = "", raw: str) -> BuildEvent:
        return BuildEvent(kind, self._step, self._steps, text, identifier, raw)
