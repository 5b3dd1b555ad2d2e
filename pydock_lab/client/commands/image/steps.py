"""`image at`: an image's steps by number; each can be run, and what it changed be looked at.

Docker has no such command: it shows the history and no way back into it.
"""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.container.list import ellipsis
from pydock_lab.client.commands.failure import UsageError
from pydock_lab.client.commands.grammar import find
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.usage import usage_line

_RANGE = re.compile(r"(\d+)(?:\.\.(\d+))?")
_KINDS = "CAD"
_WIDTH = 60


def at(arguments: Arguments, session: Session) -> Result:
    """List the steps of an image, run one of them, or show what some of them changed."""
    image, *words = arguments.positional
    if arguments.on("diff"):
        ranges = [_range(arguments, word) for word in words]
        if len(ranges) not in (1, 2):
            raise _misused(arguments, "--diff takes a step or a range of steps (2..5), or two of them")
        changes = [_changes(session, image, *each) for each in ranges]
        return _one(changes[0]) if len(changes) == 1 else _two(words[0], words[1], changes[0], changes[1])
    if not words:
        return _steps(session, image)
    number, last = _range(arguments, words[0])
    if last != number:
        raise _misused(arguments, "a range of steps can be looked at with --diff; only one step can be run")
    found = session.connection.lab_request("POST", f"images/{image}/steps/{number}").json()
    command = words[1:]
    if not command and not arguments.has("interactive") and not arguments.has("tty"):
        return Result(text=found["Id"], image_id=found["Id"])
    flags = [f"--{name}" for name in ("interactive", "tty") if arguments.on(name)]
    run, rest = find(["run", "--rm", *flags, found["Id"], *command], program=arguments.command.program)
    return run.function(parse(run, rest), session)


def _steps(session: Session, image: str) -> Result:
    rows = [
        {
            "STEP": str(step["number"]),
            "CREATED BY": ellipsis(" ".join(step["created_by"].split()), _WIDTH),
            "SIZE": "-" if step["empty"] else humanize.size(step["size"]),
            "IMAGE ID": step["image"].removeprefix("sha256:")[:12],
        }
        for step in session.connection.lab(f"images/{image}/steps")
    ]
    columns = ("STEP", "CREATED BY", "SIZE", "IMAGE ID")
    return Result(text=_lines(columns, rows), columns=columns, rows=rows)


def _changes(session: Session, image: str, first: int, last: int) -> list[dict[str, Any]]:
    query = {"from": str(first - 1), "to": str(last)}
    found: list[dict[str, Any]] = session.connection.lab(f"images/{image}/changes", **query)
    return found


def _one(changes: list[dict[str, Any]]) -> Result:
    columns = ("KIND", "PATH", "SIZE")
    rows = [{"KIND": _KINDS[change["Kind"]], "PATH": change["Path"], "SIZE": _size(change)} for change in changes]
    text = "\n".join(f"{row['KIND']} {row['PATH']}" for row in rows)
    return Result(text=text, columns=columns, rows=rows)


def _two(name: str, other: str, left: list[dict[str, Any]], right: list[dict[str, Any]]) -> Result:
    """Paths that two ranges treat differently: what each did to them, and the size they left."""

    def by_path(changes: list[dict[str, Any]]) -> dict[str, str]:
        return {change["Path"]: f"{_KINDS[change['Kind']]} {_size(change)}".strip() for change in changes}

    one, two = by_path(left), by_path(right)
    columns = ("PATH", f"STEPS {name}", f"STEPS {other}")
    rows = [
        dict(zip(columns, (path, one.get(path, "-"), two.get(path, "-")), strict=True))
        for path in sorted({*one, *two})
        if one.get(path) != two.get(path)
    ]
    return Result(text=_lines(columns, rows), columns=columns, rows=rows)


def _size(change: dict[str, Any]) -> str:
    return humanize.size(change["Size"]) if change["Size"] else ""


def _lines(columns: tuple[str, ...], rows: list[dict[str, str]]) -> str:
    table = [dict(zip(columns, columns, strict=True)), *rows]
    widths = [max(len(row[column]) for row in table) for column in columns]
    return "\n".join(
        "   ".join(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip()
        for row in table
    )


def _range(arguments: Arguments, word: str) -> tuple[int, int]:
    """Read `4` or `2..5`."""
    match = _RANGE.fullmatch(word)
    if match is None or int(match[1]) == 0 or (match[2] and int(match[2]) < int(match[1])):
        raise _misused(arguments, f"no step and no range of steps: {word}")
    return int(match[1]), int(match[2] or match[1])


def _misused(arguments: Arguments, message: str) -> UsageError:
    command = arguments.command
    return UsageError(
        f"{command.program}: {message}\n\n{usage_line(command)}\n\nRun '{command.line} --help' for more information",
        exit_code=125,
    )
