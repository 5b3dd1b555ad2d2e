"""The flags before a command's name: which engine, and how to reach it.

Source: docker/cli cli/flags/options.go.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.client.wire import TLSFiles

_LETTERS = {"H": "host", "c": "context", "l": "log-level", "D": "debug"}
_WITH_VALUE = frozenset({"host", "context", "log-level", "config", "tlscacert", "tlscert", "tlskey"})
_SWITCHES = frozenset({"debug", "tls", "tlsverify"})


class GlobalFlags(NamedTuple):
    """What was given, by long name; a switch is `true`."""

    given: dict[str, str]

    def connection(self) -> Connection:
        """The connection that the flags describe.

        Raises:
            CommandError: they contradict one another.
        """
        host, context = self.given.get("host"), self.given.get("context")
        if host and context:
            raise CommandError("conflicting options: cannot specify both --host and --context")
        config = self.given.get("config")
        return Connection(
            host,
            context=context,
            tls=self._tls(),
            config=Path(config).absolute() if config else None,
            lesson=os.environ.get("PYDOCK_LESSON", ""),  # of the notebook that started this process
        )

    def _tls(self) -> TLSFiles | None:
        verify = self.given.get("tlsverify") == "true"
        if not verify and self.given.get("tls") != "true":
            return None
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")

        def file(flag: str, name: str) -> str:
            path = Path(self.given.get(flag) or folder / name)
            return str(path) if flag in self.given or path.is_file() else ""

        return TLSFiles(file("tlscacert", "ca.pem"), file("tlscert", "cert.pem"), file("tlskey", "key.pem"), verify)


def read_global_flags(words: list[str]) -> tuple[GlobalFlags, list[str]]:
    """Take the flags off the front of a command line.

    Returns:
        The flags, and the words from the first that is none of them.

    Raises:
        UsageError: a flag lacks its value.
    """
    given: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name, value, separate = _read(rest[0])
        if name in _SWITCHES:
            given[name] = value or "true"
            rest = rest[1:]
        elif name in _WITH_VALUE:
            if separate and len(rest) < 2:
                raise UsageError(_lacking(rest[0]), exit_code=125)
            given[name] = rest[1] if separate else value
            rest = rest[2 if separate else 1 :]
        else:
            break
    return GlobalFlags(given), rest


def _read(word: str) -> tuple[str, str, bool]:
    """Return the long name, the value in the word itself, and whether a value must follow."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        return name, value, not equals
    name, value = _LETTERS.get(word[1:2], ""), word[2:].removeprefix("=")
    return name, value, not value


def _lacking(word: str) -> str:
    what = f"flag needs an argument: {word}"
    if not word.startswith("--"):
        what = f"flag needs an argument: '{word[1]}' in {word}"
    return f"{what}\n\nUsage:  pydock [OPTIONS] COMMAND [ARG...]\n\nRun 'pydock --help' for more information"
