"""Volumes: directories that stay."""

from __future__ import annotations

import pytest

from pydock_lab.daemon.store.volumes import VolumeStore
from pydock_lab.errors import InvalidParameter, NotFound
from tests.unit.daemon.store.conftest import Stores


def test_a_volume_and_its_data_outlive_the_daemon(stores: Stores) -> None:
    volumes = VolumeStore(stores.root / "volumes", stores.database)
    volume = volumes.create("data", labels={"a": "b"}, options={})
    (volume.mountpoint / "file").write_text("1")
    again = VolumeStore(stores.root / "volumes", stores.database)
    assert again.list() == [volume]
    assert again.create("data", labels={}, options={}) == volume
    assert (again.get("data").mountpoint / "file").read_text() == "1"
    again.remove("data")
    assert list((stores.root / "volumes").iterdir()) == []
    with pytest.raises(NotFound, match=r"^get data: no such volume$"):
        again.get("data")


@pytest.mark.parametrize("name", ["", "a", "../x", "a/b", "-a", ".hidden", "ü2", "a b"])
def test_names(stores: Stores, name: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^create "):
        VolumeStore(stores.root / "volumes", stores.database).create(name, labels={}, options={})
    assert list((stores.root / "volumes").iterdir()) == []
