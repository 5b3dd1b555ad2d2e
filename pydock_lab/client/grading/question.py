"""One question to the engine, as a line of a check or of a prediction is written.

A line is a phrase (phrases.py), a docker command, or a value that the notebook
has worked out. A docker command answers "whether" by its exit status and "what"
by what it prints, so that a learner can run the very line that judged the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydock_lab.client.commands.execute import run_line
from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.commands.session import BuildEvent, Progress, Session, Stream, Terminal
from pydock_lab.client.connection import Connection
from pydock_lab.client.grading.finding import Finding
from pydock_lab.client.grading.phrases import PHRASES, find

YES, NO = frozenset({"yes", "y", "true", "✓"}), frozenset({"no", "n", "false", "✕"})

_GIVES = "gives"
_TOO_EARLY = "this can't be found out yet: run the cells above"
_LOOKS = frozenset({"inspect", "logs"})
"""Commands that answer "no" where what they look at is not there; others can't tell."""
_NO_SUCH = re.compile(r"no such (container|image|volume|network|object)|(network|volume) \S+ not found", re.IGNORECASE)
_NOT_RUN = range(125, 128)
"""What `docker run` and `exec` return where the program could not be started."""


def ask(words: Sequence[str], connection: Connection) -> Finding:
    """Answer one question.

    Args:
        words: Of the line: `container web runs`, `docker exec web test -e /note`,
            `docker inspect -f {{.Name}} web gives /web`, or one value.
        connection: To the engine.

    Raises:
        UsageError: it is no question.
        CommandError: the engine could not find it out.
    """
    if words[:1] == ["docker"]:
        return _ask_docker(list(words[1:]), connection)
    if (found := find(words, connection)) is not None:
        return found
    if len(words) == 1:
        value = words[0]
        if value.startswith(("$", "{")):
            raise CommandError(f"{value} is not worked out yet", hint=_TOO_EARLY)
        folded = value.casefold()
        return Finding(folded not in NO, f"it is {value}", value="" if folded in YES | NO else value)
    known = "\n".join(f"  {phrase}" for phrase in PHRASES)
    raise UsageError(f"“{' '.join(words)}” is nothing that can be asked\n\nWhat can be asked:\n{known}\n  docker …")


def _ask_docker(words: list[str], connection: Connection) -> Finding:
    """Run a command quietly. `… gives VALUE` compares what it prints."""
    wanted = None
    if _GIVES in words[:-1]:
        at = words.index(_GIVES)
        words, wanted = words[:at], " ".join(words[at + 1 :])
    said = _Printed()
    session = Session(connection=connection, output=said, directory=Path.cwd(), environment={})
    try:
        result = run_line(words, session)
    except CommandError as error:
        if _LOOKS & set(words[:2]) and _NO_SUCH.search(error.message):
            return Finding(False, error.message)
        raise CommandError(error.message, hint=error.hint or _TOO_EARLY) from error
    if result.exit_code in _NOT_RUN:
        raise CommandError((said.errors or said.text).strip(), hint=_TOO_EARLY)
    printed = (said.text + result.text).strip()
    if wanted is not None:
        return Finding(printed == wanted, f"it gives {printed or 'nothing'}", value=printed)
    lines = (printed or said.errors.strip() or f"exit status {result.exit_code}").splitlines()
    return Finding(result.exit_code == 0, lines[-1], value=printed)


class _Printed:
    """The output of a question: kept, not shown."""

    def __init__(self) -> None:
        self.text = ""
        self.errors = ""

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Keep it."""
        piece = data if isinstance(data, str) else data.decode(errors="replace")
        if stream == "stdout":
            self.text += piece
        else:
            self.errors += piece

    def redraw(self, text: str) -> None:
        """Keep the last one."""
        self.text = f"{text}\n"

    def progress(self, event: Progress) -> None:
        """A transfer answers nothing."""

    def build(self, event: BuildEvent) -> None:
        """Keep what the docker CLI prints."""
        self.text += event.raw

    def terminal(self) -> Terminal | None:
        """Nobody can type."""
        return None
