"""Check a Compose file against the Compose Specification's JSON schema.

A checker of our own for the few keywords that the schema uses: it knows the
line of every value, picks the branch of a `oneOf` that the author meant, and
names the nearest key that exists. The schema (compose-spec.json) is the
specification's, Apache-2.0.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.compose.document import Document, Override, Path_, Reset
from pydock_lab.client.compose.merge import UNIQUE
from pydock_lab.client.compose.problem import ComposeError

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_NUMBER = re.compile(r"^[-+]?[0-9]+(\.[0-9]+)?$")
_MAY_REPEAT = UNIQUE | {"aliases", "annotations", "environment", "labels", "link_local_ips", "sysctls"}
_TRUTHS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "1", "0"})


class _Mismatch(Exception):
    """A value that does not fit: where, and why."""

    def __init__(self, path: Path_, text: str, hint: str | None = None, *, shown: Path_ | None = None) -> None:
        super().__init__(text)
        self.path, self.text, self.hint = path, text, hint
        self.shown = path if shown is None else shown


def check(document: Document, *, closed: bool = True) -> None:
    """Check one file, after its variables have been replaced.

    Args:
        document: Of the file.
        closed: Variables are replaced; otherwise a text with one in it may stand anywhere.

    Raises:
        ComposeError: the first thing that is wrong: file, line, place, and the nearest name where a key is unknown.
    """
    if not isinstance(document.value, dict):
        raise ComposeError(f"{document.path}: top-level object must be a mapping")
    if not document.value:
        raise ComposeError(f"{document.path}: empty compose file", hint="a Compose file begins with `services:`")
    try:
        _check(document.value if closed else _without_variables(document.value), _schema(), ())
    except _Mismatch as mismatch:
        place = ".".join(str(part) for part in mismatch.shown) or "(root)"
        line = document.line(mismatch.path)
        raise ComposeError(
            f"validating {document.path}: line {line}: {place} {mismatch.text}", hint=mismatch.hint
        ) from None


def _without_variables(value: Any) -> Any:
    """Take out every text with a variable in it: what it will be is not known yet."""
    if isinstance(value, dict):
        kept = {key: _without_variables(item) for key, item in value.items()}
        return {key: Reset() if _is_open(value[key]) else item for key, item in kept.items()}
    if isinstance(value, list):
        return [_without_variables(item) for item in value if not _is_open(item)]
    return value


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and "$" in value


@functools.cache
def _schema() -> Mapping[str, Any]:
    text = Path(__file__).with_name("compose-spec.json").read_text("utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


def service_keys() -> frozenset[str]:
    """The keys a service may have."""
    return frozenset(_schema()["definitions"]["service"]["properties"])


def _check(value: Any, schema: Mapping[str, Any], path: Path_) -> None:
    if isinstance(value, Override):
        value = value.value
    if isinstance(value, Reset):
        return
    if reference := schema.get("$ref"):
        _check(value, _schema()["definitions"][reference.rpartition("/")[2]], path)
        return
    if branches := schema.get("oneOf") or schema.get("anyOf"):
        _check_branches(value, branches, path)
        return
    if (wanted := schema.get("type")) is not None:
        _check_type(value, [wanted] if isinstance(wanted, str) else wanted, path)
    if "enum" in schema and value not in schema["enum"]:
        raise _Mismatch(path, f"must be one of the following: {', '.join(json.dumps(one) for one in schema['enum'])}")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        raise _Mismatch(path, f"Does not match pattern '{schema['pattern']}'")
    if isinstance(value, dict):
        _check_object(value, schema, path)
    if isinstance(value, list):
        _check_list(value, schema, path)


def _check_branches(value: Any, branches: list[Mapping[str, Any]], path: Path_) -> None:
    failures: list[_Mismatch] = []
    for branch in branches:
        try:
            _check(value, branch, path)
        except _Mismatch as mismatch:
            failures.append(mismatch)
        else:
            return
    # The branch that got furthest is the one that was meant.
    deepest = max(failures, key=lambda mismatch: (len(mismatch.path), mismatch.hint is not None))
    if len(deepest.path) > len(path) or deepest.hint:
        raise deepest
    names = dict.fromkeys(name for branch in branches for name in _names(branch))
    if not names:
        raise deepest
    raise _Mismatch(path, f"must be a {' or '.join(names)}")


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    if reference := schema.get("$ref"):
        schema = _schema()["definitions"][reference.rpartition("/")[2]]
    for branch in schema.get("oneOf", ()):
        yield from _names(branch)
    wanted = schema.get("type", [])
    yield from [_title(wanted)] if isinstance(wanted, str) else [_title(one) for one in wanted]


def _title(name: str) -> str:
    return {"object": "mapping", "array": "list"}.get(name, name)


def _check_type(value: Any, wanted: list[str], path: Path_) -> None:
    for name in wanted:
        if isinstance(value, bool) and name != "boolean":
            continue
        if isinstance(value, _TYPES[name]):
            return
        if name == "integer" and isinstance(value, float) and value.is_integer():
            return
        # A variable's value is text; Compose takes it for what the place wants.
        if isinstance(value, str) and name in ("integer", "number") and _NUMBER.match(value):
            return
        if isinstance(value, str) and name == "boolean" and value.lower() in _TRUTHS:
            return
    raise _Mismatch(path, f"must be a {' or '.join(_title(name) for name in wanted)}")


def _check_object(value: Mapping[str, Any], schema: Mapping[str, Any], path: Path_) -> None:
    properties: Mapping[str, Any] = schema.get("properties", {})
    patterns: Mapping[str, Any] = schema.get("patternProperties", {})
    for key, item in value.items():
        below = (*path, key)
        if below == ("include",) and item is None:
            continue
        if key in properties:
            _check(item, properties[key], below)
            continue
        pattern = next((pattern for pattern in patterns if re.search(pattern, key)), None)
        if pattern is not None:
            _check(item, patterns[pattern], below)
            continue
        extra = schema.get("additionalProperties", True)
        if extra is False:
            hint = _nearest(key, properties, patterns)
            raise _Mismatch(below, f"Additional property {key} is not allowed", hint, shown=path)
        if isinstance(extra, Mapping):
            _check(item, extra, below)
    for key in schema.get("required", ()):
        if key not in value:
            raise _Mismatch(path, f"{key} is required")


def _nearest(key: str, properties: Mapping[str, Any], patterns: Mapping[str, Any]) -> str | None:
    if not properties and patterns:
        return "a name may have letters, digits, '.', '_' and '-'"
    import difflib

    found = difflib.get_close_matches(key, list(properties), n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else None


def _check_list(value: list[Any], schema: Mapping[str, Any], path: Path_) -> None:
    items = schema.get("items")
    for number, item in enumerate(value):
        if isinstance(items, Mapping):
            _check(item, items, (*path, number))
    if schema.get("uniqueItems") and path[-1] not in _MAY_REPEAT:
        seen: list[Any] = []
        for number, item in enumerate(value):
            if item in seen:
                first = seen.index(item)
                raise _Mismatch((*path, number), f"array items[{first},{number}] must be unique")
            seen.append(item)
