"""`pydock`: the docker commands on a terminal, and what the lab adds to them.

    pydock run --rm alpine echo hello    every command of docker, against the user's own engine
    pydock -H unix:///PATH ps            … or another
    pydock daemon -H unix:///PATH …      the engine in the foreground
    pydock doctor                        which boundaries are real on this machine
    pydock explain CONTAINER             what the engine did to start it
    pydock registry serve                a registry for a class
    pydock check FILE                    whether what the lines of a file ask for is so
    pydock catalog ls                    the base images it can make itself

Nothing is on stderr when nothing is wrong; exit statuses are Docker's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.connection import Connection
from pydock_lab.client.global_flags import read_global_flags
from pydock_lab.client.screen import Screen
from pydock_lab.errors import LabError

_LAB_COMMANDS = frozenset(
    {"__complete", "catalog", "check", "completion", "daemon", "doctor", "explain", "lesson", "registry"}
)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, *, program: str = "pydock") -> int:
    """Run one command line; return its exit status.

    Args:
        argv: The words after the program's name, or None for those of this process.
        program: What help and error texts call it: `docker` in a notebook without the real one.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    screen = Screen(sys.stdout.buffer, sys.stderr.buffer)
    connection: Connection | None = None
    try:
        engine, words = read_global_flags(words)
        connection = engine.connection()
        result = _run(words, connection, screen, program)
        if result.text:
            screen.write("stdout", result.text if result.text.endswith("\n") else result.text + "\n")
        if result.notes and sys.stderr.isatty():  # a person is reading, no script
            screen.write("stderr", "".join(f"\nNote: {note}\n" for note in result.notes))
        return result.exit_code
    except CommandError as error:
        return _fail(screen, error.message, error.hint, error.exit_code)
    except LabError as error:
        return _fail(screen, error.message, error.hint, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left: point stdout elsewhere so that flushing at exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    finally:
        if connection is not None:
            connection.close()


def script() -> NoReturn:
    """Run this process's command line and end the process.

    Nothing is left to do at this point but to free every object one by one: that
    takes longer than many a command, and the kernel does it at once.
    """
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141
    os._exit(code)


def _run(words: list[str], connection: Connection, screen: Screen, program: str) -> Result:
    from pydock_lab.client.commands.execute import run_line

    if not words or words[0] in ("--help", "-h") or words == ["help"]:
        return Result(text=_help(program))
    if words[0] in ("--version", "-v"):
        from importlib import metadata

        return Result(text=f"pydock version {metadata.version('pydock-lab')}")
    session = Session(
        connection, screen, stdin=sys.stdin.buffer if sys.stdin is not None else None, environment=os.environ
    )
    if words[0] in _LAB_COMMANDS:
        from pydock_lab.client.lab import run

        return run(words, session)
    return run_line(words, session, program=program)


def _help(program: str) -> str:
    from pydock_lab.client.commands.grammar import load
    from pydock_lab.client.commands.usage import program_page
    from pydock_lab.client.lab import summaries

    return program_page(load(), program, extra=summaries())


def _fail(screen: Screen, message: str, hint: str | None, exit_code: int) -> int:
    screen.write("stderr", f"{message}\n")
    if hint:
        screen.write("stderr", f"\nHint: {hint}\n")
    return exit_code


if __name__ == "__main__":
    script()
