"""Go templates over JSON documents and table rows: what `--format '{{…}}'` prints.

A value is what JSON has; a row's field may be a function, which makes `.Label
"name"` work. Source: Go text/template and fmt, docker/cli templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydock_lab.client.commands.text.shapes import Struct, as_json, is_whole
from pydock_lab.client.commands.text.template_syntax import (
    Action,
    Chain,
    Function,
    Literal,
    Node,
    Pipeline,
    TemplateError,
    Text,
    Variable,
    parse_template,
)

__all__ = ["Template", "TemplateError", "go_text"]

_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


class Template:
    r"""A parsed template.

    Args:
        source: `{{.Names}}\t{{json .Mounts}}`.
        type_name: What Go calls the document, named when a field is missing; "" for a plain map.

    Raises:
        TemplateError: it can't be parsed.
    """

    def __init__(self, source: str, *, type_name: str = "") -> None:
        self._nodes = parse_template(source, frozenset(_FUNCTIONS) | {"and", "or"})
        self._type_name = type_name

    def render(self, document: Any) -> str:
        """Apply the template to one document.

        Raises:
            TemplateError: it names a field that isn't there, in Go's words.
        """
        pieces: list[str] = []
        self._run(self._nodes, document, [{"": document}], pieces)
        return "".join(pieces)

    def _run(self, nodes: Sequence[Node], dot: Any, scopes: list[dict[str, Any]], pieces: list[str]) -> None:
        for node in nodes:
            if isinstance(node, Text):
                pieces.append(node.text)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot, scopes)
                if not node.pipeline.variables:
                    pieces.append(go_text(value))
            elif node.keyword == "range":
                self._range(node, dot, scopes, pieces)
            else:
                inner = [*scopes, {}]
                value = self._pipeline(node.pipeline, dot, inner)
                if value:
                    self._run(node.body, value if node.keyword == "with" else dot, inner, pieces)
                else:
                    self._run(node.otherwise, dot, inner, pieces)

    def _range(self, node: Any, dot: Any, scopes: list[dict[str, Any]], pieces: list[str]) -> None:
        value = self._pipeline(Pipeline(node.pipeline.commands), dot, scopes)
        if isinstance(value, Mapping):
            items: list[tuple[Any, Any]] = sorted(value.items())
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(number, number) for number in range(value)]
        elif value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
            items = list(enumerate(value or ()))
        else:
            raise TemplateError(
                f'template: :1: executing "": range can\'t iterate over {go_text(value)}', parsing=False
            )
        if not items:
            self._run(node.otherwise, dot, scopes, pieces)
        names = node.pipeline.variables
        for key, element in items:
            variables = {names[0]: key, names[1]: element} if len(names) == 2 else dict.fromkeys(names, element)
            self._run(node.body, element, [*scopes, variables], pieces)

    def _pipeline(self, pipeline: Pipeline, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        value: Any = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, scopes, [value] if number else [])
        if pipeline.assigns:
            next((scope for scope in reversed(scopes) if pipeline.variables[0] in scope), scopes[-1])[
                pipeline.variables[0]
            ] = value
        elif pipeline.variables:
            scopes[-1][pipeline.variables[0]] = value
        return value

    def _command(self, operands: tuple[Any, ...], dot: Any, scopes: list[dict[str, Any]], last: list[Any]) -> Any:
        first, *rest = operands
        if isinstance(first, Function) and first.name in ("and", "or"):
            return self._and_or(first.name, rest, dot, scopes, last)
        arguments = [self._operand(operand, dot, scopes) for operand in rest] + last
        if isinstance(first, Function):
            try:
                return _FUNCTIONS[first.name](*arguments)
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise TemplateError(
                    f'template: :1: executing "" at <{first.name}>: error calling {first.name}: {error}', parsing=False
                ) from None
        value = self._operand(first, dot, scopes, call=False)
        if callable(value):
            return _called(value, first, arguments)
        if arguments:
            raise TemplateError("template: :1: can't give argument to non-function", parsing=False)
        return value

    def _and_or(
        self, name: str, operands: Sequence[Any], dot: Any, scopes: list[dict[str, Any]], last: list[Any]
    ) -> Any:
        value: Any = None
        for operand in operands:
            value = self._operand(operand, dot, scopes)
            if bool(value) == (name == "or"):
                return value
        return last[0] if last else value

    def _operand(self, operand: Any, dot: Any, scopes: list[dict[str, Any]], *, call: bool = True) -> Any:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Variable):
            return self._variable(operand.name, scopes)
        if isinstance(operand, Pipeline):
            return self._pipeline(operand, dot, scopes)
        if isinstance(operand, Function):
            return self._command((operand,), dot, scopes, [])
        base = dot if operand.base is None else self._operand(operand.base, dot, scopes)
        value = self._chain(base, operand)
        return _called(value, operand, []) if call and callable(value) else value

    def _variable(self, name: str, scopes: list[dict[str, Any]]) -> Any:
        for scope in reversed(scopes):
            if name in scope:
                return scope[name]
        raise TemplateError(f'template: :1: undefined variable "${name}"')

    def _chain(self, value: Any, chain: Chain) -> Any:
        # Go names the column of the last field, whichever is missing.
        column = chain.column + sum(len(name) + 1 for name in chain.names[:-1])
        whole = "".join(f".{name}" for name in chain.names)
        for name in chain.names:
            if callable(value):
                value = value()
            try:
                value = value.field(name) if isinstance(value, Struct) else value[name]
            except (KeyError, TypeError, IndexError):
                where = f'template: :1:{column}: executing "" at <{whole}>'
                raise TemplateError(f"{where}: {self._missing(value, name)}", parsing=False) from None
        return value

    def _missing(self, value: Any, name: str) -> str:
        if value is None:
            return f"nil pointer evaluating interface {{}}.{name}"
        if isinstance(value, Mapping) and not self._type_name:
            return f'map has no entry for key "{name}"'
        kind = self._type_name if isinstance(value, Mapping) else _go_type(value)
        return f"can't evaluate field {name} in type {kind}"


def _called(method: Callable[..., Any], chain: Any, arguments: list[Any]) -> Any:
    """Call a row's method (`.Label "name"`); each takes one argument."""
    if isinstance(chain, Chain) and len(arguments) != 1:
        name, column = chain.names[-1], chain.column + sum(len(part) + 1 for part in chain.names[:-1])
        where = f'template: :1:{column}: executing "" at <.{name}>'
        raise TemplateError(f"{where}: wrong number of args for {name}: want 1 got {len(arguments)}", parsing=False)
    return method(*arguments)


