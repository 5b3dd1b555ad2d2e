"""`build`: send a context, follow the steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydock_lab.client.commands import values
from pydock_lab.client.commands.advice import dockerfile_notes
from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.build.check import checked
from pydock_lab.client.commands.build.context import tar_stream
from pydock_lab.client.commands.build.inputs import BuildInputs
from pydock_lab.client.commands.build.output import Output, cache_sources, write_cache
from pydock_lab.client.commands.build.stream import BuildStream
from pydock_lab.client.commands.container.options import read_ulimit
from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.commands.session import BuildEvent, Progress, Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.usage import usage_line
from pydock_lab.client.credentials import registry_config
from pydock_lab.errors import LabError
from pydock_lab.spec import reference

_TAR_HEADER = 512
_STDIN_DOCKERFILE = ".dockerfile.stdin"
_OUTSIDE_DOCKERFILE = ".dockerfile.outside"
_EPOCH = "SOURCE_DATE_EPOCH"
_LOOK_AROUND = "`container run --from-failed-step` opens a shell in the state just before the failed step"
_NUMBERS = {"cpu-period": "cpuperiod", "cpu-quota": "cpuquota", "cpu-shares": "cpushares"}
_TEXTS = {
    "cgroup-parent": "cgroupparent",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
    "network": "networkmode",
    "platform": "platform",
    "target": "target",
}
_SIZES = {"memory": "memory", "memory-swap": "memswap", "shm-size": "shmsize"}


def build(arguments: Arguments, session: Session) -> Result:
    """Build an image from a Dockerfile and a context."""
    if arguments.on("check"):
        return _check(arguments, session)
    tags = _tags(arguments)
    outputs = [Output.read(text) for text in arguments.many("output")]
    inputs = BuildInputs(arguments, session)
    query = _query(arguments, session, tags) | inputs.query()
    body, query["dockerfile"], query["remote"] = _context(arguments, session, inputs)
    quiet = arguments.on("quiet") or arguments.text("progress") == "quiet"
    query["q"] = quiet or None
    response = session.connection.request(
        "POST",
        "/build",
        body=None if body is None else _counted(body, session, quiet=quiet),
        stream=True,
        headers={"Content-Type": "application/x-tar"} | registry_config(session.connection.config),
        query=query,
    )
    stream = BuildStream()
    said: list[str] = []
    build_id = response.header("X-Pydock-Build")
    if build_id and not quiet:
        session.output.build(BuildEvent("begun", 0, 0, "", build_id))
    with response:
        try:
            for line in response.iter_lines():
                for event in stream.read(json.loads(line)) if line.strip() else ():
                    if quiet:
                        said.append(event.raw if isinstance(event, BuildEvent) else "")
                    elif isinstance(event, Progress):
                        session.output.progress(event)
                    else:
                        session.output.build(event)
        except CommandError as error:
            if "returned a non-zero code" in error.message and session.connection.is_lab:
                error.hint = f"{error.hint}; {_LOOK_AROUND}" if error.hint else _LOOK_AROUND
            if quiet:  # what led to the failure is shown after all
                session.output.write("stderr", "".join(said))
            else:
                session.output.build(BuildEvent("error", 0, 0, error.message))
            raise
    if arguments.text("iidfile"):
        session.path(arguments.text("iidfile")).write_text(stream.image_id)
    for output in outputs:
        output.write(session, stream.image_id)
    write_cache(session, arguments.many("cache-to"), build_id, stream.image_id)
    return Result(text=stream.image_id if quiet else "", image_id=stream.image_id, names=tuple(tags))


def _check(arguments: Arguments, session: Session) -> Result:
    """Tell what the build checks find; nothing is built."""
    where, named = arguments.positional[0], arguments.text("file")
    if where == "-" or named == "-":
        source, ignore, name = _stdin(session).read(), None, "Dockerfile"
    else:
        root = session.path(where)
        path = session.path(named) if named else root / "Dockerfile"
        if not path.is_file():
            raise CommandError(f"failed to read dockerfile: open {path.name}: no such file or directory")
        ignore_file = root / ".dockerignore"
        source, ignore = path.read_bytes(), ignore_file.read_text("utf-8") if ignore_file.is_file() else None
        name = path.name
    values = {key: value for key, value in _build_arguments(arguments, session).items() if value is not None}
    text, count = checked(source, ignore, values, name)
    notes = dockerfile_notes(source.decode("utf-8", "replace"))
    return Result(text=text, exit_code=1 if count else 0, notes=notes)


def _build_arguments(arguments: Arguments, session: Session) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for entry in arguments.many("build-arg"):
        key, equals, value = entry.partition("=")
        found[key] = value if equals else session.environment.get(key)
    if epoch := session.environment.get(_EPOCH):
        found.setdefault(_EPOCH, epoch)  # as buildx does
    return found


def _tags(arguments: Arguments) -> list[str]:
    tags = arguments.many("tag")
    for tag in tags:
        try:
            reference.parse(tag)
        except LabError as error:
            command = arguments.command
            raise UsageError(
                f'invalid argument "{tag}" for "-t, --tag" flag: {error.message}\n\n{usage_line(command)}\n\n'
                f"Run '{command.line} --help' for more information",
                exit_code=125,
            ) from None
    return tags


def _query(arguments: Arguments, session: Session, tags: list[str]) -> dict[str, Any]:
    query: dict[str, Any] = {
        "t": tags or None,
        "nocache": arguments.on("no-cache") or None,
        "rm": arguments.on("rm"),
        "forcerm": arguments.on("force-rm") or None,
        "pull": arguments.on("pull") or None,
        "version": "1",
    }
    for flag, name in _NUMBERS.items():
        if arguments.has(flag):
            query[name] = arguments.number(flag)
    for flag, name in _TEXTS.items():
        if arguments.text(flag):
            query[name] = arguments.text(flag)
    for flag, name in _SIZES.items():
        if arguments.has(flag):
            query[name] = arguments.size(flag)
    query["buildargs"] = json.dumps(_build_arguments(arguments, session))
    query["labels"] = json.dumps(dict(values.key_value(label) for label in arguments.many("label")))
    if arguments.has("cache-from"):
        query["cachefrom"] = json.dumps(cache_sources(session, arguments.many("cache-from")))
    if arguments.has("add-host"):
        query["extrahosts"] = arguments.many("add-host")
    if arguments.has("security-opt"):
        query["securityopt"] = json.dumps(arguments.many("security-opt"))
    if arguments.has("ulimit"):
        query["ulimits"] = json.dumps([read_ulimit(spec) for spec in arguments.many("ulimit")])
    return query


def _context(
    arguments: Arguments, session: Session, inputs: BuildInputs
) -> tuple[Iterator[bytes] | None, str | None, str | None]:
    """Return the context's tar (None if the engine fetches it), the Dockerfile's name in it, and its URL."""
    where, named = arguments.positional[0], arguments.text("file")
    if inputs.travels and (where == "-" or "://" in where or where.startswith(("git@", "github.com/"))):
        raise CommandError("secrets and named contexts need a context that is a directory")
    if where == "-":
        if named == "-":
            raise CommandError("invalid argument: can't use stdin for both build context and dockerfile")
        return _stdin_context(session), named or None, None
    if "://" in where or where.startswith(("git@", "github.com/")):
        return None, named or None, where
    root = session.path(where)
    if not root.exists():
        raise CommandError(f'unable to prepare context: path "{where}" not found')
    if not root.is_dir():
        raise CommandError(f"unable to prepare context: context must be a directory: {root}")
    if named == "-":
        content = _stdin(session).read()
        return (
            tar_stream(root, dockerfile=_STDIN_DOCKERFILE, outside=content, before=inputs.entries()),
            _STDIN_DOCKERFILE,
            None,
        )
    path = session.path(named) if named else root / "Dockerfile"
    if not named and not path.exists() and (root / "dockerfile").exists():
        path = root / "dockerfile"
    if not path.is_file():
        raise CommandError(
            "unable to prepare context: unable to evaluate symlinks in Dockerfile path: "
            f"lstat {path}: no such file or directory"
        )
    inside = _inside(path, root)
    if inside is None:
        content = path.read_bytes()
        return (
            tar_stream(root, dockerfile=_OUTSIDE_DOCKERFILE, outside=content, before=inputs.entries()),
            _OUTSIDE_DOCKERFILE,
            None,
        )
    return tar_stream(root, dockerfile=inside, before=inputs.entries()), inside, None


def _inside(path: Path, root: Path) -> str | None:
    try:
        return str(path.resolve().relative_to(root.resolve()))
    except ValueError:
        return None


def _stdin_context(session: Session) -> Iterator[bytes]:
    """Yield what stdin holds: a context, or a Dockerfile alone, which the engine tells apart by its first bytes."""
    stdin = _stdin(session)
    start = stdin.read(_TAR_HEADER)
    if not _is_archive(start):
        import io
        import tarfile

        content = start + stdin.read()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(content)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(content))
        yield packed.getvalue()
        return
    yield start
    while piece := stdin.read(1 << 18):
        yield piece


def _is_archive(start: bytes) -> bool:
    compressed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    return compressed or start[257:262] == b"ustar"


def _stdin(session: Session) -> Any:
    if session.stdin is None:
        raise CommandError("there is nothing on stdin to read the build from")
    return session.stdin


def _counted(body: Iterator[bytes], session: Session, *, quiet: bool) -> Iterator[bytes]:
    """Pass the context on and say how much it was."""
    total = 0
    for piece in body:
        total += len(piece)
        yield piece
    if not quiet:
        text = f"Sending build context to Docker daemon {humanize.size(total, precision=4):>8}"
        session.output.build(BuildEvent("notice", 0, 0, text, raw=text + "\n"))
