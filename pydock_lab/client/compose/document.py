"""YAML text → plain values that remember their lines.

Only the parser is ruamel.yaml's; what a scalar means is decided here, because
Compose follows neither YAML 1.1 (`22:22` is no number, `yes` no truth) nor 1.2
to the letter (`0444` is octal). Source: YAML 1.2.2, go-yaml v3 resolve.go,
compose-spec 10-fragments.md and 13-merge.md (`!reset`, `!override`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.client.compose.problem import ComposeError

Path_ = tuple[str | int, ...]

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("~", "null", "Null", "NULL", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
_TAG = "tag:yaml.org,2002:"


class Reset(msgspec.Struct, frozen=True):
    """`!reset`: what earlier files said here is taken back."""


class Override(msgspec.Struct, frozen=True):
    """`!override`: this value replaces what earlier files said, instead of adding to it."""

    value: Any


class Document(msgspec.Struct):
    """One YAML document.

    Attributes:
        path: The file, as named in messages.
        value: Dictionaries, lists and scalars; Reset and Override where those tags stood.
        lines: The 1-based line of each value by its path; of a mapping's entry, the key's line.
    """

    path: Path
    value: Any
    lines: Mapping[Path_, int] = {}

    def line(self, path: Path_) -> int:
        """The line of a value, or of what it stands in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_documents(text: str, path: Path) -> list[Document]:
    """Read the documents of a file (`---` between them: later ones override earlier ones).

    Raises:
        ComposeError: the text is no YAML, with the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        nodes = list(yaml.compose_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        message = f"{path}: yaml: {where}{error.problem or error.context}"
        raise ComposeError(message, hint=_syntax_hint(text, mark.line if mark is not None else None)) from None
    except YAMLError as error:
        raise ComposeError(f"{path}: yaml: {error}") from None
    documents = []
    for node in nodes or [None]:
        reader = _Reader(path)
        documents.append(Document(path, None if node is None else reader.value(node, ()), reader.lines))
    return documents


def _syntax_hint(text: str, line: int | None) -> str | None:
    lines = text.splitlines()
    if line is not None and any("\t" in found for found in lines[max(0, line - 1) : line + 1]):
        return "YAML is indented with spaces; there is a tab here"
    return "check the indentation and the colons around this line" if line is not None else None


class _Reader:
    """Turns nodes into values, and notes their lines."""

    def __init__(self, path: Path) -> None:
        self.lines: dict[Path_, int] = {}
        self._path = path
        self._open: list[int] = []

    def value(self, node: Any, path: Path_) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._open:
            raise ComposeError(f"{self._path}: line {self.lines[path]}: an anchor contains itself")
        self._open.append(id(node))
        try:
            value = self._untagged(node, path)
        finally:
            self._open.pop()
        tag = str(node.tag or "")
        if tag == "!reset":
            return Reset()
        return Override(value) if tag == "!override" else value

    def _untagged(self, node: Any, path: Path_) -> Any:
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        if node.style is not None or str(node.tag) in ("!", f"{_TAG}str"):
            return node.value
        return scalar(node.value)

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            name = str(key.value)
            if name == "<<" and key.style is None:
                for extra in self._merged(item, path):
                    merged = {**extra, **merged}
                continue
            below = (*path, name)
            if name in found:
                raise ComposeError(
                    f'{self._path}: yaml: line {key.start_mark.line + 1}: mapping key "{name}" already defined '
                    f"at line {self.lines[below]}"
                )
            self.lines[below] = key.start_mark.line + 1
            found[name] = self.value(item, below)
        return {**merged, **found} if merged else found

    def _merged(self, node: Any, path: Path_) -> Iterator[dict[str, Any]]:
        for part in node.value if node.id == "sequence" else [node]:
            value = self.value(part, path)
            if not isinstance(value, dict):
                raise ComposeError(
                    f"{self._path}: yaml: line {part.start_mark.line + 1}: "
                    "map merge requires map or sequence of maps as the value"
                )
            yield value


def scalar(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if re.fullmatch(_INT, text):
        return _integer(text)
    if re.fullmatch(_FLOAT, text):
        return float(text)
    return _SPECIAL.get(text.lower(), text)


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)
