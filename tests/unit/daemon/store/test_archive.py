"""The extractor: whatever an archive says, nothing outside the root is touched."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pydock_lab.daemon.store.archive import Limits, is_whiteout, unpack
from pydock_lab.daemon.store.tree import remove_path
from pydock_lab.errors import InvalidParameter, LabError
from tests.unit.daemon.store.conftest import link, make_tar, needs_root, sparse

OWN = (os.geteuid(), os.getegid())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def put(root: Path, *members: tuple[str, object], **options: object) -> None:
    unpack(io.BytesIO(make_tar(*members)), root, owner=OWN, **options)  # type: ignore[arg-type]


def outside(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (root.parent / "outside").iterdir()}


HOSTILE: dict[str, list[tuple[str, object]]] = {
    "dots": [("../outside/secret", b"evil")],
    "dots inside": [("a/../../outside/secret", b"evil")],
    "absolute": [("/outside/secret", b"evil")],
    "through a symlink": [("l", link("../outside")), ("l/secret", b"evil"), ("l/new", b"evil")],
    "through an absolute symlink": [("l", link("{outside}")), ("l/secret", b"evil")],
    "through two symlinks": [("a", None), ("a/b", link("..")), ("c", link("a/b/../outside")), ("c/secret", b"evil")],
    "onto a symlink": [("s", link("../outside/secret")), ("s", b"evil")],
    "hard link out": [("h", link("../outside/secret", tarfile.LNKTYPE)), ("h", b"evil")],
    "hard link to a symlink": [
        ("s", link("../outside/secret")),
        ("h", link("s", tarfile.LNKTYPE)),
        ("h", b"evil"),
    ],
    "hard link through a symlink": [("l", link("../outside")), ("h", link("l/secret", tarfile.LNKTYPE)), ("h", b"e")],
    "directory onto a symlink": [("l", link("../outside")), ("l", None), ("l/secret", b"evil")],
    "symlink loop": [("a", link("b")), ("b", link("a")), ("a/x", b"evil")],
    "whiteout through a symlink": [("l", link("../outside")), ("l/.wh.secret", b""), ("l/.wh..wh..opq", b"")],
    "whiteout of the parent": [("a", None), ("a/.wh...", b"")],
    "whiteout of nothing": [(".wh.", b"")],
    "name of only dots": [("..", None), (".", None), ("", b"x")],
    "long name": [("x" * 5000, b"")],
    "long component": [("x" * 300, b"")],
    "below a file": [("f", b""), ("f/g", b"evil")],
}


@pytest.mark.parametrize("layer", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_outside_is_touched(root: Path, case: str, layer: bool) -> None:
    members = []
    for name, what in HOSTILE[case]:
        if isinstance(what, tarfile.TarInfo):
            what = link(what.linkname.replace("{outside}", str(root.parent / "outside")), what.type)
        members.append((name, what))
    with contextlib.suppress(LabError):
        put(root, *members, layer=layer)
    assert outside(root) == {"secret": "secret"}
    assert sorted(path.name for path in root.parent.iterdir()) == ["outside", "root"]
    assert os.listxattr(root.parent / "outside") == []


def test_holes_count_against_the_limit_and_errors_name_the_entry(root: Path) -> None:
    with pytest.raises(InvalidParameter, match="larger than the engine's limit"):
        unpack(io.BytesIO(sparse("bomb", 1 << 50)), root)
    file = tarfile.TarInfo()
    file.pax_headers = {"SCHILY.xattr.user.big": "x" * 70_000}
    with pytest.raises(InvalidParameter, match="failed to unpack 'attributes': "):
        put(root, ("attributes", file))


def test_links_inside_are_followed_inside(root: Path) -> None:
    put(root, ("usr", None), ("lib", link("/usr/lib")), ("usr/lib", None), ("lib/x", b"1"), ("up", link("../../usr")))
    put(root, ("up/y", b"2"))
    assert (root / "usr/lib/x").read_bytes() == b"1"
    assert (root / "usr/y").read_bytes() == b"2"


def test_what_is_there_is_replaced_and_directories_are_merged(root: Path) -> None:
    put(root, ("d", None), ("d/old", b"old"), ("f", b"old"), ("l", link("f")))
    put(root, ("d", None), ("d/new", b"new"), ("f", None), ("f/in", b"in"), ("l", b"file"))
    assert sorted(path.name for path in (root / "d").iterdir()) == ["new", "old"]
    assert (root / "f/in").read_bytes() == b"in"
    assert not (root / "l").is_symlink()


def test_times_modes_and_links(root: Path) -> None:
    directory, file = tarfile.TarInfo(), tarfile.TarInfo()
    directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o1777, 1000
    file.mode, file.mtime = 0o4711, 2000
    put(root, ("d", directory), ("d/f", file), ("d/h", link("d/f", tarfile.LNKTYPE)))
    assert (root / "d").stat().st_mtime == 1000
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o1777
    assert (root / "d/f").stat().st_mtime == 2000
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o4711
    assert (root / "d/h").samefile(root / "d/f")


@needs_root
def test_whiteouts_become_what_overlayfs_reads(root: Path) -> None:
    put(root, ("a/.wh.gone", b""), ("b/.wh..wh..opq", b""), ("b/kept", b"1"), layer=True)
    assert is_whiteout((root / "a/gone").lstat())
    assert os.getxattr(root / "b", "trusted.overlay.opaque") == b"y"


@needs_root
def test_a_whiteout_never_touches_its_own_layer(root: Path) -> None:
    put(root, ("d", None), ("d/x", b"1"), (".wh.d", b""), ("f", b"2"), (".wh.f", b""), layer=True)
    assert (root / "d/x").read_bytes() == b"1"
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"
    assert (root / "f").read_bytes() == b"2"


@needs_root
def test_a_directory_after_its_whiteout_hides_the_old_one(root: Path) -> None:
    put(root, (".wh.d", b""), ("d", None), layer=True)
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"


def test_whiteouts_are_plain_files_outside_of_layers(root: Path) -> None:
    put(root, (".wh.x", b"1"))
    assert (root / ".wh.x").read_bytes() == b"1"


@needs_root
def test_overlayfs_own_attributes_do_not_come_from_an_archive(root: Path) -> None:
    info = tarfile.TarInfo()
    info.pax_headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.user.kept": "yes",
    }
    put(root, ("f", info), layer=True)
    assert os.listxattr(root / "f") == ["user.kept"]


@needs_root
def test_device_nodes_are_made_or_refused(root: Path) -> None:
    device = tarfile.TarInfo()
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    put(root, ("null", device))
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    with pytest.raises(InvalidParameter, match="device nodes are not allowed"):
        put(root, ("other", device), devices=False)


def test_limits_stop_a_bomb(root: Path) -> None:
    with pytest.raises(InvalidParameter, match="larger than"):
        put(root, ("a", b"x" * 600), ("b", b"x" * 600), limits=Limits(content_bytes=1000))
    with pytest.raises(InvalidParameter, match="larger than"):
        put(root, ("c", None), ("d", None), limits=Limits(entries=1))


def test_deep_directories_do_not_exhaust_anything(root: Path) -> None:
    depth = 1900
    put(root, ("/".join("d" * depth) + "/f", b"deep"))
    assert Path("/".join([str(root), *"d" * 900])).is_dir()
    remove_path(root)
    assert not root.exists()


def test_directories_that_are_only_used_are_told(root: Path) -> None:
    members = make_tar(("tmp/sub/f", b"1"), ("named", None), ("named/f", b"2"), ("late/f", b"3"), ("late", None))
    assert unpack(io.BytesIO(members), root, owner=OWN, layer=True).implied == {"", "tmp", "tmp/sub"}
    assert unpack(io.BytesIO(make_tar((".", None))), root, owner=OWN, layer=True).implied == set()
    members = make_tar(("a/b/f", b"1"), ("a/b", b"a file now"))
    assert unpack(io.BytesIO(members), root, owner=OWN, layer=True).implied == {"", "a"}
