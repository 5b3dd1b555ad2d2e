"""Image archives, read in one pass: whatever order, names and links their writers chose."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydock_lab.daemon.engine.images_load import ImageLoader, Loaded
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.distribution import Distribution
from pydock_lab.daemon.store.images import ImageStore
from pydock_lab.daemon.store.layers import LayerStore, chain_id
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import InvalidParameter, LabError
from tests.unit.daemon.store.conftest import digest, link, make_tar, needs_root

pytestmark = needs_root

ONE, TWO = make_tar(("one", b"1")), make_tar(("two", b"2"))


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = Database(root / "meta.db")
        self.layers = LayerStore(root / "layers", self.database, Trace())
        self.images = ImageStore(self.database, self.layers)
        self.blobs = BlobStore(root / "blobs")
        self.distribution = Distribution(self.database, self.blobs, self.layers, self.images)
        self.loader = ImageLoader(self.images, self.layers, self.blobs, self.distribution)

    def load(self, archive: bytes) -> Loaded:
        try:
            return self.loader.load(io.BytesIO(archive), lambda _: None)
        finally:
            for place in ("layers/tmp", "blobs/tmp"):
                assert not list((self.root / place).iterdir()), "something half-made is left"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.database.close()


def config(*layers: bytes) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()


def contents(config_path: str, *layers: str, tag: str = "app:1") -> dict[str, object]:
    return {"Config": config_path, "RepoTags": [tag], "Layers": list(layers)}


def test_the_table_of_contents_may_come_last(store: Store) -> None:
    table = json.dumps([contents("c.json", "1/layer.tar", "2/layer.tar")]).encode()
    members = [("1/layer.tar", ONE), ("2/layer.tar", TWO), ("c.json", config(ONE, TWO)), ("manifest.json", table)]
    for ordered in (members, members[::-1]):
        [(image, references)] = store.load(make_tar(*ordered))
        assert [reference.familiar for reference in references] == ["app:1"]
        assert [layer.diff_id for layer in store.layers.stack(image.chain_id)] == [digest(TWO), digest(ONE)]


def test_a_layer_that_is_in_twice(store: Store) -> None:
    """`docker save` before 25 writes the second as a symlink to the first."""
    table = json.dumps([contents("c.json", "a/layer.tar", "b/layer.tar", "c/layer.tar")]).encode()
    members = [
        ("a/layer.tar", ONE),
        ("b/layer.tar", TWO),
        ("c/layer.tar", link("../a/layer.tar")),
        ("c.json", config(ONE, TWO, ONE)),
        ("manifest.json", table),
    ]
    [(image, _)] = store.load(make_tar(*members))
    assert [layer.diff_id for layer in store.layers.stack(image.chain_id)] == [digest(ONE), digest(TWO), digest(ONE)]
    assert b"".join(store.layers.tar(image.chain_id or "")) == ONE


def test_layers_that_are_here_already_are_not_unpacked_again(store: Store) -> None:
    store.layers.apply(io.BytesIO(ONE), None, holder="somebody")
    name = f"blobs/sha256/{digest(ONE)[7:]}"
    table = json.dumps([contents("c.json", name, name)]).encode()
    damaged = ONE[:512] + b"x" + ONE[513:]
    members = [(name, damaged), ("c.json", config(ONE, ONE)), ("manifest.json", table)]
    [(image, _)] = store.load(make_tar(*members))
    assert image.chain_id == chain_id(digest(ONE), digest(ONE))
    assert b"".join(store.layers.tar(image.chain_id)) == ONE


def test_several_images_that_share_a_layer(store: Store) -> None:
    table = [contents("c1.json", "1", tag="a:1"), contents("c2.json", "1", "2"), contents("c3.json", "2", "1")]
    members = [
        ("1", ONE),
        ("2", TWO),
        ("c1.json", config(ONE)),
        ("c2.json", config(ONE, TWO)),
        ("c3.json", config(TWO, ONE)),
        ("manifest.json", json.dumps(table).encode()),
    ]
    loaded = store.load(make_tar(*members))
    assert [image.config["rootfs"]["diff_ids"] for image, _ in loaded] == [
        [digest(ONE)],
        [digest(ONE), digest(TWO)],
        [digest(TWO), digest(ONE)],
    ]


def test_compressed_layers_are_kept_as_they_came(store: Store) -> None:
    packed = gzip.compress(ONE, mtime=0) + gzip.compress(b"", mtime=0)
    table = json.dumps([contents("c.json", "1.tgz")]).encode()
    store.load(gzip.compress(make_tar(("1.tgz", packed), ("c.json", config(ONE)), ("manifest.json", table))))
    [origin] = store.distribution.origins(digest(ONE))
    assert origin.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    with store.blobs.open(origin.digest) as blob:
        assert blob.read() == packed


BAD = {
    "no table": [("c.json", config(ONE)), ("1", ONE)],
    "no config": [("1", ONE), ("manifest.json", json.dumps([contents("c.json", "1")]).encode())],
    "no layer": [("c.json", config(ONE)), ("manifest.json", json.dumps([contents("c.json", "1")]).encode())],
    "another layer": [
        ("1", TWO),
        ("c.json", config(ONE)),
        ("manifest.json", json.dumps([contents("c.json", "1")]).encode()),
    ],
    "a layer too few": [
        ("1", ONE),
        ("c.json", config(ONE, TWO)),
        ("manifest.json", json.dumps([contents("c.json", "1")]).encode()),
    ],
    "half a layer": [("1", ONE[:700] + bytes(324)), ("manifest.json", b"[]"), ("2", b"\x1f\x8bnot gzip at all")],
    "links in a circle": [
        ("c.json", link("d.json")),
        ("d.json", link("c.json")),
        ("manifest.json", json.dumps([contents("c.json")]).encode()),
    ],
    "out of the archive": [("../etc/passwd", b"root::0:0"), ("manifest.json", b"[]")],
    "links out": [("c.json", link("../../etc/passwd")), ("manifest.json", json.dumps([contents("c.json")]).encode())],
    "a device": [("null", link("", tarfile.CHRTYPE)), ("manifest.json", b"[]")],
    "no json": [("manifest.json", b"nothing")],
    "wrong json": [("manifest.json", b'[{"Config": 1}]')],
}


@pytest.mark.parametrize("members", BAD.values(), ids=BAD.keys())
def test_what_is_no_archive_leaves_nothing(store: Store, members: list[tuple[str, object]]) -> None:
    with pytest.raises(LabError):
        store.load(make_tar(*members))
    assert store.images.list() == []
    assert store.layers.total_size() == 0


def test_no_tar_at_all(store: Store) -> None:
    for data in (b"", b"nothing", b"x" * 2000):
        with pytest.raises(InvalidParameter):
            store.load(data)
