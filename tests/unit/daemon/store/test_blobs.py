"""Blobs: whole or absent; what belongs to nothing is swept."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest
import zstandard

from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.compression import decompress
from pydock_lab.daemon.store.distribution import Distribution, Origin
from pydock_lab.errors import InvalidParameter, NotFound
from tests.unit.daemon.store.conftest import Stores, digest, make_tar


def test_a_blob_is_there_once_it_is_verified(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    with store.writer() as writer:
        writer.write(b"hel")
        assert digest(b"hello") not in store
        writer.write(b"lo")
        assert writer.commit(digest(b"hello")) == digest(b"hello")
    with store.open(digest(b"hello")) as file:
        assert file.read() == b"hello"
    assert store.size(digest(b"hello")) == 5


def test_a_wrong_or_abandoned_blob_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(InvalidParameter, match="verification failed"), store.writer() as writer:
        writer.write(b"evil")
        writer.commit(digest(b"good"))
    with store.writer() as writer:
        writer.write(b"half")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
    with pytest.raises(NotFound):
        store.open(digest(b"good"))


def test_what_a_killed_process_left_is_gone_at_the_next_start(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    (store.root / "tmp" / "half").write_bytes(b"half")
    (store.root / "tmp" / "unpacked").mkdir()
    (store.root / "tmp" / "unpacked" / "f").write_bytes(b"")
    BlobStore(tmp_path / "blobs")
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "g" * 64, ""])
def test_a_digest_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidParameter):
        BlobStore(tmp_path / "blobs").path(name)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_every_compression_is_detected(compress: object) -> None:
    data = make_tar(("f", b"content" * 1000))
    assert decompress(io.BytesIO(compress(data))).read() == data  # type: ignore[operator]
    assert decompress(io.BytesIO(compress(b""))).read() == b""  # type: ignore[operator]


def test_gzip_members_are_one_stream() -> None:
    assert decompress(io.BytesIO(gzip.compress(b"a") + gzip.compress(b"b"))).read() == b"ab"


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_damage_is_the_archives_fault(compress: object) -> None:
    data = bytearray(compress(bytes(range(256)) * 100))  # type: ignore[operator]
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InvalidParameter):
        decompress(io.BytesIO(bytes(data[:-3]))).read()


def test_origins_last_as_long_as_their_layer(stores: Stores) -> None:
    distribution = Distribution(stores.database, stores.blobs, stores.layers, stores.images)
    layer = stores.layers.apply(io.BytesIO(make_tar()), None)
    image = stores.put_image(layer.diff_id)
    blob = stores.blobs.put(b"compressed")
    distribution.add_origin(layer.diff_id, Origin(blob, 10, "gzip", ("a",)))
    distribution.add_origin(layer.diff_id, Origin(blob, 10, "gzip", ("b",)))
    manifest = distribution.add_manifest(image.id, b"{}", "manifest")
    pinned, stray = stores.blobs.put(b"being pulled"), stores.blobs.put(b"stray")
    stores.blobs.pin(pinned)
    distribution.sweep()
    assert distribution.origins(layer.diff_id) == [Origin(blob, 10, "gzip", ("b", "a"))]
    assert distribution.manifests(image.id) == [(b"{}", "manifest")]
    assert stray not in stores.blobs
    stores.images.remove(image.id)
    distribution.sweep()
    assert distribution.origins(layer.diff_id) == []
    assert [digest in stores.blobs for digest in (blob, manifest, pinned)] == [False, False, True]
