"""Nodes → instructions: each instruction's own rules, with BuildKit's error wording.

Source: BuildKit's frontend/dockerfile/instructions/parse.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydock_lab.dockerfile.flags import BOOL, STRING, STRINGS, read_flags
from pydock_lab.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from pydock_lab.dockerfile.mounts import read_mount
from pydock_lab.dockerfile.parser import Heredoc, Node, at_line, read_heredoc
from pydock_lab.dockerfile.suggestion import closest
from pydock_lab.errors import DockerfileError

_STAGE_NAME = re.compile(r"^[a-z][a-z0-9-_.]*$")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_MINIMUM_INTERVAL_NS = 1_000_000
_TRANSFER_FLAGS = {"chown": STRING, "chmod": STRING, "link": BOOL, "exclude": STRINGS}


def instruction(node: Node) -> Instruction:
    """Make the instruction of a node.

    Raises:
        DockerfileError: `dockerfile parse error on line N: …`.
    """
    make = _MAKERS.get(node.name)
    try:
        if make is None:
            raise DockerfileError(f"unknown instruction: {node.keyword}{closest(node.keyword, _MAKERS)}")
        return make(node, {"start_line": node.start_line, "end_line": node.end_line, "text": node.original.rstrip()})
    except DockerfileError as error:
        raise at_line(error, node.start_line, node.original.rstrip()) from None


def _no_flags(node: Node) -> None:
    read_flags(node.flags, {})


def _at_least_one(node: Node) -> None:
    if not node.arguments:
        raise DockerfileError(f"{node.name} requires at least one argument")


def _only(node: Node) -> str:
    if len(node.arguments) != 1:
        raise DockerfileError(f"{node.name} requires exactly one argument")
    _no_flags(node)
    return node.arguments[0]


def _pairs(node: Node) -> tuple[tuple[str, str], ...]:
    _no_flags(node)
    _at_least_one(node)
    if not all(node.arguments[::2]):
        raise DockerfileError(f"{node.name} names can not be blank")
    return tuple(zip(node.arguments[::2], node.arguments[1::2], strict=True))


def _command(node: Node) -> Command:
    return Command(words=node.arguments, shell_form=not node.is_json)


def _from(node: Node, place: dict[str, Any]) -> From:
    arguments = node.arguments
    name = ""
    if len(arguments) == 3 and arguments[1].lower() == "as":
        name = arguments[2].lower()
        if not _STAGE_NAME.match(name):
            raise DockerfileError(
                f'invalid name for build stage: "{arguments[2]}", name can\'t start with a number or contain symbols'
            )
    elif len(arguments) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    flags = read_flags(node.flags, {"platform": STRING})
    return From(image=arguments[0], name=name, platform=flags.string("platform"), **place)


def _run(node: Node, place: dict[str, Any]) -> Run:
    flags = read_flags(node.flags, {"mount": STRINGS, "network": STRING, "security": STRING, "device": STRINGS})
    network, security = flags.string("network"), flags.string("security")
    if network not in ("", "default", "none", "host"):
        raise DockerfileError(f"unsupported network mode {json.dumps(network)}")
    if security not in ("", "sandbox", "insecure"):
        raise DockerfileError(f"security {json.dumps(security)} is not valid")
    for mount in flags.all("mount"):
        if "$" not in mount:
            read_mount(mount)  # a mistake is told before anything is built
    return Run(
        command=_command(node),
        heredocs=node.heredocs,
        mounts=flags.all("mount"),
        network=network,
        security=security,
        **place,
    )


def _cmd(node: Node, place: dict[str, Any]) -> Cmd:
    _no_flags(node)
    return Cmd(command=_command(node), **place)


def _entrypoint(node: Node, place: dict[str, Any]) -> Entrypoint:
    _no_flags(node)
    return Entrypoint(command=_command(node), **place)


def _transfer(node: Node) -> dict[str, Any]:
    """Sources, heredocs among them, and destination of COPY and ADD."""
    if len(node.arguments) < 2:
        raise DockerfileError(
            f"{node.name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    *sources, destination = node.arguments
    if not node.is_json and read_heredoc(destination) is not None:
        raise DockerfileError(f"{node.name} cannot accept a heredoc as a destination")
    bodies = {heredoc.name: heredoc for heredoc in node.heredocs}
    paths: list[str] = []
    files: list[Heredoc] = []
    for source in sources:
        opened = None if node.is_json else read_heredoc(source)
        if opened is None:
            paths.append(source)
        else:
            files.append(bodies.get(opened.name, opened))
    return {"sources": tuple(paths), "destination": destination, "files": tuple(files)}


def _copy(node: Node, place: dict[str, Any]) -> Copy:
    transfer = _transfer(node)
    flags = read_flags(node.flags, {**_TRANSFER_FLAGS, "from": STRING, "parents": BOOL})
    return Copy(
        **transfer,
        source_image=flags.string("from"),
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=flags.bool("link"),
        parents=flags.bool("parents"),
        excludes=flags.all("exclude"),
        **place,
    )


def _add(node: Node, place: dict[str, Any]) -> Add:
    transfer = _transfer(node)
    flags = read_flags(node.flags, {**_TRANSFER_FLAGS, "checksum": STRING, "keep-git-dir": BOOL, "unpack": BOOL})
    return Add(
        **transfer,
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=flags.bool("link"),
        excludes=flags.all("exclude"),
        checksum=flags.string("checksum"),
        keep_git_dir=flags.bool("keep-git-dir"),
        unpack=flags.bools.get("unpack"),
        **place,
    )


def _env(node: Node, place: dict[str, Any]) -> Env:
    return Env(pairs=_pairs(node), **place)


def _label(node: Node, place: dict[str, Any]) -> Label:
    return Label(pairs=_pairs(node), **place)


def _arg(node: Node, place: dict[str, Any]) -> Arg:
    _no_flags(node)
    _at_least_one(node)
    pairs: list[tuple[str, str | None]] = []
    for word in node.arguments:
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return Arg(pairs=tuple(pairs), **place)


def _expose(node: Node, place: dict[str, Any]) -> Expose:
    _at_least_one(node)
    _no_flags(node)
    return Expose(ports=tuple(sorted(node.arguments)), **place)


def _volume(node: Node, place: dict[str, Any]) -> Volume:
    _at_least_one(node)
    _no_flags(node)
    paths = tuple(path.strip() for path in node.arguments)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **place)


def _user(node: Node, place: dict[str, Any]) -> User:
    return User(user=_only(node), **place)


def _workdir(node: Node, place: dict[str, Any]) -> Workdir:
    return Workdir(path=_only(node), **place)


def _stop_signal(node: Node, place: dict[str, Any]) -> StopSignal:
    return StopSignal(signal=_only(node), **place)


def _maintainer(node: Node, place: dict[str, Any]) -> Maintainer:
    return Maintainer(maintainer=_only(node), **place)


def _shell(node: Node, place: dict[str, Any]) -> Shell:
    _no_flags(node)
    _at_least_one(node)
    if not node.is_json:
        wanted = "SHELL requires the arguments to be in JSON form"
        hint = f"try {json.dumps(node.arguments[0].split())}" if "[" not in node.original else None
        raise DockerfileError(wanted, hint=hint)
    return Shell(words=node.arguments, **place)


def _onbuild(node: Node, place: dict[str, Any]) -> Onbuild:
    if node.trigger is None:
        raise DockerfileError("ONBUILD requires at least one argument")
    _no_flags(node)
    if node.trigger.name == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if node.trigger.name in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{node.trigger.name} isn't allowed as an ONBUILD trigger")
    return Onbuild(expression=str(node.trigger), **place)


def _healthcheck(node: Node, place: dict[str, Any]) -> Healthcheck:
    _at_least_one(node)
    kind, *words = node.arguments
    if kind.upper() == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        _no_flags(node)
        return Healthcheck(test=("NONE",), **place)
    names = ("interval", "timeout", "start-period", "start-interval", "retries")
    flags = read_flags(node.flags, dict.fromkeys(names, STRING))
    if kind.upper() != "CMD":
        raise DockerfileError(f"Unknown type {json.dumps(kind.upper())} in HEALTHCHECK (try CMD)")
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        test=("CMD" if node.is_json else "CMD-SHELL", *words),
        interval_ns=_interval("interval", flags.string("interval")),
        timeout_ns=_interval("timeout", flags.string("timeout")),
        start_period_ns=_interval("start-period", flags.string("start-period")),
        start_interval_ns=_interval("start-interval", flags.string("start-interval")),
        retries=_retries(flags.string("retries")),
        **place,
    )


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise DockerfileError(f"invalid value for flag --retries: {json.dumps(text)}")
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({int(text)})")
    return int(text)


def _interval(name: str, text: str) -> int:
    nanoseconds = duration_ns(text) if text else 0
    if nanoseconds and nanoseconds < _MINIMUM_INTERVAL_NS:
        raise DockerfileError(f'Interval "{name}" cannot be less than 1ms')
    return nanoseconds


def duration_ns(text: str) -> int:
    """Read a Go duration, `1h30m`, `500ms`, `0`. Raises DockerfileError in Go's words."""
    quoted = json.dumps(text, ensure_ascii=False)
    if text in ("0", "+0", "-0"):
        return 0
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    total, position = Decimal(0), 0
    for match in _DURATION_PART.finditer(body):
        if match.start() != position:
            break
        total += Decimal(match[1]) * _UNIT_NS[match[2]]
        position = match.end()
    if not body or position != len(body):
        missing = bool(re.fullmatch(r"[0-9.]+", body))
        raise DockerfileError(f"time: {'missing unit in' if missing else 'invalid'} duration {quoted}")
    if total >= 2**63:
        raise DockerfileError(f"time: invalid duration {quoted}")
    return sign * int(total)


_MAKERS: dict[str, Callable[[Node, dict[str, Any]], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
