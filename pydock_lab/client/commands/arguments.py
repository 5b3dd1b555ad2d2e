"""A command's words, read as Docker's CLI reads them (pflag's rules and messages).

`parse` knows flags and how many arguments there may be; what a value means
beyond its type (is this a port? a mount?) is for the command. Source: spf13/pflag,
docker/cli cli/required.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydock_lab.client.commands import values
from pydock_lab.client.commands.container import mounts
from pydock_lab.client.commands.failure import HelpRequested, UsageError
from pydock_lab.client.commands.grammar import Command, Flag


def _filter(text: str) -> str:
    if "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "bool": values.truth,
    "int": values.integer,
    "uint16": lambda text: values.integer(text, bits=16, signed=False),
    "bytes": values.size_bytes,
    "decimal": values.nano_cpus,
    "duration": values.duration_ns,
    "filter": _filter,
    "mount": mounts.mount,
}

_INSTEAD_OF_IMAGE = "from-failed-step"
"""The one flag that stands for an argument."""


@dataclass(frozen=True)
class Arguments:
    """What a command was called with.

    Attributes:
        command: The command.
        positional: Its arguments without the flags.
        given: The flags that were given, by long name, each with its values as written.
    """

    command: Command
    positional: tuple[str, ...]
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the flag was given at all."""
        return name in self.given

    def text(self, name: str) -> str:
        """The last value given, else the flag's default, else ""."""
        if name in self.given:
            return self.given[name][-1]
        flag = self._flag(name)
        return flag.default if flag.takes_value else ""

    def many(self, name: str) -> list[str]:
        """Every value given; a `strings` flag is split at commas."""
        found = list(self.given.get(name, ()))
        if self._flag(name).kind == "strings":
            return [part for value in found for part in values.comma_separated(value)]
        return found

    def on(self, name: str) -> bool:
        """Whether a boolean flag is set, by its default where it wasn't given."""
        text = self.given[name][-1] if name in self.given else self._flag(name).default
        return text != "" and values.truth(text)

    def number(self, name: str) -> int:
        """An `int` or `uint16` flag, or 0."""
        return values.integer(self.text(name) or "0")

    def size(self, name: str) -> int:
        """A `bytes` flag in bytes, or 0."""
        return values.size_bytes(self.text(name) or "0")

    def duration(self, name: str) -> int:
        """A `duration` flag in nanoseconds, or 0."""
        return values.duration_ns(self.text(name) or "0")

    def mapping(self, name: str) -> dict[str, str]:
        """A repeatable `key=value` flag as a dictionary."""
        return dict(values.key_value(value) for value in self.many(name))

    def _flag(self, name: str) -> Flag:
        flag = self.command.flag(name)
        if flag is None:
            raise KeyError(f"{self.command.line} has no flag --{name}")
        return flag


def parse(command: Command, argv: Sequence[str]) -> Arguments:
    """Read the words after a command's name.

    Raises:
        UsageError: in Docker's words, with its exit status (for a flag 125, Compose 16; for the arguments 1).
        HelpRequested: `--help` was among the flags.
    """
    given: dict[str, list[str]] = {}
    positional: list[str] = []
    words = list(argv)
    try:
        while words:
            word = words.pop(0)
            if word == "--":
                positional += words
                break
            if word.startswith("--"):
                _read_long(command, word, words, given)
            elif word.startswith("-") and word != "-":
                _read_letters(command, word, words, given)
            else:
                positional.append(word)
                if not command.interspersed:
                    positional += words
                    break
    except ValueError as error:
        code = 16 if command.path[0] == "compose" else 125
        raise UsageError(_with_usage(command, str(error)), exit_code=code) from None
    _check_count(command, len(positional) + (_INSTEAD_OF_IMAGE in given))
    return Arguments(command, tuple(positional), {name: tuple(found) for name, found in given.items()})


def _read_long(command: Command, word: str, words: list[str], given: dict[str, list[str]]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise ValueError(f"bad flag syntax: {word}")
    flag = command.flag(name)
    if flag is None:
        if name == "help":
            _raise_help(command)
        raise ValueError(f"unknown flag: --{name}")
    if not equals:
        if not flag.takes_value:
            value = "true"
        elif words:
            value = words.pop(0)
        else:
            raise ValueError(f"flag needs an argument: --{name}")
    _store(flag, value, given)


def _read_letters(command: Command, word: str, words: list[str], given: dict[str, list[str]]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = command.flag_of_letter(letter)
        if flag is None:
            if letter == "h":
                _raise_help(command)
            raise ValueError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif not flag.takes_value:
            value = "true"
        elif letters:
            value, letters = letters, ""
        elif words:
            value = words.pop(0)
        else:
            raise ValueError(f"flag needs an argument: '{letter}' in {word}")
        _store(flag, value, given)


def _store(flag: Flag, value: str, given: dict[str, list[str]]) -> None:
    try:
        if check := _CHECKS.get(flag.kind):
            check(value)
    except ValueError as error:
        raise ValueError(f'invalid argument "{value}" for "{flag.display}" flag: {error}') from None
    given.setdefault(flag.name, []).append(value)


def _raise_help(command: Command) -> None:
    from pydock_lab.client.commands.usage import command_page

    raise HelpRequested(command_page(command))


def _check_count(command: Command, count: int) -> None:
    least, most = command.least, command.most
    if count >= least and (most is None or count <= most):
        return
    if most == 0:
        text = "accepts no arguments"
    elif most is None:
        text = f"requires at least {_arguments(least)}"
    elif least == most:
        text = f"requires {_arguments(least)}"
    elif least == 0:
        text = f"requires at most {_arguments(most)}"
    else:
        text = f"requires at least {least} and at most {_arguments(most)}"
    see = "See" if most is None else "Run"
    message = f"{command.program}: '{command.line}' {text}"
    raise UsageError(_with_usage(command, message, see=see), exit_code=1)


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"


def _with_usage(command: Command, message: str, *, see: str = "Run") -> str:
    from pydock_lab.client.commands.usage import usage_line

    return f"{message}\n\n{usage_line(command)}\n\n{see} '{command.line} --help' for more information"
