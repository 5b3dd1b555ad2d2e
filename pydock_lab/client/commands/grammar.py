"""The docker command grammar, once, as data: which commands there are, which flags and arguments they take.

The table is `surface.json`, with `compose.json` and `swarm.json`; this module gives it types and finds a command in a
command line. Magics, `pydock`, completion, help and the reference page read the
same table. What a command *does* stands in the module its `handler` names.

Source: docker/cli 28.2, its `--help` pages.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydock_lab.client.commands.failure import HelpRequested, UsageError
from pydock_lab.client.commands.handlers import HANDLERS

if TYPE_CHECKING:
    from pydock_lab.client.commands.arguments import Arguments
    from pydock_lab.client.commands.session import Result, Session

    Function = Callable[[Arguments, Session], Result]

REPEATABLE_KINDS = frozenset({"list", "strings", "map", "filter", "mount", "network", "ulimit", "gpu-request"})


class Flag(NamedTuple):
    """One flag of a command.

    Attributes:
        name: Without dashes: `publish`.
        shorthand: One letter, or "".
        kind: What its value is, in Docker's words: `bool` takes none; `list`, `string`, `bytes`, …
        default: As the help page shows it, or "".
        help: One line.
    """

    name: str
    shorthand: str
    kind: str
    default: str
    help: str

    @property
    def takes_value(self) -> bool:
        """Whether a value follows (`--name VALUE`)."""
        return self.kind != "bool"

    @property
    def repeatable(self) -> bool:
        """Whether giving it twice adds up instead of replacing."""
        return self.kind in REPEATABLE_KINDS

    @property
    def display(self) -> str:
        """`-p, --publish` or `--name`, as messages and help write it."""
        return f"-{self.shorthand}, --{self.name}" if self.shorthand else f"--{self.name}"


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        path: Its proper name: `("container", "run")`.
        aliases: Other names: `(("run",),)`.
        called: The name it was found by, which help and error texts repeat.
        program: The word before it in those texts: `docker` or `pydock`.
        usage: What follows its name in the usage line: `[OPTIONS] IMAGE [COMMAND] [ARG...]`; `cp` has a second line.
        summary: One line, for lists of commands.
        description: What its page says; the summary, or more.
        flags: In alphabetical order; `--help` is understood everywhere and not listed.
        least, most: How many arguments it takes; `most` is None where there is no limit.
        interspersed: Flags are still read after the first argument (not for `run IMAGE -x`).
        handler: `module:function` that carries it out, under pydock_lab.client.commands.
        inherited: Flags of its noun (`compose --file …`), understood here too and not listed.
        unlisted: Flags that Docker understands and no longer shows (`compose exec -it`).
    """

    path: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    called: tuple[str, ...]
    program: str
    usage: str
    summary: str
    description: str
    flags: tuple[Flag, ...]
    least: int
    most: int | None
    interspersed: bool
    handler: str
    inherited: tuple[Flag, ...] = ()
    unlisted: tuple[Flag, ...] = ()

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """The proper name and the aliases."""
        return (self.path, *self.aliases)

    @property
    def line(self) -> str:
        """`docker container run`, as it was called."""
        return " ".join((self.program, *self.called))

    @property
    def function(self) -> Function:
        """The function that carries the command out; its module is imported only now."""
        module, _, name = self.handler.partition(":")
        found: Function = getattr(importlib.import_module(f"pydock_lab.client.commands.{module}"), name)
        return found

    def flag(self, name: str) -> Flag | None:
        """Return the flag with this long name."""
        return next((flag for flag in self._understood if flag.name == name), None)

    def flag_of_letter(self, letter: str) -> Flag | None:
        """Return the flag with this shorthand."""
        return next((flag for flag in self._understood if flag.shorthand == letter), None)

    @property
    def _understood(self) -> tuple[Flag, ...]:
        return (*self.flags, *self.unlisted, *self.inherited)


@dataclass(frozen=True)
class Grammar:
    """Every command.

    Attributes:
        commands: In alphabetical order of their paths.
        nouns: Management commands with their summary: `{"container": "Manage containers"}`.
        common: The top-level names that help shows first.
        inherited: Flags that stand between a noun and its verb (`compose -f FILE up`), by noun.
    """

    commands: tuple[Command, ...]
    nouns: Mapping[str, str]
    common: tuple[str, ...]
    inherited: Mapping[str, tuple[Flag, ...]]
    _by_name: Mapping[tuple[str, ...], Command]

    def command(self, *name: str) -> Command | None:
        """Return the command with this name or alias: `command("container", "run")`."""
        return self._by_name.get(name)

    def top_level(self) -> dict[str, Command]:
        """Commands that are one word (`run`, `ps`, `version`), by that word."""
        return {name[0]: command for name, command in sorted(self._by_name.items()) if len(name) == 1}

    def of_noun(self, noun: str) -> dict[str, Command]:
        """Commands of one noun by their verb: `{"ls": …, "run": …}`, aliases left out."""
        return {c.path[1]: c for c in self.commands if len(c.path) == 2 and c.path[0] == noun}


