"""`docker load` and `docker import`: archives become images.

Reads what `docker save` of any age writes (manifest.json) and OCI image layouts
(oci-layout, index.json), packed or compressed, in one pass: the table of contents
comes last, so layers are unpacked as they come by (images_archive.py) and put in
their places afterwards. Nothing in it is believed: configs and layers are checked
against the digests that name them.
Source: moby image/tarexport/load.go, OCI image-spec image-layout.md.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from pydock_lab.daemon.engine.images_archive import ImageArchive, Member
from pydock_lab.daemon.registry.progress import LayerProgress, Progress
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.compression import decompress
from pydock_lab.daemon.store.distribution import Distribution, Origin
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import TRANSIENT, LayerStore, chain_id
from pydock_lab.daemon.store.tree import clean
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import media_types, timestamps
from pydock_lab.spec.platform import Platform, choose
from pydock_lab.spec.reference import Reference, is_digest, parse

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")

Loaded = list[tuple[Image, list[Reference]]]


@dataclass
class _Draft:
    """One image of an archive before it is loaded: paths are inside the archive.

    Attributes:
        manifest: The OCI manifest's bytes and media type, where there is one.
    """

    config_path: str
    layer_paths: list[str]
    references: list[Reference]
    manifest: tuple[bytes, str] | None = None


class ImageLoader:
    """Adds images from archives; methods block."""

    def __init__(self, store: ImageStore, layers: LayerStore, blobs: BlobStore, distribution: Distribution) -> None:
        self._store = store
        self._layers = layers
        self._blobs = blobs
        self._distribution = distribution

    def load(self, archive: IO[bytes], progress: Progress) -> Loaded:
        """Add every image of an archive; return them with the names it gives them (not tagged yet).

        Raises:
            InvalidParameter: it is no image archive, or not what it says it is.
        """
        holder = f"{TRANSIENT}load:{secrets.token_hex(8)}"
        try:
            with ImageArchive(self._layers, self._blobs, holder) as contents:
                contents.read(decompress(archive))
                return [self._load_one(contents, draft, progress, holder) for draft in _read_drafts(contents)]
        finally:
            self._layers.release(holder)

    def import_tar(self, tar: IO[bytes], document: dict[str, Any]) -> Image:
        """Add an image of one layer.

        Args:
            tar: Of a root file system, compressed or not.
            document: The image config, to which the layer's diff_id is added.
        """
        holder = f"{TRANSIENT}import:{secrets.token_hex(8)}"
        try:
            layer = self._layers.apply(decompress(tar), None, holder=holder)
            document["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id]}
            return self._store.put(msgspec.json.encode(document))
        finally:
            self._layers.release(holder)

    def blank(self, platform: Platform, message: str) -> dict[str, Any]:
        """The config of an image that comes from nowhere, as `docker import` makes it."""
        now = timestamps.render(time.time_ns())
        return {
            "architecture": platform.architecture,
            **({"variant": platform.variant} if platform.variant else {}),
            "os": platform.os,
            "created": now,
            "comment": message,
            "config": {},
            "history": [{"created": now, "comment": message}],
            "rootfs": {"type": "layers", "diff_ids": []},
        }

    def _load_one(
        self, archive: ImageArchive, draft: _Draft, progress: Progress, holder: str
    ) -> tuple[Image, list[Reference]]:
        raw = archive.document(draft.config_path)
        try:
            diff_ids = msgspec.json.decode(raw)["rootfs"]["diff_ids"] or []
        except (msgspec.DecodeError, KeyError, TypeError):
            raise InvalidParameter(f"invalid image config: {draft.config_path}") from None
        if len(diff_ids) != len(draft.layer_paths):
            raise InvalidParameter(
                f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(draft.layer_paths)}"
            )
        parent: str | None = None
        for diff_id, path in zip(diff_ids, draft.layer_paths, strict=True):
            if not isinstance(diff_id, str) or not is_digest(diff_id):
                raise InvalidParameter(f"invalid image config: diff_id {diff_id}")
            self._load_layer(archive, path, parent, diff_id, progress, holder)
            parent = chain_id(parent, diff_id)
        image = self._store.put(raw)
        if draft.manifest is not None:
            digests = [f"sha256:{path.rpartition('/')[2]}" for path in draft.layer_paths]
            if self._distribution.is_verified(digests, diff_ids):
                self._distribution.add_manifest(image.id, *draft.manifest)
        return image, draft.references

    def _load_layer(
        self, archive: ImageArchive, path: str, parent: str | None, diff_id: str, progress: Progress, holder: str
    ) -> None:
        if self._layers.find(parent, diff_id, holder=holder):
            return
        member = archive.layer(path, diff_id)
        line = LayerProgress(progress, diff_id)
        line.advance("Loading layer", 0, member.size)
        if member.draft is not None:
            self._layers.admit(member.draft, parent, diff_id=diff_id, holder=holder)
        else:  # the same layer under another one, in the store or in this archive
            self._layers.copy(diff_id, parent, holder=holder)
        line.advance("Loading layer", member.size, member.size)
        self._keep(member, diff_id)

    def _keep(self, member: Member, diff_id: str) -> None:
        """Keep a compressed layer as it came, so that a push or save of the image has its digests."""
        if member.blob is not None:
            digest = member.blob.commit()
            self._distribution.add_origin(diff_id, Origin(digest, member.blob.size, member.media_type))
            member.blob = None


def _read_drafts(archive: ImageArchive) -> list[_Draft]:
    """Read the table of contents: Docker's where there is one, else OCI's."""
    if "manifest.json" in archive:
        return [_docker_draft(entry) for entry in _decode_list(archive.document("manifest.json"))]
    if "index.json" in archive:
        return list(_oci_drafts(archive, _decode(archive.document("index.json"))))
    raise InvalidParameter(
        "invalid archive: does not contain a manifest.json",
        hint="`docker load` wants what `docker save` wrote; a root file system's tar is for `docker import`",
    )


def _docker_draft(entry: Any) -> _Draft:
    try:
        config, layers, tags = entry["Config"], entry["Layers"] or [], entry.get("RepoTags") or []
        draft = _Draft(clean(config), [clean(path) for path in layers], [parse(tag) for tag in tags])
    except (KeyError, TypeError, AttributeError):
        raise InvalidParameter("invalid manifest.json") from None
    return draft


def _oci_drafts(
    archive: ImageArchive, index: dict[str, Any], names: tuple[str, ...] = (), depth: int = 0
) -> list[_Draft]:
    """Follow an index to manifests; a nested one is an image for several platforms."""
    if depth > 4:
        raise InvalidParameter("invalid index.json: nested too deep")
    drafts: dict[str, _Draft] = {}
    for entry in index.get("manifests") or []:
        annotations = entry.get("annotations") or {}
        own = tuple(str(annotations[key]) for key in _NAME_ANNOTATIONS if annotations.get(key))[:1] or names
        raw = _blob(archive, entry)
        document = _decode(raw)
        media_type = entry.get("mediaType") or document.get("mediaType")
        if media_type in media_types.INDEXES or "manifests" in document:
            chosen = choose(document.get("manifests") or [], Platform.host())
            if chosen is not None:
                for draft in _oci_drafts(archive, {"manifests": [chosen]}, own, depth + 1):
                    drafts.setdefault(draft.config_path, draft).references.extend(draft.references)
            continue
        config = document.get("config") or {}
        if config.get("mediaType") not in media_types.CONFIGS:
            continue  # an attestation or another artifact
        draft = _Draft(
            _blob_path(config),
            [_blob_path(layer) for layer in document.get("layers") or []],
            [],
            (raw, str(media_type)),
        )
        known = drafts.setdefault(draft.config_path, draft)
        known.references += [reference for reference in _names(own) if reference not in known.references]
    return list(drafts.values())


def _names(annotations: tuple[str, ...]) -> list[Reference]:
    """A ref.name may be a whole reference or a bare tag; a bare tag names nothing."""
    found = []
    for text in annotations:
        if ":" in text or "/" in text:
            try:
                found.append(parse(text))
            except InvalidParameter:
                continue
    return found


def _blob_path(descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidParameter(f"invalid descriptor in archive: {digest}")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _blob(archive: ImageArchive, descriptor: Any) -> bytes:
    raw = archive.document(_blob_path(descriptor))
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != descriptor["digest"]:
        raise InvalidParameter(f"blob verification failed for digest {descriptor['digest']}")
    return raw


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"invalid archive: {error}") from None
    if not isinstance(document, dict):
        raise InvalidParameter("invalid archive: an object is expected")
    return document


def _decode_list(raw: bytes) -> list[Any]:
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"invalid manifest.json: {error}") from None
    if document is None:
        return []
    if not isinstance(document, list):
        kind = {dict: "object", str: "string", bool: "bool"}.get(type(document), "number")
        raise InvalidParameter(f"json: cannot unmarshal {kind} into Go value of type []tarexport.manifestItem")
    return document
