"""Splitting one logical Dockerfile line into keyword, flags and arguments.

Each instruction has its own way to read its arguments; the table at the end
says which. Variables are not expanded here. Source: BuildKit's
frontend/dockerfile/parser (split_command.go, line_parsers.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pydock_lab.errors import DockerfileError

_BLANKS = re.compile(r"[\t\v\f\r ]+")

Arguments = tuple[list[str], bool]
"""The arguments, and whether they were a JSON array."""


def split_line(line: str) -> tuple[str, list[str], str]:
    """Split a logical line into the keyword as written, its `--flags`, and the rest."""
    keyword, *rest = _BLANKS.split(line.strip(), maxsplit=1)
    if not rest:
        return keyword, [], ""
    flags, arguments = _take_flags(rest[0])
    return keyword, flags, arguments.strip()


def _take_flags(line: str) -> tuple[list[str], str]:
    """Take the leading words that begin with `--`; a bare `--` ends them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(line) and line[position].isspace():
            position += 1
        if not line.startswith("--", position):
            return flags, line[position:]
        word, position = _flag_word(line, position)
        if word == "--":
            return flags, line[position:]
        flags.append(word)


def _flag_word(line: str, position: int) -> tuple[str, int]:
    """Read one flag, removing quotes and backslashes; return it and where it ended."""
    word: list[str] = []
    quote = ""
    while position < len(line):
        char = line[position]
        position += 1
        if char == "\\":
            word.append(line[position : position + 1])
            position += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote = char
        elif char.isspace():
            break
        else:
            word.append(char)
    return "".join(word), position


def split_words(text: str, escape: str) -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay (expansion removes them later)."""
    words: list[str] = []
    word: list[str] = []
    quote = ""
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if not quote and char.isspace():
            if word:
                words.append("".join(word))
                word = []
            continue
        if char == escape and quote != "'":
            if position == len(text):
                break
            char += text[position]
            position += 1
        elif quote:
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        word.append(char)
    if word:
        words.append("".join(word))
    return words


def _ignored(rest: str, escape: str) -> Arguments:
    return [], False


def _blank_separated(rest: str, escape: str) -> Arguments:
    return (_BLANKS.split(rest) if rest else []), False


def _whole(rest: str, escape: str) -> Arguments:
    return ([rest] if rest else []), False


def _words(rest: str, escape: str) -> Arguments:
    return split_words(rest, escape), False


def _json_array(rest: str) -> list[str] | None:
    """Return the strings of a JSON array, or None where the text is no JSON array at all."""
    if not rest.lstrip().startswith("["):
        return None
    try:
        array = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in array):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return list(array)


def _json_or_whole(rest: str, escape: str) -> Arguments:
    if (array := _json_array(rest)) is not None:
        return array, True
    return _whole(rest, escape)


def _json_or_blank_separated(rest: str, escape: str) -> Arguments:
    if (array := _json_array(rest)) is not None:
        return array, True
    return _blank_separated(rest, escape)


def _health(rest: str, escape: str) -> Arguments:
    kind, *command = _BLANKS.split(rest, maxsplit=1)
    if not kind:
        return [], False
    arguments, is_json = _json_or_whole(command[0] if command else "", escape)
    return [kind, *arguments], is_json


def _pairs(keyword: str) -> Callable[[str, str], Arguments]:
    """Read `KEY=value …` or the old `KEY value`, flattened to key, value, key, value, …"""

    def read(rest: str, escape: str) -> Arguments:
        words = split_words(rest, escape)
        if not words:
            return [], False
        if "=" not in words[0]:
            parts = _BLANKS.split(rest, maxsplit=1)
            if len(parts) < 2:
                raise DockerfileError(f"{keyword} must have two arguments")
            return parts, False
        flat: list[str] = []
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise DockerfileError(
                    f"Syntax error - can't find = in {json.dumps(word, ensure_ascii=False)}. "
                    "Must be of the form: name=value"
                )
            flat += [key, value]
        return flat, False

    return read


ARGUMENT_READERS: dict[str, Callable[[str, str], Arguments]] = {
    "ADD": _json_or_blank_separated,
    "ARG": _words,
    "CMD": _json_or_whole,
    "COPY": _json_or_blank_separated,
    "ENTRYPOINT": _json_or_whole,
    "ENV": _pairs("ENV"),
    "EXPOSE": _blank_separated,
    "FROM": _blank_separated,
    "HEALTHCHECK": _health,
    "LABEL": _pairs("LABEL"),
    "MAINTAINER": _whole,
    "ONBUILD": _ignored,
    "RUN": _json_or_whole,
    "SHELL": _json_or_whole,
    "STOPSIGNAL": _whole,
    "USER": _whole,
    "VOLUME": _json_or_blank_separated,
    "WORKDIR": _whole,
}


def read_arguments(keyword: str, rest: str, escape: str) -> Arguments:
    """Read an instruction's arguments as that instruction wants them; none for an unknown one."""
    return ARGUMENT_READERS.get(keyword.upper(), _ignored)(rest, escape)
