"""Variable expansion and quote removal in Dockerfile words: `$x`, `${x:-y}`, `"…"`, `'…'`, escapes.

Not for splitting shell commands: RUN, CMD and ENTRYPOINT in shell form go to the
image's shell untouched. Source: the Dockerfile reference, "Environment
replacement"; POSIX.1-2017 shell 2.6.2 (parameter expansion) and 2.13 (patterns).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydock_lab.errors import DockerfileError

_NAME = re.compile(r"[0-9]+|[@*#?\-$!]|[^\W\d]\w*")
_OPERATORS = frozenset(":+-?#%/")


@dataclass(frozen=True)
class Lexer:
    """How words are read.

    Args:
        escape: The Dockerfile's escape character, a backslash or a backtick.
        raw_quotes: Leave quote characters in the result.
        raw_escapes: Leave escape characters in the result.
        process_quotes: Give quote characters their meaning; off for the body of a heredoc.
        keep_unset: Leave a reference to an unset variable as it is written.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    process_quotes: bool = True
    keep_unset: bool = False

    def expand(self, word: str, env: Mapping[str, str]) -> str:
        """Expand one word. Raises DockerfileError, `failed to process "…": …`."""
        return self.read(word, env).text

    def split(self, word: str, env: Mapping[str, str]) -> list[str]:
        """Expand, then split at blanks that are neither quoted nor escaped."""
        return self.read(word, env).words

    def read(self, word: str, env: Mapping[str, str]) -> Expansion:
        """Expand one word and tell which variables it used."""
        scan = _Scan(self, word, env, self.raw_escapes)
        try:
            text, words = scan.until("")
        except _SyntaxError as error:
            raise DockerfileError(f"failed to process {json.dumps(word, ensure_ascii=False)}: {error}") from None
        except RecursionError:
            raise DockerfileError("failed to process a substitution that is nested too deeply") from None
        return Expansion(text, words, frozenset(scan.matched), frozenset(scan.unmatched))


@dataclass(frozen=True)
class Expansion:
    """What became of a word.

    Attributes:
        text: The expanded word.
        words: The same, split at blanks.
        matched: Names of the variables that were set.
        unmatched: Names of the variables that were not.
    """

    text: str
    words: list[str]
    matched: frozenset[str]
    unmatched: frozenset[str]


class _SyntaxError(Exception):
    """The word is malformed; becomes a DockerfileError that names the word."""


@dataclass
class _Words:
    """Splits at blanks as characters arrive; quoted text arrives raw and is never split."""

    done: list[str] = field(default_factory=list)
    current: str = ""

    def add(self, text: str) -> None:
        for char in text:
            if not char.isspace():
                self.current += char
            elif self.current:
                self.done.append(self.current)
                self.current = ""

    def add_raw(self, text: str) -> None:
        self.current += text

    def finish(self) -> list[str]:
        if self.current:
            self.done.append(self.current)
            self.current = ""
        return self.done


