"""Go's text/template, the part that Docker users write after `--format`: text into a tree.

Actions, pipelines, variables, `if`, `range`, `with`, comments and trim markers;
no `define` or `template`. What the tree means is in templates.py. Source: Go
text/template documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"^\s*/\*.*\*/\s*$", re.DOTALL)
_TOKEN = re.compile(
    r"""\s+
    | (?P<string> "(?:\\.|[^"\\])*" | `[^`]*` )
    | (?P<char> '(?:\\.|[^'\\])' )
    | (?P<number> [+-]?\d+(?:\.\d+)? )
    | (?P<variable> \$\w*(?:\.\w+)* )
    | (?P<field> (?:\.[^\W\d]\w*)+ )
    | (?P<dot> \. )
    | (?P<name> [^\W\d]\w* )
    | (?P<open> \( )
    | (?P<close> \)(?:\.[^\W\d]\w*)* )
    | (?P<declare> := | = )
    | (?P<pipe> \| )
    | (?P<comma> , )""",
    re.VERBOSE,
)


class TemplateError(Exception):
    """A template is wrong; the text is Go's.

    Args:
        message: `template: :1: unclosed action`.
        parsing: It could not be parsed (else: not executed).
    """

    def __init__(self, message: str, *, parsing: bool = True) -> None:
        super().__init__(message)
        self.parsing = parsing


@dataclass(frozen=True)
class Literal:
    """A string, number, true, false or nil."""

    value: Any


@dataclass(frozen=True)
class Chain:
    """Fields of something: `.A.B` (base None: the dot), `$x.A`, `(…).A`."""

    base: Variable | Pipeline | None
    names: tuple[str, ...]
    column: int


@dataclass(frozen=True)
class Variable:
    """`$name`; `$` is the root."""

    name: str


@dataclass(frozen=True)
class Function:
    """A function's name."""

    name: str


@dataclass(frozen=True)
class Pipeline:
    """`a b | c d`, with the variables it sets."""

    commands: tuple[tuple[Any, ...], ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False


@dataclass(frozen=True)
class Text:
    """Text outside actions."""

    text: str


@dataclass(frozen=True)
class Action:
    """`{{pipeline}}`."""

    pipeline: Pipeline


@dataclass(frozen=True)
class Branch:
    """`{{if …}}`, `{{range …}}` or `{{with …}}` with its body and its else."""

    keyword: str
    pipeline: Pipeline
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...] = ()


Node = Text | Action | Branch


@dataclass
class _Frame:
    """A block that is not closed yet; `else if` opens one inside that the same `end` closes."""

    keyword: str
    pipeline: Pipeline
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] | None = None
    chained: bool = False

    @property
    def target(self) -> list[Node]:
        return self.body if self.otherwise is None else self.otherwise

    def branch(self) -> Branch:
        return Branch(self.keyword, self.pipeline, tuple(self.body), tuple(self.otherwise or ()))


def parse_template(source: str, functions: frozenset[str]) -> tuple[Node, ...]:
    """Read a template.

    Args:
        source: As the user wrote it.
        functions: Names that may be called.

    Raises:
        TemplateError: in Go's words.
    """
    root: list[Node] = []
    stack: list[_Frame] = []
    for text, action, offset in _split(source):
        target = stack[-1].target if stack else root
        if action is None:
            target.append(Text(text))
            continue
        keyword = (re.match(r"\s*(\w+)\b", action) or [""])[0].strip()
        reader = _Reader(action, offset, source, functions)
        if keyword in ("if", "range", "with"):
            reader.skip(keyword)
            stack.append(_Frame(keyword, reader.pipeline()))
        elif keyword == "else":
            if not stack or stack[-1].otherwise is not None:
                raise TemplateError(f"template: :{reader.line}: unexpected {{{{else}}}}")
            stack[-1].otherwise = []
            reader.skip("else")
            if inner := reader.keyword():
                reader.skip(inner)
                stack.append(_Frame(inner, reader.pipeline(), chained=True))
        elif keyword == "end":
            if not stack:
                raise TemplateError(f"template: :{reader.line}: unexpected {{{{end}}}}")
            while True:
                frame = stack.pop()
                (stack[-1].target if stack else root).append(frame.branch())
                if not frame.chained:
                    break
        else:
            target.append(Action(reader.pipeline()))
    if stack:
        raise TemplateError(f"template: :{source.count(chr(10)) + 1}: unexpected EOF")
    return tuple(root)


