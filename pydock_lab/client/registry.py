"""`pydock registry …` and `%registry …`: the engine's own registry on loopback, up and down, and what it keeps.

`serve`, and `gc --root`, are a process of their own beside the engine; see daemon/registry/__main__.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from pydock_lab.client.commands.failure import EngineError, UsageError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.humanize import size
from pydock_lab.client.commands.text.tables import Table
from pydock_lab.client.lesson.ledger import Entry

PORT = 5000

WORDS = {
    "": ("down", "gc", "ls", "up"),
    "gc": ("--delete-untagged", "--dry-run", "--grace"),
    "up": ("--port",),
}
"""What may follow `registry`, and each of its commands."""

_PAGE = """Usage:  {0} COMMAND

A registry for this machine or a class

Commands:
  up [--port PORT]                    Serve on 127.0.0.1, from the engine itself
  down                                Stop serving; what was pushed stays
  ls                                  List what was pushed
  gc [--delete-untagged] [--dry-run]  Delete the blobs that no manifest names
     [--grace SECONDS]                What is younger stays; an hour unless told otherwise"""
_SERVE = "\n  serve [OPTIONS]                     Serve to others, as a process of its own; `serve --help`"


def run(words: Sequence[str], session: Session) -> Result:
    """Carry out one command line of `pydock registry`. Raises UsageError, LabError."""
    if words[:1] == ["serve"] or (words[:1] == ["gc"] and any(w.partition("=")[0] == "--root" for w in words)):
        os.execv(sys.executable, [sys.executable, "-m", "pydock_lab.daemon.registry", *words])
    return ask(words, session, program="pydock registry", more=_SERVE)


def ask(words: Sequence[str], session: Session, *, program: str, more: str = "") -> Result:
    """Carry out what the engine does itself.

    Args:
        words: The command and its flags.
        session: Of the terminal or the notebook.
        program: As the user calls it: `%registry`.
        more: Further lines of the help page.
    """
    page = _PAGE.format(program) + more
    name, flags = (words[0], list(words[1:])) if words else ("help", [])
    if name in ("help", "-h", "--help") or flags in (["--help"], ["-h"]):
        return Result(text=page)
    if name == "up":
        return _up(_port(flags, page), session)
    allowed: dict[str, set[str]] = {"down": set(), "ls": set(), "gc": {"--delete-untagged", "--dry-run"}}
    if name not in allowed:
        raise UsageError(f"{program}: unknown command: {name}\n\n{page}")
    grace_s = _taken_grace(flags, page) if name == "gc" else None
    if wrong := [flag for flag in flags if flag not in allowed[name]]:
        raise UsageError(f"{program} {name}: unknown argument: {wrong[0]}\n\n{page}")
    if name == "down":
        root = session.connection.lab_request("DELETE", "registry").json()["Root"]
        return Result(text=f"registry stopped; its images stay in {root}")
    return _ls(session) if name == "ls" else _gc(flags, grace_s, session)


def _port(flags: list[str], page: str) -> int | None:
    words = [word for flag in flags for word in flag.split("=", 1)]
    if not words:
        return None
    if len(words) != 2 or words[0] not in ("--port", "-p") or not words[1].isdecimal() or int(words[1]) > 65535:
        raise UsageError(f"registry up: --port PORT is expected\n\n{page}")
    return int(words[1])


def _taken_grace(flags: list[str], page: str) -> str | None:
    """Take `--grace SECONDS` out of the flags."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    if "--grace" not in words:
        return None
    at = words.index("--grace")
    value = words[at + 1] if at + 1 < len(words) else ""
    if not value.isdecimal():
        raise UsageError(f"registry gc: --grace SECONDS is expected\n\n{page}")
    flags[:] = words[:at] + words[at + 2 :]
    return value


def _up(port: int | None, session: Session) -> Result:
    """Serve on the port asked for; on 5000 or else any free one where none is."""
    connection = session.connection
    status = connection.lab("registry")
    if not status["Running"] or port:
        try:
            wanted = PORT if port is None else port
            status = connection.lab_request("POST", "registry", document={"Port": wanted}).json()
        except EngineError:
            if port is not None:
                raise
            status = connection.lab_request("POST", "registry", document={"Port": 0}).json()
        if connection.ledger is not None:
            connection.ledger.add(Entry("registry", status["Address"]))
    address = status["Address"]
    text = f"registry on {address}\npush to it with: docker tag IMAGE {address}/NAME, docker push {address}/NAME"
    return Result(text=text, names=(address,))


def _ls(session: Session) -> Result:
    status, images = session.connection.lab("registry"), session.connection.lab("registry/images")
    address = status["Address"]
    rows: list[dict[str, Any]] = [
        {
            "Name": f"{address}/{each['Repository']}" if address else each["Repository"],
            "Tag": each["Tag"],
            "Digest": each["Digest"],
            "Layers": str(each["Layers"]),
            "Size": size(each["Size"]),
        }
        for each in images
    ]
    headings = {"Name": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "Layers": "LAYERS", "Size": "SIZE"}
    return Table(headings, tuple(headings), "*lab.registry", quiet="Name").result(rows)


def _gc(flags: list[str], grace_s: str | None, session: Session) -> Result:
    query = {flag.removeprefix("--"): "1" for flag in flags} | ({"grace": grace_s} if grace_s else {})
    found = session.connection.lab_request("POST", "registry/gc", query=query).json()
    verb = "would be deleted" if "--dry-run" in flags else "deleted"
    lines = [f"{verb}: {name}" for name in (*found["Manifests"], *found["Blobs"])]
    total = f"{len(found['Manifests'])} manifests, {len(found['Blobs'])} blobs, {size(found['FreedBytes'])}"
    return Result(text="\n".join([*lines, total]))
