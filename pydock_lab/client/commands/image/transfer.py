"""Images in and out: `pull`, `push`, `save`, `load`, `import`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Progress, Result, Session
from pydock_lab.client.credentials import registry_auth
from pydock_lab.client.lesson.witness import loading
from pydock_lab.spec import reference

if TYPE_CHECKING:
    from pydock_lab.client.wire import Response


def pull(arguments: Arguments, session: Session) -> Result:
    """Download an image from a registry."""
    name = arguments.positional[0]
    wanted = reference.parse(name, default_tag=not arguments.on("all-tags"))
    if arguments.on("all-tags") and (wanted.tag or wanted.digest):
        raise CommandError("tag can't be used with --all-tags/-a")
    quiet = arguments.on("quiet")
    if not quiet and not arguments.on("all-tags") and wanted.tag and not reference.parse(name, default_tag=False).tag:
        session.say("Using default tag: latest")
    pull_image(session, name, platform=arguments.text("platform"), quiet=quiet, all_tags=arguments.on("all-tags"))
    return Result(text=str(wanted), names=(wanted.familiar,))


def push(arguments: Arguments, session: Session) -> Result:
    """Upload an image to a registry."""
    name = arguments.positional[0]
    wanted = reference.parse(name, default_tag=not arguments.on("all-tags"))
    if not arguments.on("quiet") and not reference.parse(name, default_tag=False).tag and wanted.tag:
        session.say("Using default tag: latest")
    response = session.connection.request(
        "POST",
        f"/images/{wanted.familiar_name}/push",
        stream=True,
        headers={"X-Registry-Auth": registry_auth(session.connection.config, wanted.domain)},
        query={"tag": wanted.tag or None},
    )
    _show(session, _documents(response), quiet=arguments.on("quiet"))
    return Result(text=str(wanted) if arguments.on("quiet") else "", names=(wanted.familiar,))


def pull_image(
    session: Session, name: str, *, platform: str = "", quiet: bool = False, aside: bool = False, all_tags: bool = False
) -> None:
    """Pull with progress on the session's output.

    Args:
        session: The session.
        name: As the user wrote it.
        platform: `linux/amd64` or "" for the engine's own.
        quiet: Show nothing.
        aside: Another command needs the image.
        all_tags: Every tag of the repository.

    Raises:
        CommandError: the registry or the engine refused.
    """
    wanted = reference.parse(name, default_tag=not all_tags)
    response = session.connection.request(
        "POST",
        "/images/create",
        stream=True,
        headers={"X-Registry-Auth": registry_auth(session.connection.config, wanted.domain)},
        query={
            "fromImage": wanted.familiar_name,
            "tag": wanted.digest or wanted.tag or None,
            "platform": platform or None,
        },
    )
    _show(session, _documents(response), quiet=quiet, aside=aside)


def save(arguments: Arguments, session: Session) -> Result:
    """Write images as a tar archive."""
    target = arguments.text("output")
    if not target and (session.output.terminal() is not None):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    query: dict[str, Any] = {"names": list(arguments.positional)}
    with session.connection.request("GET", "/images/get", stream=True, query=query) as response:
        write_archive(session, response, target)
    return Result(names=arguments.positional)


def load(arguments: Arguments, session: Session) -> Result:
    """Load images from a tar archive."""
    quiet = arguments.on("quiet")
    noted = loading(session.connection)
    with _source(session, arguments.text("input") or "-") as archive:
        response = session.connection.request(
            "POST",
            "/images/load",
            body=read_pieces(archive),
            stream=True,
            headers={"Content-Type": "application/x-tar"},
            query={"quiet": quiet},
        )
        _show(session, noted(_documents(response)))
    return Result()


def import_(arguments: Arguments, session: Session) -> Result:
    """Make an image of one layer from a tar archive."""
    source, *name = arguments.positional
    wanted = reference.parse(name[0], default_tag=False) if name else None
    query: dict[str, Any] = {
        "fromSrc": source if "://" in source else "-",
        "repo": wanted.familiar_name if wanted else None,
        "tag": wanted.tag if wanted else None,
        "message": arguments.text("message") or None,
        "platform": arguments.text("platform") or None,
        "changes": arguments.many("change") or None,
    }
    if "://" in source:
        response = session.connection.request("POST", "/images/create", stream=True, query=query)
        image_id = _show(session, _documents(response), say_status=False)
    else:
        with _source(session, source) as archive:
            response = session.connection.request(
                "POST",
                "/images/create",
                body=read_pieces(archive),
                stream=True,
                headers={"Content-Type": "application/x-tar"},
                query=query,
            )
            image_id = _show(session, _documents(response), say_status=False)
    return Result(text=image_id, image_id=image_id)


def write_archive(session: Session, response: Response, target: str) -> None:
    """Write a response's body to the file named, or to stdout.

    Raises:
        CommandError: the file can't be written.
    """
    if not target:
        for piece in response.iter_content(65536):
            session.output.write("stdout", piece)
        return
    path = session.path(target)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            for piece in response.iter_content(1 << 20):
                file.write(piece)
        partial.replace(path)
    except OSError as error:
        raise CommandError(f"open {target}: {str(error.strerror).lower()}") from None
    finally:
        partial.unlink(missing_ok=True)


def _show(
    session: Session,
    events: Iterable[dict[str, Any]],
    *,
    quiet: bool = False,
    aside: bool = False,
    say_status: bool = True,
) -> str:
    """Turn the engine's stream into progress; return the last status.

    Raises:
        CommandError: the stream carries an error.
    """
    last = ""
    for event in events:
        if message := event.get("error"):
            raise CommandError(str((event.get("errorDetail") or {}).get("message") or message))
        if "stream" in event:
            session.output.write("stdout", event["stream"])
            continue
        detail = event.get("progressDetail") or {}
        last = str(event.get("status", ""))
        if last and not quiet and say_status:
            current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            session.output.progress(Progress(last, str(event.get("id") or ""), current, total, aside))
    return last


def _documents(response: Response) -> Iterator[dict[str, Any]]:
    with response:
        for line in response.iter_lines():
            if line.strip():
                yield json.loads(line)


def _source(session: Session, name: str) -> BinaryIO:
    if name == "-":
        if session.stdin is None or session.stdin.isatty():
            raise CommandError("requested load from stdin, but stdin is empty")
        return session.stdin
    try:
        return session.path(name).open("rb")
    except OSError as error:
        raise CommandError(f"open {name}: {str(error.strerror).lower()}") from None


def read_pieces(archive: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes, a megabyte at a time."""
    while piece := archive.read(1 << 20):
        yield piece
