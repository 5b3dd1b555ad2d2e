"""What is no error and still surprises learners: one line of why, beside a command that worked.

The rules stand for the places where course notes are loose (see hints.py for what
fails). `notes_for` looks at a command line, `dockerfile_notes` at a Dockerfile, `compose_notes` at a Compose file;
the front end decides where to show them, never on the command's own output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydock_lab.errors import DockerfileError

if TYPE_CHECKING:
    from pydock_lab.client.commands.arguments import Arguments
    from pydock_lab.dockerfile.parser import Node

_LABELS = ("maintainer", "description", "version", "vendor", "authors", "url", "licenses")
_OLD = {
    "python:2": "Python 2 ended on 2020-01-01: `python:3` is what is maintained",
    "redis:3": "Redis 3.2 ended in 2018: `redis:7` is maintained",
}


def notes_for(arguments: Arguments) -> list[str]:
    """Return what there is to say about a command that worked.

    Args:
        arguments: It was called with.
    """
    rules = _RULES.get(" ".join(arguments.command.path), ())
    return [note for rule in rules for note in rule(arguments)]


def dockerfile_notes(text: str) -> list[str]:
    """Return what there is to say about a Dockerfile; [] for one that doesn't parse.

    What BuildKit's own checks find (`docker build --check`) is not repeated.
    """
    from pydock_lab.dockerfile.parser import parse

    try:
        nodes = parse(text).nodes
    except DockerfileError:
        return []
    found = [note for rule in _DOCKERFILE_RULES for note in rule(list(nodes))]
    return list(dict.fromkeys(found))


def compose_notes(text: str) -> list[str]:
    """Return what there is to say about a Compose file; [] for one that doesn't parse."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return []
    services = document.get("services") if isinstance(document, dict) else None
    found: list[str] = []
    for name, service in services.items() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        if isinstance(service.get("depends_on"), list):
            found.append(
                f"{name}: depends_on as a list is the order of starting only; to wait until a service is ready it "
                "needs `condition: service_healthy` and a healthcheck there"
            )
        found += [f"{name}: {note}" for note in _old(str(service.get("image", "")))]
    return found


def _old(image: str) -> Iterator[str]:
    yield from (f"{image}: {why}" for prefix, why in _OLD.items() if re.match(rf"{prefix}(\.|-|$)", image))


def _mounts(arguments: Arguments) -> Iterator[str]:
    for text in arguments.many("volume"):
        source, colon, rest = text.partition(":")
        target = rest.partition(":")[0]
        if colon and source.startswith(("/", ".", "~")):
            yield (
                f"-v {text}: with a path this is a bind mount, not a volume; it hides what the image has at {target}. "
                f"`-v NAME:{target}` is a volume, filled from the image while it is empty"
            )
        elif not colon:
            tail = ", and --rm removes it with the container" if arguments.on("rm") else ""
            yield f"-v {text}: an anonymous volume{tail}; `-v NAME:{text}` keeps its data under a name"


def _terminal(arguments: Arguments) -> Iterator[str]:
    if arguments.on("tty") and not arguments.on("interactive") and not arguments.on("detach"):
        yield "-t gives a terminal, but without -i nothing typed reaches it: `-it` does both"


def _old_image(arguments: Arguments) -> Iterator[str]:
    for image in arguments.positional[:1]:  # none with --from-failed-step
        yield from (f"{image}: {why}" for prefix, why in _OLD.items() if re.match(rf"{prefix}(\.|-|$)", image))


def _removed(_arguments: Arguments) -> Iterator[str]:
    yield (
        "with a container its writable layer is gone (`stop` keeps it, `start` brings it back); named volumes stay, "
        "anonymous ones go only with -v"
    )


_RULES: dict[str, tuple[Callable[[Arguments], Iterator[str]], ...]] = {
    "container create": (_mounts, _old_image),
    "container rm": (_removed,),
    "container run": (_mounts, _terminal, _old_image),
    "image pull": (_old_image,),
}


def _misspelt_label(nodes: list[Node]) -> Iterator[str]:
    import difflib

    for node in nodes:
        if node.keyword.upper() != "LABEL":
            continue
        for key in re.findall(r"([\w.-]+)=", node.original.partition(" ")[2]):
            near = difflib.get_close_matches(key.lower(), _LABELS, n=1, cutoff=0.8)
            if near and near[0] != key.lower():
                yield f"LABEL {key}: any key is accepted; did you mean `{near[0]}`?"


def _labels_make_no_layers(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.keyword.upper() == "LABEL" and node.end_line > node.start_line:
            yield "joined labels save nothing: RUN, COPY, ADD and sometimes WORKDIR make layers, LABEL makes none"


def _made_before_workdir(nodes: list[Node]) -> Iterator[str]:
    made: set[str] = set()
    for node in nodes:
        if node.keyword.upper() == "RUN" and (
            match := re.match(r"RUN\s+mkdir\s+(?:-p\s+)?(\S+)\s*$", node.original, re.I)
        ):
            made.add(match[1].rstrip("/"))
        elif node.keyword.upper() == "WORKDIR" and (path := " ".join(node.arguments).rstrip("/")) in made:
            yield f"WORKDIR {path} makes the directory itself: `RUN mkdir {path}` only adds a layer"


def _volume(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.keyword.upper() == "VOLUME":
            yield (
                f"{node.original.strip()}: every container gets an anonymous volume there, no host directory; "
                "`run -v NAME:PATH` names it"
            )


_SHELL_SYNTAX = re.compile(r"[;&|<>$`*?'\"\\()]")


def _shell_form(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        keyword = node.keyword.upper()
        if keyword in ("CMD", "ENTRYPOINT") and not node.is_json:
            line = node.original.partition(" ")[2].strip()
            words = ", ".join(f'"{word}"' for word in line.split())
            way_out = (
                f"put the line into a script whose last command begins with exec, and use {keyword} [...]"
                if _SHELL_SYNTAX.search(line)
                else f"{keyword} [{words}] does"
            )
            yield f"{keyword} as a line runs under /bin/sh, which passes no signals on: {way_out}"


def _maintainer(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.keyword.upper() == "MAINTAINER":
            yield f'MAINTAINER is deprecated: LABEL maintainer="{node.original.partition(" ")[2].strip()}"'


def _old_base(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.keyword.upper() == "FROM" and node.arguments:
            yield from (f"FROM {note}" for note in _old(node.arguments[0]))


_DOCKERFILE_RULES = (
    _old_base,
    _maintainer,
    _misspelt_label,
    _labels_make_no_layers,
    _made_before_workdir,
    _volume,
    _shell_form,
)
