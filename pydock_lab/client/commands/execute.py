"""Run a command: the one place that turns the engine's errors into what Docker's CLI says."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydock_lab.client.commands.absent import refuse
from pydock_lab.client.commands.advice import notes_for
from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.failure import CommandError, HelpRequested
from pydock_lab.client.commands.grammar import Command, find
from pydock_lab.client.commands.hints import hint_for
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.lesson.ledger import Entry
from pydock_lab.errors import LabError

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection

_MAKES_IMAGE = frozenset({"build", "import"})


def execute(command: Command, arguments: Arguments, session: Session) -> Result:
    """Carry out a parsed command.

    Raises:
        CommandError: with Docker's message, its exit status and, where there is one, a hint.
    """
    try:
        if command.path[0] == "compose" and arguments.on("dry-run"):
            session = dataclasses.replace(session, connection=_dry(session.connection))
        result = command.function(arguments, session)
        result.notes += notes_for(arguments)
        return result
    except CommandError as error:
        raise _hinted(error, arguments) from error.__cause__
    except LabError as error:
        raise _hinted(CommandError(error.message, hint=error.hint), arguments) from error
    except Exception as error:
        # It may be docker-py's or requests': neither is imported for a command that does without them.
        if (message := engine_message(error)) is None:
            raise
        raise _hinted(CommandError(message, hint=engine_hint(error)), arguments) from error


def _dry(connection: Connection) -> Connection:
    from pydock_lab.client.compose.dry_run import DryRun

    return DryRun(connection)


def run_line(argv: Sequence[str], session: Session, *, program: str = "docker") -> Result:
    """Find, parse and carry out a command line; a request for help becomes a result with the page.

    Args:
        argv: The words after `docker`.
        session: The front end's session.
        program: The word that help and error texts begin with.

    Raises:
        CommandError: as `execute`; UsageError for a wrong command line.
    """
    try:
        refuse(argv, program, session)
        command, rest = find(argv, program=program)
        arguments = parse(command, rest)
    except HelpRequested as request:
        return Result(text=request.page)
    except CommandError as error:
        error.hint = error.hint or hint_for(error.message, tuple(argv))
        raise
    result = execute(command, arguments, session)
    if result.image_id and _MAKES_IMAGE.intersection(argv[:2]) and session.connection.ledger is not None:
        session.connection.ledger.add(Entry("image", result.image_id))  # it may have no tag
    return result


def engine_message(error: BaseException) -> str | None:
    """Return what Docker's CLI prints for an engine's error, or None if it isn't one."""
    if isinstance(error, LabError):
        return error.message
    if "docker" not in sys.modules:  # then it isn't docker-py's, whose import would cost more than most commands
        return None
    import requests
    from docker import errors

    if isinstance(error, errors.APIError):
        return f"Error response from daemon: {(error.explanation or str(error)).strip()}"
    if isinstance(error, errors.DockerException):
        return str(error)
    if isinstance(error, requests.exceptions.ConnectionError):
        return "error during connect: the engine closed the connection"
    return None


def engine_hint(error: BaseException) -> str | None:
    """Return the hint our own engine put beside its message, if it did."""
    if isinstance(error, LabError):
        return error.hint
    response = getattr(error, "response", None)
    try:
        document = response.json() if response is not None else None
    except ValueError:
        return None
    hint = document.get("hint") if isinstance(document, dict) else None
    return hint if isinstance(hint, str) else None


def _hinted(error: CommandError, arguments: Arguments) -> CommandError:
    if error.hint is None:
        error.hint = hint_for(error.message, (*arguments.command.called, *arguments.positional))
    return error
