"""`.env` and `env_file`: lines of NAME=value.

Pure. Source: compose-spec 05-services.md ("env_file"), compose-go dotenv/parser.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydock_lab.client.compose.interpolation import Malformed, Required, substitute

_LINE = re.compile(r"\s*(?:export[ \t]+)?(?P<name>[A-Za-z0-9_.\[\]-]+)[ \t]*(?P<sign>[=:]?)[ \t]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def parse(text: str, variables: Mapping[str, str], *, name: str = ".env") -> dict[str, str | None]:
    """Read the lines; a name without `=` takes its value from `variables`, or None.

    Args:
        text: The file.
        variables: What `$NAME` in a value may name, besides the lines above it.
        name: The file's name, for messages.

    Raises:
        ValueError: a line is malformed, with its number.
    """
    found: dict[str, str | None] = {}
    for number, key, sign, value, quote in _entries(text.removeprefix("\ufeff").replace("\r\n", "\n"), name):
        if not sign:
            if key in variables:
                found[key] = variables[key]
            continue
        known = {**{k: v for k, v in found.items() if v is not None}, **variables}
        try:
            found[key] = value if quote == "'" else substitute(value, known)
        except (Malformed, Required) as error:
            raise ValueError(f"failed to read {name}: line {number}: {error}") from None
    return found


def parse_raw(text: str) -> dict[str, str | None]:
    """Read the lines of `format: raw`: everything after the first `=` is the value, quotes and dollars too."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {key: value if equals else None for key, equals, value in (line.partition("=") for line in lines)}


def _entries(text: str, name: str) -> Iterator[tuple[int, str, str, str, str]]:
    position = 0
    while position < len(text):
        rest = re.compile(r"(?:[ \t\n]|#[^\n]*)*").match(text, position)
        assert rest is not None
        position = rest.end()
        if position >= len(text):
            return
        number = text.count("\n", 0, position) + 1
        head = _LINE.match(text, position)
        line_end = text.find("\n", position)
        line_end = len(text) if line_end < 0 else line_end
        if head is None or head.end() > line_end or (not head["sign"] and text[head.end() : line_end].strip()):
            line = text[position:line_end]
            raise ValueError(f'failed to read {name}: line {number}: unexpected character in variable name "{line}"')
        position = head.end()
        quote = text[position : position + 1]
        if head["sign"] and quote in ("'", '"') and quote:
            value, position = _quoted(text, position, quote, name, number)
        else:
            value, position = re.split(r"(?:^|\s)#", text[position:line_end], maxsplit=1)[0].strip(), line_end
            quote = ""
        yield number, head["name"], head["sign"], value, quote


def _quoted(text: str, start: int, quote: str, name: str, number: int) -> tuple[str, int]:
    end = start + 1
    while end < len(text) and text[end] != quote:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise ValueError(f"failed to read {name}: line {number}: unterminated quoted value {text[start:].strip()}")
    value = text[start + 1 : end]
    if quote == '"':
        value = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value, flags=re.DOTALL)
    else:
        value = value.replace("\\'", "'")
    line_end = text.find("\n", end)
    return value, len(text) if line_end < 0 else line_end
