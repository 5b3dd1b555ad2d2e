"""`docker save`: an OCI image layout that older Dockers can load too.

    blobs/sha256/…   configs, manifests, layers as plain tars
    index.json, oci-layout          for OCI tools
    manifest.json, repositories     for `docker load` of any age

The form is that of Docker 25 and later (moby image/tarexport/save.go). The same
images give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import InvalidParameter, NotFound, SystemFailure
from pydock_lab.spec import media_types, tarformat
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.reference import Reference, parse
from pydock_lab.spec.tarformat import Entry

_BLOBS = "blobs/sha256/"


@dataclass
class Selected:
    """One image to be saved, under the names that were asked for."""

    image: Image
    references: list[Reference] = field(default_factory=list)


class ImageSaver:
    """Writes images as one tar."""

    def __init__(self, store: ImageStore, layers: LayerStore) -> None:
        self._store = store
        self._layers = layers

    def select(self, names: list[str]) -> list[Selected]:
        """Find what is to be saved, in the order of the names.

        Args:
            names: `app:1` is that tag, `app` is every tag of the repository, an id is the image without names.

        Raises:
            NotFound: `No such image: NAME`, `reference does not exist` where the name has a tag or digest.
        """
        selected: dict[str, Selected] = {}
        for name in names:
            image = self._resolve(name)
            tags = self._named(name)
            if not tags:
                selected.setdefault(image.id, Selected(image))
            for tag in tags:
                target = self._store.resolve(str(tag))
                entry = selected.setdefault(target.id, Selected(target))
                if tag not in entry.references:
                    entry.references.append(tag)
        return list(selected.values())

    def chunks(self, selected: list[Selected]) -> Iterator[bytes]:
        """Yield the archive; blocks.

        Raises:
            SystemFailure: a layer's directory has been changed by other hands.
        """
        done: set[str] = set()
        manifests: list[tuple[Selected, dict[str, Any]]] = []
        yield tarformat.encode(Entry("blobs/", tarformat.DIRECTORY, 0o755))
        yield tarformat.encode(Entry(_BLOBS, tarformat.DIRECTORY, 0o755))
        for entry in selected:
            stack = self._layers.stack(entry.image.chain_id)[::-1]
            for layer in stack:
                if layer.diff_id not in done:
                    done.add(layer.diff_id)
                    yield from self._layer(layer.chain_id, layer.diff_id, layer.tar_size)
            yield from _blob(entry.image.raw, done)
            manifest = msgspec.json.encode(
                {
                    "schemaVersion": 2,
                    "mediaType": media_types.OCI_MANIFEST,
                    "config": _descriptor(media_types.OCI_CONFIG, entry.image.id, len(entry.image.raw)),
                    "layers": [_descriptor(media_types.OCI_LAYER, it.diff_id, it.tar_size) for it in stack],
                }
            )
            yield from _blob(manifest, done)
            digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            manifests.append((entry, _descriptor(media_types.OCI_MANIFEST, digest, len(manifest))))
        yield from _file("index.json", msgspec.json.encode(_index(manifests)))
        yield from _file("manifest.json", msgspec.json.encode([self._legacy(entry) for entry in selected]))
        yield from _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        if repositories := _repositories(selected):
            yield from _file("repositories", msgspec.json.encode(repositories))
        yield tarformat.END

    def _resolve(self, name: str) -> Image:
        try:
            return self._store.resolve(name)
        except NotFound:
            # `app` stands for all tags of the repository even where there is no app:latest.
            if re.fullmatch("sha256:.*|[0-9a-f]{64}", name):
                raise NotFound(f"No such image: {name}") from None
            reference = parse(name, default_tag=False)
            if reference.tag or reference.digest:
                raise NotFound("reference does not exist", hint=f"docker images {reference.familiar_name}") from None
            tags = self.tags(reference)
            if not tags:
                raise NotFound(f"No such image: {name}") from None
            return self._store.resolve(str(tags[0]))

    def _named(self, name: str) -> list[Reference]:
        """Return the tags that a name asks for; none where it is an id or a digest."""
        try:
            reference = parse(name, default_tag=False)
        except InvalidParameter:
            return []
        if reference.digest:
            return []
        if reference.tag:
            return [reference] if self._store.target(str(reference)) else []
        return self.tags(reference)

    def tags(self, reference: Reference) -> list[Reference]:
        """Return all tags of a repository that are here."""
        found = []
        for image in self._store.list():
            for text in self._store.references(image.id):
                other = parse(text)
                if other.tag and other.name == reference.name:
                    found.append(other)
        return sorted(found, key=str)

    def _layer(self, chain_id: str, diff_id: str, size: int) -> Iterator[bytes]:
        yield tarformat.encode(Entry(_BLOBS + diff_id.removeprefix("sha256:"), size=size))
        sha256 = hashlib.sha256()
        for chunk in self._layers.tar(chain_id):
            sha256.update(chunk)
            yield chunk
        if f"sha256:{sha256.hexdigest()}" != diff_id:
            raise SystemFailure(f"layer {diff_id} is damaged: its files are not those it was made of")
        yield bytes(-size % tarformat.BLOCK)

    def _legacy(self, entry: Selected) -> dict[str, Any]:
        stack = self._layers.stack(entry.image.chain_id)[::-1]
        return {
            "Config": _BLOBS + entry.image.id.removeprefix("sha256:"),
            "RepoTags": [reference.familiar for reference in entry.references] or None,
            "Layers": [_BLOBS + layer.diff_id.removeprefix("sha256:") for layer in stack],
            "LayerSources": {
                layer.diff_id: _descriptor(media_types.OCI_LAYER, layer.diff_id, layer.tar_size) for layer in stack
            },
        }


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _index(manifests: list[tuple[Selected, dict[str, Any]]]) -> dict[str, Any]:
    entries = []
    for entry, descriptor in manifests:
        platform = Platform.of(entry.image.config)
        described = {**descriptor, "platform": {"architecture": platform.architecture, "os": platform.os}}
        if not entry.references:
            entries.append(described)
        for reference in entry.references:
            annotations = {
                "io.containerd.image.name": str(reference),
                "org.opencontainers.image.ref.name": reference.tag,
            }
            entries.append({**described, "annotations": annotations})
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}


def _repositories(selected: list[Selected]) -> dict[str, dict[str, str]]:
    repositories: dict[str, dict[str, str]] = {}
    for entry in selected:
        diff_ids = entry.image.config["rootfs"]["diff_ids"]
        for reference in entry.references:
            top = diff_ids[-1].removeprefix("sha256:") if diff_ids else ""
            repositories.setdefault(reference.familiar_name, {})[reference.tag] = top
    return repositories


def _blob(data: bytes, done: set[str]) -> Iterator[bytes]:
    name = hashlib.sha256(data).hexdigest()
    if name not in done:
        done.add(name)
        yield from _file(_BLOBS + name, data)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield tarformat.encode(Entry(name, size=len(data)))
    yield data + bytes(-len(data) % tarformat.BLOCK)
