"""Images: by digest, by name, by prefix; gone when they are removed, there after a restart."""

from __future__ import annotations

import io

import pytest

from pydock_lab.errors import InvalidParameter, NotFound
from tests.unit.daemon.store.conftest import Stores, digest, make_tar


@pytest.fixture
def layer(stores: Stores) -> str:
    tar = make_tar()
    return stores.layers.apply(io.BytesIO(tar), None).diff_id


def test_an_image_is_the_digest_of_its_config(stores: Stores, layer: str) -> None:
    raw = b'{"unknown":  [1],"rootfs":{"diff_ids":["%s"]}}' % layer.encode()
    image = stores.images.put(raw)
    assert (image.id, image.raw) == (digest(raw), raw)
    assert stores.images.put(raw) == image
    stores.reopen()
    assert stores.images.get(image.id).raw == raw
    assert stores.layers.get(layer).diff_id == layer


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"rootfs":{"diff_ids":[1]}}', b'{"rootfs":{"diff_ids":["x"]}}'])
def test_what_is_no_config_is_refused(stores: Stores, raw: bytes) -> None:
    with pytest.raises(InvalidParameter):
        stores.images.put(raw)


def test_an_image_without_its_layers_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFound):
        stores.put_image(digest(b"nowhere"))
    assert stores.images.list() == []


def test_names_are_looked_up_as_docker_does(stores: Stores, layer: str) -> None:
    image = stores.put_image(layer)
    stores.images.tag("docker.io/library/app:latest", image.id)
    pinned = f"docker.io/library/app@{digest(b'm')}"
    stores.images.tag(pinned, image.id)
    hex_id = image.id.removeprefix("sha256:")
    names = ["app", "app:latest", "docker.io/app", f"app@{digest(b'm')}", f"app:1@{digest(b'm')}"]
    for name in [*names, image.id, hex_id, hex_id[:4], f"sha256:{hex_id[:10]}"]:
        assert stores.images.resolve(name) == stores.images.get(image.id), name
    with pytest.raises(NotFound, match=r"^No such image: nosuch:latest$"):
        stores.images.resolve("nosuch")
    with pytest.raises(NotFound, match=r"^No such image: app:2$"):
        stores.images.resolve("app:2")
    with pytest.raises(InvalidParameter):
        stores.images.resolve("UPPER")
    assert stores.images.references(image.id) == ["docker.io/library/app:latest", pinned]


def test_a_tag_moves(stores: Stores, layer: str) -> None:
    old, new = stores.put_image(layer), stores.put_image(layer, created="2024-02-01T00:00:00Z")
    stores.images.tag("docker.io/library/app:latest", old.id)
    stores.images.tag("docker.io/library/app:latest", new.id)
    assert stores.images.references(old.id) == []
    assert stores.images.resolve("app").id == new.id
    assert [image.id for image in stores.images.list()] == [new.id, old.id]
    stores.images.untag("docker.io/library/app:latest")
    with pytest.raises(NotFound):
        stores.images.untag("docker.io/library/app:latest")


def test_removing_takes_names_and_layers_along(stores: Stores, layer: str) -> None:
    one, two = stores.put_image(layer), stores.put_image(layer, Cmd=["x"])
    stores.images.tag("docker.io/library/app:latest", one.id)
    assert stores.images.remove(one.id) == []
    assert one.id not in stores.images
    assert stores.images.target("docker.io/library/app:latest") is None
    assert [gone.diff_id for gone in stores.images.remove(two.id)] == [layer]
    stores.reopen()
    assert stores.images.list() == []


def test_children(stores: Stores, layer: str) -> None:
    parent = stores.put_image(layer)
    child = stores.images.put(b'{"rootfs":{"diff_ids":["%s"]}}' % layer.encode(), parent=parent.id)
    assert stores.images.children(parent.id) == [child.id]
