"""Check-your-work: lines that have to hold, each with what to do where it does not."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.client.grading.question import ask
from pydock_lab.client.grading.report import Line, Report

Split = Callable[[str], list[str]]

_HINT = " # "


def check(lines: Iterable[str], connection: Connection, *, split: Split = shlex.split) -> Report:
    """Ask the engine whether every line holds.

    Args:
        lines: `container web runs  # run the cell above again`: a question, and a hint for where it
            does not hold; blank lines and lines of comment are skipped.
        connection: To the engine.
        split: Makes words of a question; a notebook's knows its variables.

    Raises:
        UsageError: a line is no question, or there is none.
    """
    report = Report([_line(text, connection, split) for text in questions(lines)])
    if not report.lines:
        raise UsageError("there is nothing to check: write one question on each line")
    return report


def questions(lines: Iterable[str]) -> list[str]:
    """The lines that say something."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _line(text: str, connection: Connection, split: Split) -> Line:
    question, _, hint = text.rpartition(_HINT) if _HINT in text else (text, "", "")
    question = question.strip()
    try:
        found = ask(split(question), connection)
    except UsageError:
        raise
    except CommandError as error:
        return Line(False, question, error.message, hint=hint or error.hint or "")
    said = found.said
    if question.startswith("docker "):
        said = f"{question}: {said}" if not found.holds else question
    return Line(found.holds, question, said, hint=hint or found.hint)