@functools.cache
def load() -> Grammar:
    """Read the table (once)."""
    document, compose, swarm = (
        json.loads(Path(__file__).with_name(name).read_text("utf-8"))
        for name in ("surface.json", "compose.json", "swarm.json")
    )
    inherited = {noun: tuple(Flag(*row) for row in rows) for noun, rows in compose["inherited"].items()}
    entries = sorted((document["commands"] | compose["commands"] | swarm["commands"]).items())
    commands = tuple(_command(name, entry, inherited.get(name.split()[0], ())) for name, entry in entries)
    by_name = {name: command for command in commands for name in command.names}
    nouns = document["nouns"] | compose["nouns"] | swarm["nouns"]
    return Grammar(commands, nouns, tuple(document["common"]), inherited, by_name)


_ON_EVERY_PAGE = "dry-run"
"""The flag of `compose` that the page of each of its commands lists."""


def _command(name: str, entry: dict[str, object], inherited: tuple[Flag, ...]) -> Command:
    aliases, flags, arguments = entry["aliases"], entry["flags"], entry["arguments"]
    unlisted = entry.get("unlisted", [])
    assert isinstance(aliases, list) and isinstance(flags, list)
    assert isinstance(arguments, list) and isinstance(unlisted, list)
    path = tuple(name.split())
    listed = [flag for flag in inherited if flag.name == _ON_EVERY_PAGE]
    return Command(
        path=path,
        aliases=tuple(tuple(alias.split()) for alias in aliases),
        called=path,
        program="docker",
        usage=str(entry["usage"]),
        summary=str(entry["summary"]),
        description=str(entry.get("description", entry["summary"])),
        flags=tuple(sorted((*(Flag(*row) for row in flags), *listed), key=lambda flag: flag.name)),
        least=arguments[0],
        most=arguments[1],
        interspersed=bool(entry.get("interspersed", True)),
        handler=HANDLERS.get(name, ""),
        inherited=inherited,
        unlisted=tuple(Flag(*row) for row in unlisted),
    )


def find(argv: Sequence[str], *, program: str = "docker") -> tuple[Command, list[str]]:
    """Find the command a line begins with.

    Args:
        argv: The words after `docker`: `["run", "-d", "alpine"]` or `["container", "run", …]`.
        program: The word that help and error texts begin with.

    Returns:
        The command, as it was called, and the words after its name.

    Raises:
        UsageError: there is no such command.
        HelpRequested: the line is empty, a noun alone, or asks for their help.
    """
    from pydock_lab.client.commands.usage import noun_page, program_page

    grammar = load()
    words = _verb_first(grammar, list(argv))
    if not words or words[0] in ("--help", "-h", "help"):
        if words[1:] and words[0] == "help":
            return find([*words[1:], "--help"], program=program)
        raise HelpRequested(program_page(grammar, program))
    for length in (2, 1):
        command = grammar.command(*words[:length])
        if command is not None and len(words) >= length:
            called = tuple(words[:length])
            return dataclasses.replace(command, called=called, program=program), words[length:]
    noun = words[0]
    if noun not in grammar.nouns:
        if noun.startswith("-") and noun != "-":
            raise UsageError(_unknown_flag(noun, f"{program} [OPTIONS] COMMAND [ARG...]", program), exit_code=125)
        raise UsageError(
            f"{program}: unknown command: {program} {noun}\n\nRun '{program} --help' for more information", exit_code=1
        )
    if not words[1:] or words[1] in ("--help", "-h"):
        raise HelpRequested(noun_page(grammar, noun, program))
    if words[1].startswith("-"):
        raise UsageError(_unknown_flag(words[1], f"{program} {noun}", f"{program} {noun}"), exit_code=125)
    raise UsageError(
        f"{program}: unknown command: {program} {noun} {words[1]}\n\n"
        f"Usage:  {program} {noun}\n\nRun '{program} {noun} --help' for more information",
        exit_code=1,
    )


def _verb_first(grammar: Grammar, words: list[str]) -> list[str]:
    """`compose -f FILE up …` → `compose up --file FILE …`: flags of the noun become the verb's, by their long names."""
    if not words or words[0] not in grammar.inherited:
        return words
    flags, moved, rest = grammar.inherited[words[0]], [], words[1:]
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        word = rest[0]
        if word in ("--version", "-v"):
            return [words[0], "version"]
        name, equals, value = word.partition("=")
        flag = next((one for one in flags if name in (f"--{one.name}", f"-{one.shorthand}")), None)
        if flag is None and not word.startswith("--"):  # -fFILE
            flag = next((one for one in flags if one.shorthand == word[1]), None)
            equals, value = "=", word[2:]
        if flag is None:
            break
        rest = rest[1:]
        if not equals and flag.takes_value:
            if not rest:
                raise UsageError(f"flag needs an argument: '{name[1:]}' in {name}", exit_code=125)
            value, rest = rest[0], rest[1:]
        moved.append(f"--{flag.name}={value}" if flag.takes_value or equals else f"--{flag.name}")
    return [words[0], rest[0], *moved, *rest[1:]] if rest and moved else [words[0], *rest]


def _unknown_flag(word: str, usage: str, line: str) -> str:
    what = f"unknown flag: {word.partition('=')[0]}"
    if not word.startswith("--"):
        what = f"unknown shorthand flag: '{word[1]}' in {word}"
    return f"{what}\n\nUsage:  {usage}\n\nRun '{line} --help' for more information"