class _Scan:
    """One pass over one word."""

    def __init__(self, lexer: Lexer, source: str, env: Mapping[str, str], raw_escapes: bool) -> None:
        self.lexer = lexer
        self.source = source
        self.env = env
        self.raw_escapes = raw_escapes
        self.position = 0
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def peek(self) -> str:
        return self.source[self.position : self.position + 1]

    def next(self) -> str:
        char = self.source[self.position : self.position + 1]
        self.position += 1
        return char

    def until(self, stop: str) -> tuple[str, list[str]]:
        """Read to the character `stop` (which is consumed), or to the end when `stop` is empty."""
        result: list[str] = []
        words = _Words()
        while char := self.peek():
            if char == stop:
                self.next()
                return "".join(result), words.finish()
            if char == "$":
                value = self.dollar()
                words.add(value)
                result.append(value)
            elif char in "'\"" and self.lexer.process_quotes:
                value = self.single_quoted() if char == "'" else self.double_quoted()
                words.add_raw(value)
                result.append(value)
            elif char == self.lexer.escape:
                self.next()
                escaped = (char if self.raw_escapes else "") + self.next()
                words.add_raw(escaped)
                result.append(escaped)
            else:
                words.add(self.next())
                result.append(char)
        if stop:
            raise _SyntaxError("syntax error: missing '/' in ${}" if stop == "/" else f"syntax error: missing '{stop}'")
        return "".join(result), words.finish()

    def until_with_escapes(self, stop: str) -> str:
        """Like `until`, keeping escapes: they mean something to a pattern."""
        before, self.raw_escapes = self.raw_escapes, True
        try:
            return self.until(stop)[0]
        finally:
            self.raw_escapes = before

    def single_quoted(self) -> str:
        start = self.position
        end = self.source.find("'", start + 1)
        if end < 0:
            raise _SyntaxError("unexpected end of statement while looking for matching single-quote")
        self.position = end + 1
        return self.source[start : end + 1] if self.lexer.raw_quotes else self.source[start + 1 : end]

    def double_quoted(self) -> str:
        result = [self.next()] if self.lexer.raw_quotes else [self.next()[:0]]
        while char := self.peek():
            if char == "$":
                result.append(self.dollar())
                continue
            self.next()
            if char == '"':
                if self.lexer.raw_quotes:
                    result.append(char)
                return "".join(result)
            if char == self.lexer.escape:
                if self.raw_escapes:
                    result.append(char)
                # Only these can be escaped inside double quotes; any other escape character stays.
                if self.peek() and self.peek() in ('"', "$", self.lexer.escape):
                    char = self.next()
                elif not self.peek():
                    continue
            result.append(char)
        raise _SyntaxError("unexpected end of statement while looking for matching double-quote")

    def name(self) -> str:
        match = _NAME.match(self.source, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[0]

    def lookup(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def dollar(self) -> str:
        self.next()
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.lookup(name)
            if value is None:
                return f"${name}" if self.lexer.keep_unset else ""
            return value
        self.next()
        if not self.peek():
            raise _SyntaxError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise _SyntaxError("syntax error: bad substitution")
        return self.braced(self.name())

    def braced(self, name: str) -> str:
        """Read what follows the name in `${name…}`."""
        operator = self.next()
        if operator == "}":
            value = self.lookup(name)
            if value is None:
                return f"${{{name}}}" if self.lexer.keep_unset else ""
            return value
        if not operator:
            raise _SyntaxError("syntax error: missing '}'")
        if operator not in _OPERATORS:
            raise _SyntaxError(f"unsupported modifier ({operator}) in substitution")
        if operator == "/":
            return self.replace(name)
        null_is_unset = operator == ":"
        if null_is_unset:
            operator = self.next()
            if operator in ("/", "") or operator not in _OPERATORS:
                raise _SyntaxError(f"unsupported modifier (:{operator}) in substitution")
        word = self.until_with_escapes("}") if operator in "#%" else self.until("}")[0]
        value = self.lookup(name)
        if value is None and self.lexer.keep_unset:
            return f"${{{name}{':' if null_is_unset else ''}{operator}{word}}}"
        return _substitute(name, operator, word, value, null_is_unset=null_is_unset)

    def replace(self, name: str) -> str:
        """`${name/pattern/replacement}` and, with two slashes, every occurrence."""
        every = self.peek() == "/"
        if every:
            self.next()
        pattern = self.until_with_escapes("/")
        replacement = self.until_with_escapes("}")
        value = self.lookup(name)
        if value is None and self.lexer.keep_unset:
            return f"${{{name}/{'/' if every else ''}{pattern}/{replacement}}}"
        compiled = _pattern(pattern, greedy=True)
        return compiled.sub(lambda _: replacement, value or "", count=0 if every else 1)


def _substitute(name: str, operator: str, word: str, value: str | None, *, null_is_unset: bool) -> str:
    missing = value is None or (null_is_unset and value == "")
    if operator == "-":
        return word if missing else value or ""
    if operator == "+":
        return "" if missing else word
    if operator == "?":
        if missing:
            default = "is not allowed to be unset" if value is None else "is not allowed to be empty"
            raise _SyntaxError(f"{name}: {word or default}")
        return value or ""
    if operator not in "#%":
        raise _SyntaxError(f"unsupported modifier (:{operator}) in substitution")
    greedy = word.startswith(operator)
    return _trim(value or "", word[1:] if greedy else word, greedy=greedy, suffix=operator == "%")


def _trim(value: str, pattern: str, *, greedy: bool, suffix: bool) -> str:
    if not suffix:
        match = _pattern(pattern, greedy=greedy).match(value)
        return value[match.end() :] if match else value
    # Longest or shortest suffix: try the starting points from one end or the other.
    compiled = _pattern(pattern, greedy=True)
    starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    for start in starts:
        if compiled.fullmatch(value, start):
            return value[:start]
    return value


def _pattern(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    """Translate a shell pattern (`*`, `?`, backslash) to a regular expression."""
    out: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char != "\\":
            out.append(re.escape(char))
        else:
            following = pattern[position : position + 1]
            # `\}` and `\/` were escaped for the sake of `${…}`; the backslash is not part of the pattern.
            if following not in ("*", "?", "\\", "}", "/"):
                raise _SyntaxError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{following}'")
            out.append(re.escape(following))
            position += 1
    return re.compile("".join(out), re.DOTALL)