def go_text(value: Any) -> str:
    """Print a value as Go's `%v` does."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Struct) and is_whole(value):
        return "{" + " ".join(go_text(item) for item in value.values_in_order()) + "}"
    if isinstance(value, Mapping):
        # An empty object inside another is Go's struct{} (ExposedPorts, Volumes).
        items = ((key, "{}" if item == {} else go_text(item)) for key, item in sorted(value.items()))
        return "map[" + " ".join(f"{key}:{text}" for key, text in items) + "]"
    if isinstance(value, Sequence):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) or abs(value) >= 1e21 else str(int(value))
    if callable(value):
        return go_text(value())
    return str(value)


def go_json(value: Any) -> str:
    """Encode as Docker's `json` function does: compact, keys as they are, `<` not escaped."""
    return json.dumps(as_json(value), separators=(",", ":"), ensure_ascii=False, default=lambda item: item())


def _go_type(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[]interface {}"
    return {str: "string", bool: "bool", int: "int", float: "float64"}.get(type(value), "interface {}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif value is None:
            raise LookupError("index of untyped nil")
        elif isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise LookupError(f"reflect: slice index out of range: {go_text(key)}")
    return value


def _printf(pattern: str, *values: Any) -> str:
    rest = list(values)

    def verb(match: re.Match[str]) -> str:
        flags, width, precision, letter = match.groups()
        if letter == "%":
            return "%"
        if not rest:
            return f"%!{letter}(MISSING)"
        value = rest.pop(0)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if letter == "q":
            text = json.dumps(go_text(value), ensure_ascii=False)
        elif number and letter in "dxXofeEgG":
            return str(f"%{flags}{width or ''}{'.' + precision if precision else ''}{letter}" % value)
        else:
            text = go_text(value)
            text = text[: int(precision)] if precision else text
        size = int(width or 0)
        return text.ljust(size) if "-" in flags else text.rjust(size)

    return _VERB.sub(verb, pattern)


def _println(*values: Any) -> str:
    return " ".join(go_text(value) for value in values) + "\n"


def _print(*values: Any) -> str:
    """Go's Sprint: a space between two operands where neither is a string."""
    out = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out += " "
        out += go_text(value)
    return out


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": go_json,
    "join": lambda items, separator: separator.join(go_text(item) for item in items or ()),
    "split": lambda text, separator: text.split(separator),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "title": lambda text: re.sub(r"\b\w", lambda match: match[0].upper(), text),
    "truncate": _truncate,
    "pad": _pad,
    "print": _print,
    "println": _println,
    "printf": _printf,
    "len": len,
    "index": _index,
    "slice": lambda value, *bounds: value[slice(*(bounds if len(bounds) > 1 else (*bounds, None)))],
    "not": lambda value: not value,
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda first, second: first != second,
    "lt": lambda first, second: first < second,
    "le": lambda first, second: first <= second,
    "gt": lambda first, second: first > second,
    "ge": lambda first, second: first >= second,
}
