"""Files of a container: `cp`, `export`, `commit`."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.image.transfer import read_pieces, write_archive
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.unpack import unpack
from pydock_lab.spec import reference

if TYPE_CHECKING:
    from pydock_lab.client.wire import Response

_DIRECTORY = 1 << 31  # Go's os.ModeDir
_SYMLINK = 1 << 27


def copy(arguments: Arguments, session: Session) -> Result:
    """Copy between a container and the user's files, or a tar archive on stdin or stdout."""
    source, target = arguments.positional
    from_container, source_path = split_container_path(source)
    to_container, target_path = split_container_path(target)
    if from_container and to_container:
        raise CommandError("copying between containers is not supported")
    if from_container:
        _copy_out(arguments, session, from_container, source_path, target_path)
    elif to_container:
        _copy_in(arguments, session, source_path, to_container, target_path)
    else:
        raise CommandError("must specify at least one container source")
    return Result()


def export(arguments: Arguments, session: Session) -> Result:
    """Write a container's file system as a tar archive."""
    target = arguments.text("output")
    if not target and session.output.terminal() is not None:
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    name = arguments.positional[0]
    with session.connection.request("GET", f"/containers/{name}/export", stream=True) as response:
        write_archive(session, response, target)
    return Result(names=(name,))


def commit(arguments: Arguments, session: Session) -> Result:
    """Make an image of a container's changes."""
    container, *name = arguments.positional
    wanted = reference.parse(name[0], default_tag=False) if name else None
    query = {
        "container": container,
        "repo": wanted.familiar_name if wanted else None,
        "tag": (wanted.tag or None) if wanted else None,
        "comment": arguments.text("message") or None,
        "author": arguments.text("author") or None,
        "changes": arguments.many("change") or None,
        "pause": arguments.on("pause"),
    }
    image_id = str(session.connection.request("POST", "/commit", {}, query=query).json()["Id"])
    return Result(text=image_id, image_id=image_id)


def split_container_path(text: str) -> tuple[str, str]:
    """`name:/path` → its two parts; a path of the user's own gives "" and the path."""
    if text.startswith(("/", ".")) or ":" not in text:
        return "", text
    container, _, path = text.partition(":")
    return container, path


def _copy_out(arguments: Arguments, session: Session, container: str, path: str, target: str) -> None:
    if arguments.on("follow-link"):
        found = _stat(session, container, path)
        if found and found["mode"] & _SYMLINK:
            path = posixpath.join(posixpath.dirname(path), found["linkTarget"])
    response = session.connection.request("GET", f"/containers/{container}/archive", stream=True, query={"path": path})
    with response:
        if target == "-":
            for piece in response.iter_content(65536):
                session.output.write("stdout", piece)
            return
        is_directory = bool(_decode_stat(response)["mode"] & _DIRECTORY)
        name, where = _landing(path, session.path(target), target, is_directory=is_directory)
        with tarfile.open(fileobj=cast("IO[bytes]", response), mode="r|") as archive:
            _extract(archive, where, name, contents=path.endswith("/."), owners=arguments.on("archive"))


def _landing(path: str, target: Path, typed: str, *, is_directory: bool) -> tuple[str, Path]:
    """Where a copy lands: the name it gets and the directory it goes into. Source: `docker cp --help`."""
    if target.is_dir():
        return ("" if path.endswith("/.") else posixpath.basename(path.rstrip("/"))), target
    if not target.parent.is_dir():
        raise CommandError(f'invalid output path: directory "{target.parent}" does not exist')
    if target.exists() and is_directory:
        raise CommandError("cannot copy directory to file")
    if typed.endswith("/") and not is_directory:
        raise CommandError(f'no such directory: "{typed}"')
    return target.name, target.parent


def _extract(archive: tarfile.TarFile, where: Path, name: str, *, contents: bool, owners: bool) -> None:
    """Unpack with the top entry renamed; nothing may land outside of `where`."""
    for member in archive:
        _, _, below = member.name.lstrip("/").partition("/")
        member.name = posixpath.join(name, below) if name else (below if contents else member.name)
        if member.islnk():
            _, _, linked = member.linkname.partition("/")
            member.linkname = posixpath.join(name, linked) if name else linked
        if member.name in ("", "."):
            continue
        if (landing := where / member.name).is_symlink():
            landing.unlink()  # a link is replaced, not written through
        unpack(archive, member, where, numeric_owner=owners)


def _copy_in(arguments: Arguments, session: Session, source: str, container: str, target: str) -> None:
    query = {"path": target, "noOverwriteDirNonDir": True, "copyUIDGID": arguments.on("archive") or None}
    if source == "-":
        if session.stdin is None:
            raise CommandError("there is nothing on stdin to copy")
        body: Iterator[bytes] = read_pieces(session.stdin)
    else:
        path = session.path(source)
        if not path.exists() and not path.is_symlink():
            raise CommandError(f"lstat {path}: no such file or directory")
        if arguments.on("follow-link"):
            path = path.resolve()
        name, query["path"] = _name_inside(session, container, target, path, source)
        body = _packed(path, name)
    session.connection.request(
        "PUT",
        f"/containers/{container}/archive",
        body=body,
        headers={"Content-Type": "application/x-tar"},
        query=query,
    )


def _name_inside(session: Session, container: str, target: str, path: Path, typed: str) -> tuple[str, str]:
    """Return the name a copied file gets and the directory in the container it goes into."""
    found = _stat(session, container, target)
    if found and found["mode"] & _SYMLINK:
        target = posixpath.join(posixpath.dirname(target), found["linkTarget"])
        found = _stat(session, container, target)
    if found and found["mode"] & _DIRECTORY:
        return ("." if typed.endswith("/.") else path.name), target
    if target.endswith("/") and not path.is_dir():
        raise CommandError(f'no such directory: "{target}"')
    if found and path.is_dir():
        raise CommandError("cannot copy directory to file")
    clean = target.rstrip("/")
    return posixpath.basename(clean), posixpath.dirname(clean) or "/"


def _packed(path: Path, name: str) -> Iterator[bytes]:
    import tempfile

    # On disk past 16 MiB: a tar's headers have to be right before its first byte is sent.
    with tempfile.SpooledTemporaryFile(max_size=1 << 24) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(path, arcname=name)
        packed.seek(0, io.SEEK_SET)
        while piece := packed.read(1 << 18):
            yield piece


def _stat(session: Session, container: str, path: str) -> dict[str, Any] | None:
    try:
        response = session.connection.request("HEAD", f"/containers/{container}/archive", query={"path": path})
    except EngineError as error:
        if error.status_code != 404:
            raise
        session.inspect("containers", container)  # raises where it is the container that is missing
        return None
    return _decode_stat(response)


def _decode_stat(response: Response) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.b64decode(response.header("X-Docker-Container-Path-Stat")))
    return document
