"""`-v`, `--mount`, `--volumes-from`: Docker's words to mount points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.engine.containers.mounts import oci_mounts, parse_bind, parse_mount, plan
from pydock_lab.daemon.engine.containers.record import MountPoint
from pydock_lab.daemon.engine.containers.settings import host_config_defaults
from pydock_lab.errors import InvalidParameter


def planned(
    volumes: dict[str, Any] | None = None, others: list[MountPoint] | None = None, **host: Any
) -> list[MountPoint]:
    return plan({"Volumes": volumes}, host_config_defaults() | host, lambda _: others or [])


def test_a_named_volume_and_a_directory() -> None:
    volume, directory = parse_bind("data:/srv:ro"), parse_bind("/tmp//x:/y/")
    assert (volume.type, volume.name, volume.destination, volume.rw) == ("volume", "data", "/srv", False)
    assert (directory.type, directory.source, directory.destination) == ("bind", "/tmp/x", "/y")
    assert directory.propagation == "rprivate"
    assert directory.create_source


def test_one_path_is_an_anonymous_volume() -> None:
    point = parse_bind("/data")
    assert point.type == "volume"
    assert point.anonymous
    assert len(point.name) == 64


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("/a:/b:zz", "invalid mode: zz"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:nocopy", "invalid mode: nocopy"),
        ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
        ("a:/", "destination can't be '/'"),
        ("a:/b:ro:x", "invalid volume specification: 'a:/b:ro:x'"),
        (":/b", "invalid volume specification"),
    ],
)
def test_bad_binds_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        parse_bind(spec)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"Type": "nope", "Target": "/x"}, "mount type unknown"),
        ({"Type": "volume"}, "field Target must not be empty"),
        ({"Type": "bind", "Source": "/no/such/path", "Target": "/x"}, "bind source path does not exist: /no/such/path"),
        ({"Type": "bind", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "tmpfs", "Source": "/a", "Target": "/x"}, "field Source must not be specified"),
        (
            {"Type": "bind", "Source": "/", "Target": "/x", "VolumeOptions": {"NoCopy": True}},
            "field VolumeOptions",
        ),
        ({"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "../y"}}, "subpath"),
    ],
)
def test_bad_mounts_are_refused(mount: Any, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        parse_mount(mount)


def test_a_tmpfs_has_its_options() -> None:
    point = parse_mount({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1770}})
    [mount] = oci_mounts([point], None)
    assert mount["type"] == "tmpfs"
    assert {"size=1024", "mode=1770"} <= set(mount["options"])


def test_an_image_s_volume_gives_way_to_the_user_s() -> None:
    points = planned({"/data": {}, "/other": {}}, Binds=["mine:/data"])
    assert [(p.destination, p.anonymous) for p in points] == [("/data", False), ("/other", True)]


def test_the_same_place_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /x"):
        planned(Binds=["a:/x"], Mounts=[{"Type": "bind", "Source": str(tmp_path), "Target": "/x"}])
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /x"):
        planned(Binds=["a:/x"], Tmpfs={"/x": ""})


def test_borrowed_volumes_stay_with_their_owner() -> None:
    owned = MountPoint("volume", "/d", source="/v/_data", name="n", anonymous=True)
    [point] = planned(others=[owned], VolumesFrom=["other:ro"])
    assert (point.name, point.anonymous, point.rw) == ("n", False, False)
    assert owned.rw
