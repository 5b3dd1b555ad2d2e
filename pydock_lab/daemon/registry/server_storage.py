"""What the embedded registry keeps on disk: plain files, each complete or absent.

    ROOT/blobs/HEX                      bytes of a blob, once for all repositories
    ROOT/repositories/NAME/_blobs/HEX   hard link to it: the repository has the blob
    ROOT/repositories/NAME/_manifests/HEX
    ROOT/repositories/NAME/_tags/TAG    text: the digest of a manifest
    ROOT/repositories/NAME/_referrers/HEX/HEX   empty: subject, and a manifest that refers to it
    ROOT/uploads/ID                     an upload's bytes so far; ID.repository names its repository

Everything that counts is renamed into place, so a server that was killed goes on
where it was, uploads included. Blocks: called from worker threads. A blob that
its last repository deletes is gone (its link count says so).
Source: distribution-spec 1.1; no component of a repository's name begins with `_`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pydock_lab.daemon.registry.server_errors import RegistryError
from pydock_lab.spec import media_types

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_FORGOTTEN_S = 7 * 24 * 3600
_CHUNK = 1 << 20


def check_digest(text: str) -> str:
    """Return the hex digits of a digest. Raises RegistryError DIGEST_INVALID."""
    if not _DIGEST.fullmatch(text):
        raise RegistryError("DIGEST_INVALID", 400, detail=text)
    return text.partition(":")[2]


def digest_of(value: str) -> str:
    """Return the digest of hex digits: how many there are tells the algorithm."""
    return f"sha{len(value) * 4}:{value}"


class Upload:
    """One blob on its way in, appended to from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sha256 = hashlib.sha256()
        self.size = 0
        # A server that was started anew has to read what came before.
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                self._count(chunk)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append."""
        written = self._file.write(data)
        while written < len(data):
            written += self._file.write(data[written:])
        self._count(data)

    def seal(self, algorithm: str) -> str:
        """Bring everything to the disk; return the digest. Any other than sha256 takes one more reading."""
        os.fsync(self._file.fileno())
        if algorithm == "sha256":
            return f"sha256:{self._sha256.hexdigest()}"
        digest = hashlib.new(algorithm)
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return f"{algorithm}:{digest.hexdigest()}"

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _count(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size += len(data)


class RegistryStorage:
    """All repositories of one registry.

    Args:
        root: Absolute directory; made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._repositories = root / "repositories"
        self._uploads = root / "uploads"
        self._lock = threading.Lock()
        for directory in (self._blobs, self._repositories, self._uploads):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._uploads.iterdir():
            if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
                left.unlink(missing_ok=True)

    # Repositories and tags

    def repositories(self) -> list[str]:
        """Return the names of all that hold a manifest, in order."""
        found = []
        for directory, names, _ in os.walk(self._repositories):
            if "_manifests" in names and any(Path(directory, "_manifests").iterdir()):
                found.append(str(Path(directory).relative_to(self._repositories)))
            names[:] = [name for name in names if not name.startswith("_")]
        return sorted(found)

    def tags(self, name: str) -> list[str]:
        """Return the tags of a repository, in order. Raises RegistryError NAME_UNKNOWN."""
        directory = self._repository(name)
        if not any((directory / part).is_dir() for part in ("_blobs", "_manifests")):
            raise RegistryError("NAME_UNKNOWN", 404, detail={"name": name})
        return sorted(path.name for path in _listed(directory / "_tags"))

    # Blobs

    def blob(self, name: str, digest: str) -> Path:
        """Return the file of a repository's blob. Raises RegistryError BLOB_UNKNOWN."""
        path = self._repository(name) / "_blobs" / check_digest(digest)
        if not path.is_file():
            raise RegistryError("BLOB_UNKNOWN", 404, detail=digest)
        return path

    def renew(self, name: str, digest: str) -> None:
        """Note that a client counts on a blob: it is not to be collected before the manifest comes."""
        with contextlib.suppress(FileNotFoundError):
            _renew(self.blob(name, digest))

    def mount(self, name: str, source: str, digest: str) -> bool:
        """Let a repository have another's blob; False where that one has none."""
        try:
            path = self.blob(source, digest)
        except RegistryError:
            return False
        self._link(path, self._repository(name) / "_blobs" / path.name)
        return True

    def delete_blob(self, name: str, digest: str) -> None:
        """Take a blob from a repository, and its bytes when no other has it."""
        path = self.blob(name, digest)
        shared = self._blobs / path.name
        with self._lock:
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if shared.stat().st_nlink == 1:
                    shared.unlink()

    # Uploads

    def begin(self, name: str) -> str:
        """Begin an upload; return its id."""
        self._repository(name)
        upload_id = secrets.token_hex(16)
        (self._uploads / f"{upload_id}.repository").write_text(name)
        (self._uploads / upload_id).touch()
        return upload_id

    def upload(self, name: str, upload_id: str) -> Upload:
        """Take up an upload where it is. Raises RegistryError BLOB_UPLOAD_UNKNOWN."""
        path = self._upload_path(name, upload_id)
        return Upload(path)

    def finish(self, name: str, upload_id: str, upload: Upload, digest: str) -> None:
        """Make an upload a blob of its repository.

        Raises:
            RegistryError DIGEST_INVALID: its bytes have another digest; the upload is dropped.
        """
        value = check_digest(digest)
        if upload.seal(digest.partition(":")[0]) != digest:
            self.cancel(name, upload_id)
            raise RegistryError("DIGEST_INVALID", 400, detail={"digest": digest, "reason": "content does not match"})
        with self._lock:
            shared, own = self._blobs / value, self._repository(name) / "_blobs" / value
            if not shared.exists():
                upload.path.rename(shared)
            try:
                self._link(shared, own)
            except FileNotFoundError:  # collected just now, by another process
                upload.path.rename(shared)
                self._link(shared, own)
        self.cancel(name, upload_id, missing_ok=True)

    def cancel(self, name: str, upload_id: str, *, missing_ok: bool = False) -> None:
        """Drop an upload. Raises RegistryError BLOB_UPLOAD_UNKNOWN."""
        if not missing_ok:
            self._upload_path(name, upload_id)
        (self._uploads / upload_id).unlink(missing_ok=True)
        (self._uploads / f"{upload_id}.repository").unlink(missing_ok=True)

    # Manifests

    def manifest(self, name: str, reference: str) -> tuple[bytes, str, str]:
        """Return a manifest's bytes, media type and digest. Raises RegistryError MANIFEST_UNKNOWN."""
        directory = self._repository(name)
        try:
            digest = reference if ":" in reference else (directory / "_tags" / _tag(reference)).read_text()
            raw = (directory / "_manifests" / check_digest(digest)).read_bytes()
        except FileNotFoundError:
            raise RegistryError("MANIFEST_UNKNOWN", 404, detail={"name": name, "reference": reference}) from None
        return raw, media_type_of(msgspec.json.decode(raw)), digest

    def described(self, name: str, tag: str) -> dict[str, Any]:
        """Return a tag's digest, the bytes a pull of everything would bring, and the number of layers."""
        raw, media_type, digest = self.manifest(name, tag)
        layers: dict[str, int] = {}
        total, left = len(raw), [msgspec.json.decode(raw)]
        while left:
            document = left.pop()
            layers |= {part["digest"]: part.get("size", 0) for part in document.get("layers") or []}
            total += (document.get("config") or {}).get("size", 0)
            for part in document.get("manifests") or []:
                with contextlib.suppress(RegistryError):
                    inner = self.manifest(name, part["digest"])[0]
                    total += len(inner)
                    left.append(msgspec.json.decode(inner))
        return {
            "Digest": digest, "MediaType": media_type, "Size": total + sum(layers.values()), "Layers": len(layers)
        }  # fmt: skip

    def put_manifest(self, name: str, reference: str, raw: bytes, content_type: str) -> tuple[str, str]:
        """Keep a manifest under a tag or its digest; return its digest and that of its subject or "".

        Raises:
            RegistryError: it is malformed, or names blobs or manifests that the repository lacks.
        """
        if ":" in reference:
            tag, value = "", check_digest(reference)
        else:
            tag, value = _tag(reference), hashlib.sha256(raw).hexdigest()
        digest = digest_of(value)
        if hashlib.new(digest.partition(":")[0], raw).hexdigest() != value:
            raise RegistryError("DIGEST_INVALID", 400, detail={"digest": reference})
        manifest = _decode(raw)
        if content_type and content_type != media_type_of(msgspec.json.decode(raw)):
            raise RegistryError("MANIFEST_INVALID", 400, detail=f"Content-Type {content_type} is not that of the body")
        directory = self._repository(name)
        _check_parts(directory, manifest)
        subject = manifest.subject.digest if manifest.subject is not None else ""
        referrers = directory / "_referrers" / check_digest(subject) if subject else None
        _write(directory / "_manifests" / value, raw)
        if referrers is not None:
            _write(referrers / value, b"")
        if tag:
            _write(directory / "_tags" / tag, digest.encode())
        return digest, subject

    def delete_manifest(self, name: str, reference: str) -> None:
        """Delete a tag, or a manifest with the tags that name it. Raises RegistryError MANIFEST_UNKNOWN."""
        raw, _, digest = self.manifest(name, reference)
        directory = self._repository(name)
        if ":" not in reference:
            (directory / "_tags" / reference).unlink(missing_ok=True)
            return
        for tag in _listed(directory / "_tags"):
            if tag.read_text() == digest:
                tag.unlink(missing_ok=True)
        value = check_digest(digest)
        subject = msgspec.json.decode(raw).get("subject")
        if isinstance(subject, dict):
            (directory / "_referrers" / check_digest(str(subject["digest"])) / value).unlink(missing_ok=True)
        (directory / "_manifests" / value).unlink(missing_ok=True)

    def referrers(self, name: str, digest: str) -> Iterator[dict[str, Any]]:
        """Yield the descriptors of the manifests whose subject has the digest."""
        for path in _listed(self._repository(name) / "_referrers" / check_digest(digest)):
            with contextlib.suppress(RegistryError):
                raw, media_type, found = self.manifest(name, digest_of(path.name))
                document = msgspec.json.decode(raw)
                kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
                described = {"mediaType": media_type, "digest": found, "size": len(raw), "artifactType": kind}
                if annotations := document.get("annotations"):
                    described["annotations"] = annotations
                yield {key: value for key, value in described.items() if value is not None}

    def _repository(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or len(name) > 255:
            raise RegistryError("NAME_INVALID", 400, detail={"name": name})
        return self._repositories / name

    def _upload_path(self, name: str, upload_id: str) -> Path:
        path = self._uploads / upload_id
        note = self._uploads / f"{upload_id}.repository"
        if not _UPLOAD.fullmatch(upload_id) or not path.exists() or not note.exists() or note.read_text() != name:
            raise RegistryError("BLOB_UPLOAD_UNKNOWN", 404, detail={"id": upload_id})
        return path

    def _link(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            _renew(target)  # as a new link would: it is on its way into an image


def _renew(path: Path) -> None:
    now = time.time_ns()  # the kernel's own may be some milliseconds behind
    os.utime(path, ns=(now, now))


def media_type_of(document: dict[str, Any]) -> str:
    """A manifest's media type; one that does not say is OCI's."""
    if said := document.get("mediaType"):
        return str(said)
    return media_types.OCI_INDEX if "manifests" in document else media_types.OCI_MANIFEST


class _Descriptor(msgspec.Struct):
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    mediaType: str = ""  # noqa: N815 - the specification's
    urls: list[str] | None = None


class _Manifest(msgspec.Struct):
    """What a manifest or index has to be like for this registry to keep it."""

    schemaVersion: Literal[2]  # noqa: N815
    mediaType: str | None = None  # noqa: N815
    artifactType: str | None = None  # noqa: N815
    config: _Descriptor | msgspec.UnsetType = msgspec.UNSET
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


def _decode(raw: bytes) -> _Manifest:
    try:
        return msgspec.json.decode(raw, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError("MANIFEST_INVALID", 400, detail=str(error)) from None


def _check_parts(directory: Path, manifest: _Manifest) -> None:
    """Refuse a manifest that nobody could pull: each part has to be here already, foreign layers excepted."""
    blobs = [layer for layer in manifest.layers or [] if not layer.urls]
    if isinstance(manifest.config, _Descriptor):
        blobs.insert(0, manifest.config)
    for place, parts in (("_manifests", manifest.manifests or []), ("_blobs", blobs)):
        for part in parts:
            if not (directory / place / check_digest(part.digest)).exists():
                raise RegistryError("MANIFEST_BLOB_UNKNOWN", 400, detail={"digest": part.digest})


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise RegistryError("TAG_INVALID", 400, detail={"tag": text})
    return text


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith(".new-"))
    except FileNotFoundError:
        return []


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".new-{secrets.token_hex(8)}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
