"""Where a build's result goes (`--output`), and its cache (`--cache-to`, `--cache-from type=local`).

Source: docs.docker.com, "Exporters" and "Cache storage backends".
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.client.commands.build.inputs import read_fields
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.image.transfer import read_pieces, write_archive
from pydock_lab.client.commands.session import Session
from pydock_lab.client.commands.unpack import unpack

_CACHE_TAR, _CACHE_IDS = "cache.tar", "cache.json"
_FILES = ("tar", "oci", "docker")
_PIECE = 1 << 18


@dataclass(frozen=True)
class Output:
    """One `--output`: local, tar, oci, docker, image or registry, and the path it goes to ("-" for stdout)."""

    type: str
    destination: str

    @classmethod
    def read(cls, text: str) -> Output:
        """Read `type=tar,dest=out.tar`, a directory, or `-`. Raises CommandError."""
        if "=" not in text:
            return cls("tar", "-") if text == "-" else cls("local", text)
        fields = read_fields(text)
        kind, destination = fields.get("type", ""), fields.get("dest", "")
        if not kind:
            raise CommandError("type is required for output")
        if kind not in ("local", *_FILES, "image", "registry"):
            raise CommandError(f'exporter "{kind}" could not be found')
        if kind in ("local", "oci", "tar") and not destination:
            raise CommandError(f"dest is required for {kind} exporter")
        return cls(kind, destination)

    def write(self, session: Session, image_id: str) -> None:
        """Send an image where it is to go; `image` and `registry` leave it in the engine."""
        if self.type in ("image", "registry") or (self.type == "docker" and not self.destination):
            return
        path = f"/lab/images/{image_id}/rootfs" if self.type in ("local", "tar") else "/images/get"
        query = {} if self.type in ("local", "tar") else {"names": [image_id]}
        with session.connection.request("GET", path, stream=True, query=query) as response:
            if self.type == "local":
                _extract(_Pieces(response.iter_content(_PIECE)), session.path(self.destination))
            else:
                write_archive(session, response, "" if self.destination == "-" else self.destination)


class _Pieces:
    """Pieces of bytes as tarfile reads a stream."""

    def __init__(self, pieces: object) -> None:
        self._pieces = iter(pieces)  # type: ignore[call-overload]
        self._rest = b""

    def read(self, count: int) -> bytes:
        while len(self._rest) < count and (piece := next(self._pieces, b"")):
            self._rest += piece
        answer, self._rest = self._rest[:count], self._rest[count:]
        return answer


def _extract(stream: _Pieces, directory: Path) -> None:
    """Unpack a root file system as the user who asks: owners and devices are left out."""
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            if member.isdev() and not member.isfifo():
                continue
            unpack(archive, member, directory)


def cache_sources(session: Session, specs: list[str]) -> list[str]:
    """Return the images of `--cache-from`; a directory's are loaded first."""
    images: list[str] = []
    # The flag's words were split at commas, as Docker's classic one is: what follows a type belongs to it.
    joined: list[str] = []
    for word in specs:
        if "=" in word and not word.startswith("type=") and joined:
            joined[-1] += f",{word}"
        else:
            joined.append(word)
    for spec in joined:
        if "=" not in spec:
            images.append(spec)
            continue
        fields = read_fields(spec)
        if fields.get("type") == "registry":
            images.append(fields.get("ref", ""))
        elif fields.get("type") == "local":
            images += _load(session, session.path(fields.get("src", "")))
        else:
            raise CommandError(f"unknown cache importer: {fields.get('type', '')}")
    return images


def _load(session: Session, directory: Path) -> list[str]:
    try:
        images: list[str] = json.loads((directory / _CACHE_IDS).read_text())
        with (directory / _CACHE_TAR).open("rb") as archive:
            session.connection.request(
                "POST",
                "/images/load",
                body=read_pieces(archive),
                headers={"Content-Type": "application/x-tar"},
                query={"quiet": True},
            )
    except FileNotFoundError:
        return []  # as BuildKit: the first build has no cache yet
    return images


def write_cache(session: Session, specs: list[str], build_id: str, image_id: str) -> None:
    """Carry out `--cache-to`: `type=inline` is what every image is, `type=local` saves the stages' images."""
    for spec in specs:
        fields = read_fields(spec)
        if fields.get("type") == "inline":
            continue
        if fields.get("type") != "local" or not fields.get("dest"):
            raise CommandError(f"unknown cache exporter: {spec}", hint="type=local,dest=DIRECTORY or type=inline")
        images = [image_id]
        if fields.get("mode", "max") == "max":
            stages = session.connection.request("GET", f"/lab/builds/{build_id}").json()["stages"]
            images += [stage["image"] for stage in stages if stage["image"]]
        images = list(dict.fromkeys(images))
        directory = session.path(fields["dest"])
        directory.mkdir(parents=True, exist_ok=True)
        with session.connection.request("GET", "/images/get", stream=True, query={"names": images}) as response:
            write_archive(session, response, str(directory / _CACHE_TAR))
        (directory / _CACHE_IDS).write_text(json.dumps(images))
