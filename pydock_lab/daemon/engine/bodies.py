"""Reading the body of a request as Go's decoder does: null is absence, keys may be in any case, the rest is dropped.

Clients rely on it: docker-py sends `detachKeys`, others write `image` for `Image`.
Source: Go's encoding/json (Unmarshal); moby api/server/httputils (ReadJSON).
"""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from pydock_lab.daemon.engine import gojson
from pydock_lab.errors import InvalidParameter

_Body = TypeVar("_Body")


def read(body: bytes, kind: type[_Body]) -> _Body:
    """Read a body as the TypedDict that it should be.

    Raises:
        InvalidParameter: it is empty, or no JSON, or of another shape.
    """
    if not body:
        raise InvalidParameter("invalid JSON: got EOF while reading request body")
    try:
        asked = msgspec.json.decode(body)
        return msgspec.convert({} if asked is None else _as_go_reads(asked, kind), kind)
    except UnicodeDecodeError:
        raise InvalidParameter("invalid JSON: it is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"invalid JSON: {gojson.refusal(body, error, kind.__name__)}") from None


def _as_go_reads(value: Any, kind: Any) -> Any:
    """Drop what is null, and spell keys as they are declared.

    Args:
        value: What the client sent.
        kind: The type it should be; keys of a TypedDict get the spelling that it has there.
    """
    if isinstance(value, dict):
        known = _keys(kind) if is_typeddict(kind) else {}
        read = {}
        for key, inner in value.items():
            if inner is not None:
                name, inner_kind = known.get(key.lower(), (key, _element(kind, dict)))
                read[name] = _as_go_reads(inner, inner_kind)
        return read
    if isinstance(value, list):
        return [_as_go_reads(inner, _element(kind, list)) for inner in value]
    return value


@cache
def _keys(kind: type) -> dict[str, tuple[str, Any]]:
    """Return the keys of a TypedDict in lower case → as they are spelled, and what they hold (None aside)."""
    return {name.lower(): (name, _not_none(hint)) for name, hint in get_type_hints(kind).items()}


def _element(kind: Any, container: type) -> Any:
    """Return what a `list[…]` or the values of a `dict[str, …]` should be, None where that is not said."""
    return _not_none(get_args(kind)[-1]) if get_origin(kind) is container else None


def _not_none(hint: Any) -> Any:
    choices = [choice for choice in get_args(hint) if choice is not type(None)]
    return choices[0] if get_origin(hint) is UnionType and choices else hint
