"""`pydock`: the docker commands on a terminal, and what the lab adds to them.

    pydock run --rm alpine echo hello    every command of docker, against the user's own engine
    pydock -H unix:///PATH ps            … or another
    pydock daemon -H unix:///PATH …      the engine in the foreground
    pydock doctor                        which boundaries are real on this machine
    pydock explain CONTAINER             what the engine did to start it

Nothing is on stderr when nothing is wrong; exit statuses are Docker's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.connection import Connection
from pydock_lab.client.screen import Screen
from pydock_lab.errors import LabError

_LAB_COMMANDS = {
    "daemon": "Run the engine in the foreground",
    "doctor": "Show which boundaries are real on this machine",
    "explain": "Show what the engine did to start a container",
}
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    screen = Screen(sys.stdout.buffer, sys.stderr.buffer)
    connection: Connection | None = None
    try:
        host, words = _global_flags(words)
        if words[:1] == ["daemon"]:
            _become_daemon(words[1:])
        connection = Connection(host)
        result = _run(words, connection, screen)
        if result.text:
            screen.write("stdout", result.text if result.text.endswith("\n") else result.text + "\n")
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


def _run(words: list[str], connection: Connection, screen: Screen) -> Result:
    from pydock_lab.client.commands.execute import run_line

    if not words or words[0] in ("--help", "-h") or words == ["help"]:
        return Result(text=_help())
    if words[0] in ("--version", "-v"):
        from importlib import metadata

        return Result(text=f"pydock version {metadata.version('pydock-lab')}")
    if words[0] in _LAB_COMMANDS:
        return _run_lab(words, connection)
    session = Session(
        connection, screen, stdin=sys.stdin.buffer if sys.stdin is not None else None, environment=dict(os.environ)
    )
    return run_line(words, session, program="pydock")


def _run_lab(words: list[str], connection: Connection) -> Result:
    from pydock_lab.client.explain import doctor_text, explain_text

    command, *rest = words
    wanted = {"doctor": 0, "explain": 1}[command]
    usage = f"Usage:  pydock {command}" + (" CONTAINER" if wanted else "")
    if rest in (["--help"], ["-h"]):
        return Result(text=f"{usage}\n\n{_LAB_COMMANDS[command]}")
    if len(rest) != wanted or any(word.startswith("-") for word in rest):
        needs = "requires 1 argument" if wanted else "accepts no arguments"
        raise UsageError(
            f"pydock: 'pydock {command}' {needs}\n\n{usage}\n\nRun 'pydock {command} --help' for more information"
        )
    if command == "doctor":
        return Result(text=doctor_text(connection))
    return Result(text=explain_text(connection, rest[0]))


def _global_flags(words: list[str]) -> tuple[str | None, list[str]]:
    """Take `-H`, `--host` and the flags that change nothing here off the front."""
    host: str | None = None
    while words and words[0].startswith("-"):
        word = words[0]
        name, equals, value = word.partition("=")
        if name in ("-D", "--debug"):
            words = words[1:]
        elif name in ("-H", "--host", "-l", "--log-level"):
            if not equals and len(words) < 2:
                what = (
                    f"flag needs an argument: {name}"
                    if name.startswith("--")
                    else (f"flag needs an argument: '{name[1]}' in {name}")
                )
                raise UsageError(
                    f"{what}\n\nUsage:  pydock [OPTIONS] COMMAND [ARG...]\n\nRun 'pydock --help' for more information",
                    exit_code=125,
                )
            value, words = (value, words[1:]) if equals else (words[1], words[2:])
            host = value if name in ("-H", "--host") else host
        elif word.startswith("-H"):
            host, words = word[2:], words[1:]
        else:
            break
    return host, words


def _become_daemon(flags: list[str]) -> None:
    """Replace this process: the learner's wing never imports the engine's."""
    os.execv(sys.executable, [sys.executable, "-m", "pydock_lab.daemon", *flags])


def _help() -> str:
    from pydock_lab.client.commands.grammar import load
    from pydock_lab.client.commands.usage import program_page

    return program_page(load(), "pydock", extra=_LAB_COMMANDS)


def _fail(screen: Screen, message: str, hint: str | None, exit_code: int) -> int:
    screen.write("stderr", f"{message}\n")
    if hint:
        screen.write("stderr", f"\nHint: {hint}\n")
    return exit_code


if __name__ == "__main__":
    raise SystemExit(main())
