"""A magic's line → words, with a shell's quoting and Python's variables.

What a learner types after `%container` must mean what it means after `docker`
in a terminal, so quotes, backslashes and `$(…)` follow the shell (POSIX shell
command language, 2.2 Quoting and 2.6.3 Command Substitution). On top of that
come the notebook's own variables: `$name` and `{expression}`.

What is *not* a variable is left alone: `'…'` protects everything as in a shell,
`{{.Names}}` is a Go template, and `$NAME` or `{…}` that Python does not know
stay as they were typed, for the shell inside the container to expand.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.errors import InvalidParameter

Substitute = Callable[[str], str]

_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_BLANK = " \t\r\n"


def split(line: str, namespace: Mapping[str, Any], substitute: Substitute | None = None) -> list[str]:
    """Split a command line into words.

    Args:
        line: The line as typed, the magic's own name already taken off.
        namespace: The notebook's variables.
        substitute: Runs the command of a `$(…)` and returns what it printed; None leaves `$(…)` as typed.

    Returns:
        The words. An unquoted variable or substitution is split at blanks as a shell does; a list
        or tuple gives one word per item.

    Raises:
        InvalidParameter: a quote or `$(` is not closed.
    """
    return _Splitter(line, namespace, substitute).words()


@dataclass
class _Splitter:
    line: str
    namespace: Mapping[str, Any]
    substitute: Substitute | None
    at: int = 0
    done: list[str] = field(default_factory=list)
    word: str | None = None  # None between words; "" is a word too: `-e A=''`

    def words(self) -> list[str]:
        while self.at < len(self.line):
            char = self.line[self.at]
            if char in _BLANK:
                self._end_word()
                self.at += 1
            elif char == "#" and self.word is None:
                break
            elif char == "'":
                self._add(self._until("'"))
            elif char == '"':
                self._double_quoted()
            elif char == "\\":
                self._backslash()
            else:
                self._plain(quoted=False)
        self._end_word()
        return self.done

    def _add(self, text: str) -> None:
        self.word = (self.word or "") + text

    def _end_word(self) -> None:
        if self.word is not None:
            self.done.append(self.word)
            self.word = None

    def _until(self, quote: str) -> str:
        end = self.line.find(quote, self.at + 1)
        if end < 0:
            raise InvalidParameter(f"unexpected end of line while looking for matching `{quote}`")
        text = self.line[self.at + 1 : end]
        self.at = end + 1
        return text

    def _backslash(self) -> None:
        following = self.line[self.at + 1 : self.at + 2]
        if following != "\n":  # backslash-newline joins two lines
            self._add(following or "\\")
        self.at += 2

    def _double_quoted(self) -> None:
        self.at += 1
        self._add("")
        while self.at < len(self.line) and self.line[self.at] != '"':
            if self.line[self.at] == "\\":
                following = self.line[self.at + 1 : self.at + 2]
                self._add(following if following and following in '$`"\\' else "\\" + following)
                self.at += 2
            else:
                self._plain(quoted=True)
        if self.at >= len(self.line):
            raise InvalidParameter('unexpected end of line while looking for matching `"`')
        self.at += 1

    def _plain(self, *, quoted: bool) -> None:
        """Take one character, variable, expression or substitution."""
        rest = self.line[self.at :]
        if rest.startswith("$("):
            self._substitution(quoted)
        elif rest.startswith("{{"):
            end = rest.find("}}")
            self._take(rest[: end + 2] if end >= 0 else "{{")
        elif (match := _NAME.match(rest)) and (name := match[1] or match[2]) in self.namespace:
            self.at += match.end()
            self._put(self.namespace[name], quoted)
        elif rest[0] == "{" and (found := self._expression(rest)):
            length, value = found
            self.at += length
            self._put(value, quoted)
        elif rest.startswith("$") and match:
            self._take(match[0])  # not Python's: leave ${NAME} whole for the container's shell
        else:
            self._take(rest[0])

    def _take(self, text: str) -> None:
        self._add(text)
        self.at += len(text)

    def _expression(self, rest: str) -> tuple[int, object] | None:
        """Evaluate the `{…}` at the start of `rest`; None where it is no Python the notebook knows."""
        for end in (i for i, char in enumerate(rest) if char == "}"):
            source = rest[1:end].strip()
            try:
                code = compile(source, "<magic>", "eval")
            except (SyntaxError, ValueError):
                continue  # `{d["}"]}`: try the next brace
            try:
                return end + 1, eval(code, {}, dict(self.namespace))  # the learner's own code, as in any cell
            except Exception:
                return None
        return None

    def _substitution(self, quoted: bool) -> None:
        depth, end = 0, self.at + 1
        for end in range(self.at + 1, len(self.line)):
            depth += {"(": 1, ")": -1}.get(self.line[end], 0)
            if depth == 0:
                break
        if depth:
            raise InvalidParameter("unexpected end of line while looking for matching `)`")
        command = self.line[self.at + 2 : end]
        text = self.line[self.at : end + 1]
        self.at = end + 1
        if self.substitute is None:
            self._add(text)
        else:
            self._put(self.substitute(command).rstrip("\n"), quoted)

    def _put(self, value: object, quoted: bool) -> None:
        """Add a value: as it is inside quotes, split at blanks outside them."""
        if isinstance(value, (list, tuple)):
            items = [str(item) for item in value]
            if quoted:
                self._add(" ".join(items))
                return
        elif quoted:
            self._add(str(value))
            return
        else:
            items = str(value).split()
        for i, item in enumerate(items):
            if i:
                self._end_word()
            self._add(item)


def quote(words: list[str]) -> str:
    """Write words as a line that a shell reads back."""
    return shlex.join(words)
