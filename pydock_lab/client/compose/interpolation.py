"""`$NAME` and `${NAME…}` in a Compose file.

Pure: text and a lookup in, text out. Source: compose-spec 12-interpolation.md,
compose-go template/template.go (the operators, nesting, messages).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydock_lab.client.compose.document import Override
from pydock_lab.client.compose.problem import ComposeError

_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_NAME = _START | frozenset("0123456789")
_OPERATORS = (":-", "-", ":?", "?", ":+", "+")


class Malformed(ValueError):
    """A `${` that names no variable."""


class Required(ValueError):
    """`${NAME?message}` without the variable."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"required variable {name} is missing a value" + (f": {message}" if message else ""))


class Variable(NamedTuple):
    """A variable that a file asks for.

    Attributes:
        name: Without the dollar.
        required: The file can't be read without it.
        default: What stands for it where it is not set, as written, or "".
        alternate: What stands for it where it is set, as written, or "".
    """

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def substitute(text: str, variables: Mapping[str, str], unset: Callable[[str], None] | None = None) -> str:
    """Replace the variables of a text; `$$` is a dollar.

    Args:
        text: What stands in the file.
        variables: Their values.
        unset: Told each name that has no value and no default.

    Raises:
        Malformed: a `${` begins no variable.
        Required: a variable that must be there isn't.
    """
    pieces: list[str] = []
    position = 0
    for start, end, inner in _references(text):
        pieces.append(text[position:start])
        pieces.append(_braced(inner, variables, unset) if inner else "$")
        position = end
    return "".join([*pieces, text[position:]])


def variables_of(value: Any) -> Iterator[Variable]:
    """Yield the variables in every string below a value, those in defaults too.

    Raises:
        Malformed: a `${` begins no variable.
    """
    if isinstance(value, Override):
        yield from variables_of(value.value)
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from variables_of(item)
    elif isinstance(value, str):
        for _, _, inner in _references(value):
            if inner:
                name, operator, word = _split(inner)
                yield Variable(
                    name,
                    required=operator.endswith("?"),
                    default=word if operator.endswith("-") else "",
                    alternate=word if operator.endswith("+") else "",
                )
                yield from variables_of(word)


def _references(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each reference begins and ends, and what it names: `NAME`, `NAME:-word`; "" for `$$`."""
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            position, inner = dollar + 2, ""
        elif following == "{":
            end = _closing(text, dollar + 2)
            position, inner = end + 1, text[dollar + 2 : end]
            if not inner:
                raise Malformed(text)
        elif following and following in _START:
            position = dollar + 1
            while position < len(text) and text[position] in _NAME:
                position += 1
            inner = text[dollar + 1 : position]
        else:  # a dollar before anything else is itself: `cost: $5`, `$(date)`
            position = dollar + 1
            continue
        yield dollar, position, inner


def _closing(text: str, start: int) -> int:
    """Return where the brace closes that opened before `start`; defaults may hold braces of their own."""
    depth, position = 1, start
    while position < len(text):
        if text.startswith("${", position):
            depth, position = depth + 1, position + 2
            continue
        if text[position] == "}":
            depth -= 1
            if not depth:
                return position
        position += 1
    raise Malformed(text)


def _split(inner: str) -> tuple[str, str, str]:
    """`NAME:-word` → name, operator and word; the latter two are "" for a name alone."""
    end = 0
    while end < len(inner) and inner[end] in _NAME:
        end += 1
    name, rest = inner[:end], inner[end:]
    operator = next((known for known in _OPERATORS if rest.startswith(known)), "")
    if not name or name[0] not in _START or (rest and not operator):
        raise Malformed(f"${{{inner}}}")
    return name, operator, rest[len(operator) :]


def _braced(inner: str, variables: Mapping[str, str], unset: Callable[[str], None] | None) -> str:
    name, operator, word = _split(inner)
    value = variables.get(name)
    if not operator:
        return _value(name, variables, unset)
    has = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return substitute(word, variables, unset) if has else ""
    if has:
        return value or ""
    if operator.endswith("?"):
        raise Required(name, substitute(word, variables, unset))
    return substitute(word, variables, unset)


def _value(name: str, variables: Mapping[str, str], unset: Callable[[str], None] | None) -> str:
    value = variables.get(name)
    if value is None and unset is not None:
        unset(name)
    return value or ""


def interpolate(value: Any, variables: Mapping[str, str], unset: Callable[[str], None], path: str = "") -> Any:
    """Replace the variables in every string below a value; keys are left as they are.

    Raises:
        ComposeError: with the place (`services.web.image`), in Compose's words.
    """
    if isinstance(value, dict):
        return {
            key: interpolate(item, variables, unset, f"{path}.{key}" if path else key) for key, item in value.items()
        }
    if isinstance(value, list):
        return [interpolate(item, variables, unset, f"{path}.[]") for item in value]
    if isinstance(value, Override):
        return Override(interpolate(value.value, variables, unset, path))
    if not isinstance(value, str):
        return value
    try:
        return substitute(value, variables, unset)
    except Malformed:
        raise ComposeError(
            f"invalid interpolation format for {path}.\nYou may need to escape any $ with another $.\n{value}"
        ) from None
    except Required as error:
        raise ComposeError(f"error while interpolating {path}: {error}") from None