def _split(source: str) -> Iterator[tuple[str, str | None, int]]:
    """Yield (text, None, 0) and ("", action, offset of the action's inside)."""
    position, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[position : match.start()]
        text = text.lstrip() if trim else text
        text = text.rstrip() if match[1] else text
        if "{{" in text:
            break
        if text:
            yield text, None, 0
        if not _COMMENT.match(match[2]):
            yield "", match[2], match.start(2)
        position, trim = match.end(), bool(match[3])
    rest = source[position:]
    if "{{" in rest:
        raise TemplateError(f"template: :{source.count(chr(10), 0, position) + 1}: unclosed action")
    rest = rest.lstrip() if trim else rest
    if rest:
        yield rest, None, 0


class _Reader:
    """Reads one action."""

    def __init__(self, text: str, offset: int, source: str, functions: frozenset[str]) -> None:
        self.line = source.count("\n", 0, offset) + 1
        self._functions = functions
        self._column = offset - (source.rfind("\n", 0, offset) + 1)
        self._tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                if text[position] in "\"`'":
                    raise TemplateError(f"template: :{self.line}: unterminated quoted string")
                raise TemplateError(f"template: :{self.line}: unexpected {text[position]!r} in command")
            if match.lastgroup:
                self._tokens.append((match.lastgroup, match[match.lastgroup], self._column + match.start()))
            position = match.end()
        self._next = 0

    def keyword(self) -> str:
        """Return `if` or `with` if that comes next, else ""."""
        kind, text, _ = self._peek()
        return text if kind == "name" and text in ("if", "with", "range") else ""

    def skip(self, word: str) -> None:
        """Step over a keyword."""
        assert self._peek()[1] == word
        self._next += 1

    def pipeline(self, *, nested: bool = False) -> Pipeline:
        """Read `$a, $b := command | command`."""
        variables, assigns = self._declaration()
        commands: list[tuple[Any, ...]] = []
        operands: list[Any] = []
        while True:
            kind, text, column = self._peek()
            if kind == "" or kind == "close" or kind == "pipe":
                if not operands:
                    raise TemplateError(f"template: :{self.line}: missing value for command")
                commands.append(tuple(operands))
                operands = []
                if kind == "pipe":
                    self._next += 1
                    continue
                if (kind == "close") != nested:
                    problem = "unclosed left paren" if nested else "unexpected right paren"
                    raise TemplateError(f"template: :{self.line}: {problem}")
                return Pipeline(tuple(commands), variables, assigns)
            self._next += 1
            operands.append(self._operand(kind, text, column))

    def _declaration(self) -> tuple[tuple[str, ...], bool]:
        kinds = [kind for kind, _, _ in self._tokens[self._next : self._next + 4]]
        texts = [text for _, text, _ in self._tokens[self._next : self._next + 4]]
        if kinds[:2] == ["variable", "declare"]:
            self._next += 2
            return (texts[0][1:],), texts[1] == "="
        if kinds == ["variable", "comma", "variable", "declare"]:
            self._next += 4
            return (texts[0][1:], texts[2][1:]), texts[3] == "="
        return (), False

    def _operand(self, kind: str, text: str, column: int) -> Any:
        if kind == "string":
            return Literal(text[1:-1] if text[0] == "`" else json.loads(text, strict=False))
        if kind == "char":
            return Literal(ord(text[1:-1]))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "dot":
            return Chain(None, (), column)
        if kind == "field":
            return Chain(None, tuple(text[1:].split(".")), column)
        if kind == "variable":
            name, *names = text[1:].split(".")
            return Chain(Variable(name), tuple(names), column + len(name) + 1) if names else Variable(name)
        if kind == "open":
            inner = self.pipeline(nested=True)
            _, closing, end = self._peek()
            self._next += 1
            fields = tuple(closing[2:].split(".")) if len(closing) > 1 else ()
            return Chain(inner, fields, end + 1) if fields else inner
        if kind == "name":
            constants = {"true": True, "false": False, "nil": None}
            if text in constants:
                return Literal(constants[text])
            if text not in self._functions:
                raise TemplateError(f'template: :{self.line}: function "{text}" not defined')
            return Function(text)
        raise TemplateError(f"template: :{self.line}: unexpected {text!r} in operand")

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("", "", 0)
