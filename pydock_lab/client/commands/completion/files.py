"""What may stand at a point of a Dockerfile or a Compose file."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.completion.words import EngineNames, paths
from pydock_lab.client.connection import Connection

_INSTRUCTIONS: Mapping[str, tuple[str, ...]] = {
    "ADD": ("--checksum=", "--chmod=", "--chown=", "--exclude=", "--keep-git-dir", "--link"),
    "ARG": (),
    "CMD": (),
    "COPY": ("--chmod=", "--chown=", "--exclude=", "--from=", "--link", "--parents"),
    "ENTRYPOINT": (),
    "ENV": (),
    "EXPOSE": (),
    "FROM": ("--platform=",),
    "HEALTHCHECK": ("--interval=", "--retries=", "--start-interval=", "--start-period=", "--timeout="),
    "LABEL": (),
    "MAINTAINER": (),
    "ONBUILD": (),
    "RUN": ("--mount=", "--network=", "--security="),
    "SHELL": (),
    "STOPSIGNAL": (),
    "USER": (),
    "VOLUME": (),
    "WORKDIR": (),
}
_FLAG_VALUES: Mapping[str, tuple[str, ...]] = {
    "--mount=": ("type=bind", "type=cache", "type=secret", "type=ssh", "type=tmpfs"),
    "--network=": ("default", "host", "none"),
    "--platform=": ("$BUILDPLATFORM", "$TARGETPLATFORM", "linux/amd64", "linux/arm64"),
    "--security=": ("insecure", "sandbox"),
}
_ALWAYS_THERE = ("BUILDPLATFORM", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TARGETARCH", "TARGETOS", "TARGETPLATFORM")
_STAGE = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*\S+\s+AS\s+(\S+)", re.IGNORECASE | re.MULTILINE)
_DEFINED = re.compile(r"^\s*(?:ARG|ENV)\s+(.*)$", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?(\w*)$")


def complete_dockerfile(text: str, cursor: int | None = None, *, connection: Connection | None = None) -> list[str]:
    """Return the words that may replace the one before the cursor, sorted.

    Args:
        text: The whole file.
        cursor: Position in it; its end where None.
        connection: To the engine whose images FROM may name; None for the one in use.
    """
    above = text if cursor is None else text[:cursor]
    line = above.rpartition("\n")[2]
    continued = re.search(r"\\[ \t]*\n[^\n]*$", above) is not None
    *before, prefix = re.split(r"\s+", line.lstrip()) if line.strip() else [""]
    if match := _VARIABLE.search(prefix):
        found: Iterable[str] = (f"{prefix[: match.start(1)]}{name}" for name in _variables(above))
    elif (not before and not continued) or [word.upper() for word in before] == ["ONBUILD"]:
        found = _cased(_INSTRUCTIONS, prefix)
    elif before:
        names = EngineNames(connection or Connection(), {})
        found = _in_instruction(before[0].upper(), before[1:], prefix, above, names)
    else:
        found = ()
    return sorted({word for word in found if word.startswith(prefix)})


def complete_compose(text: str, cursor: int | None = None) -> list[str]:
    """Return the keys that may stand at the cursor of a Compose file, sorted, each with its colon.

    Args:
        text: The whole file.
        cursor: Position in it; its end where None.
    """
    *above, line = (text if cursor is None else text[:cursor]).split("\n")
    match = re.fullmatch(r"(\s*(?:- )?)([\w-]*)", line)
    if match is None:
        return []
    schema = _at(_schema(), _path_of(above, len(match[1])))
    return sorted(f"{key}:" for key in schema if key.startswith(match[2]))


def _in_instruction(keyword: str, before: list[str], prefix: str, above: str, names: EngineNames) -> Iterable[str]:
    stages = _STAGE.findall(above)
    if prefix.startswith("--"):
        flag, equals, _ = prefix.partition("=")
        if not equals:
            return _INSTRUCTIONS.get(keyword, ())
        values = [*stages, *names.of("image")] if flag == "--from" else _FLAG_VALUES.get(f"{flag}=", ())
        return [f"{flag}={value}" for value in values]
    arguments = [word for word in before if not word.startswith("--")]
    if keyword == "FROM":
        return [*stages, *names.of("base"), "scratch"] if not arguments else ["AS"] if len(arguments) == 1 else []
    if keyword == "HEALTHCHECK":
        return ("CMD", "NONE")
    if keyword in ("ADD", "COPY"):
        return _paths(prefix)
    return ()


def _cased(words: Iterable[str], prefix: str) -> list[str]:
    """Words in the case that the user has begun with."""
    return [word.lower() if prefix and prefix == prefix.lower() else word for word in words]


def _variables(text: str) -> list[str]:
    names = [
        word.partition("=")[0]
        for rest in _DEFINED.findall(text)
        for word in (rest.split() if "=" in rest else rest.split()[:1])
    ]
    return [*(name for name in names if re.fullmatch(r"\w+", name)), *_ALWAYS_THERE]


def _paths(prefix: str) -> list[str]:
    """Files of the build context."""
    return [] if prefix.startswith(("/", "~")) or ".." in prefix.split("/") else paths(prefix)


def _path_of(above: list[str], indent: int) -> list[str]:
    """The keys under which a line of this indentation stands; list entries add nothing."""
    path: list[str] = []
    for line in reversed(above):
        match = re.match(r"(\s*)((?:- )?)([\w.-]+):", line)
        if match and len(match[1]) + len(match[2]) < indent:
            path.insert(0, match[3])
            indent = len(match[1]) + len(match[2])
            if not indent:
                break
    return path


@functools.cache
def _schema() -> dict[str, Any]:
    path = Path(__file__).parent.parent.parent / "compose" / "compose-spec.json"
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def _at(schema: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The properties that an object at a path may have."""
    here = [schema]
    for key in path:
        found: list[dict[str, Any]] = []
        for node in (form for entry in here for form in _forms(schema, entry)):
            if key in node.get("properties", {}):
                found.append(node["properties"][key])
            else:
                found += [
                    entry for pattern, entry in node.get("patternProperties", {}).items() if re.search(pattern, key)
                ]
        here = found
    properties: dict[str, Any] = {}
    for node in (form for entry in here for form in _forms(schema, entry)):
        properties |= node.get("properties", {})
    return properties


def _forms(schema: dict[str, Any], node: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """A node with its references followed, in every form it may have; of a list, its entries."""
    if (target := node.get("$ref", "")) != "":
        node = schema["definitions"][target.rpartition("/")[2]]
    yield node
    for key in ("oneOf", "anyOf", "allOf"):
        for form in node.get(key, ()):
            yield from _forms(schema, form)
    if isinstance(items := node.get("items"), dict):
        yield from _forms(schema, items)
