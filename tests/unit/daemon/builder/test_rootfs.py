"""The merged view of layers: what overlayfs would show, without mounting it."""

import os
import stat
from pathlib import Path

import pytest

from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs


@pytest.fixture
def stack(tmp_path: Path) -> list[Path]:
    """Three layers, topmost first."""
    layers = [tmp_path / name for name in ("top", "middle", "bottom")]
    for layer in layers:
        layer.mkdir()
    return layers


def put(layer: Path, path: str, content: str = "") -> Path:
    file = layer / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def whiteout(layer: Path, path: str) -> None:
    file = layer / path
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(file, stat.S_IFCHR, 0)
    except PermissionError:
        pytest.skip("machine: may not make a whiteout")


def names(rootfs: Rootfs, path: str) -> list[str]:
    place = rootfs.resolve(path)
    assert place is not None
    return [entry.path.rpartition("/")[2] for entry in rootfs.entries(place)]


def test_directories_merge_and_the_topmost_file_wins(stack: list[Path]) -> None:
    top, middle, bottom = stack
    put(bottom, "d/a", "bottom")
    put(middle, "d/a", "middle")
    put(top, "d/b", "top")
    rootfs = Rootfs(stack)
    assert names(rootfs, "/d") == ["a", "b"]
    place = rootfs.resolve("/d/a")
    assert place is not None
    assert place.real[0].read_text() == "middle"


def test_a_whiteout_hides_what_lies_below(stack: list[Path]) -> None:
    put(stack[2], "d/a")
    put(stack[2], "d/b")
    whiteout(stack[1], "d/a")
    rootfs = Rootfs(stack)
    assert rootfs.resolve("/d/a") is None
    assert names(rootfs, "/d") == ["b"]


def test_a_directory_made_anew_over_a_whiteout_is_empty(stack: list[Path]) -> None:
    put(stack[2], "d/old")
    whiteout(stack[1], "d")
    put(stack[0], "d/new")
    assert names(Rootfs(stack), "/d") == ["new"]


def test_an_opaque_directory_hides_its_lower_half(stack: list[Path]) -> None:
    put(stack[2], "d/old")
    put(stack[0], "d/new")
    try:
        os.setxattr(stack[0] / "d", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("machine: no user xattrs here")
    assert names(Rootfs(stack, rootless=True), "/d") == ["new"]


def test_links_stay_inside(stack: list[Path], tmp_path: Path) -> None:
    put(tmp_path, "secret", "outside")
    put(stack[2], "etc/passwd", "inside")
    (stack[1] / "absolute").symlink_to("/etc/passwd")
    (stack[1] / "climbing").symlink_to("../../../../../../etc/passwd")
    (stack[1] / "out").symlink_to(f"..{tmp_path}/secret")
    (stack[1] / "up").symlink_to("../..")
    rootfs = Rootfs(stack)
    for name in ("absolute", "climbing", "up/etc/passwd"):
        place = rootfs.resolve(f"/{name}")
        assert place is not None, name
        assert place.real[0].read_text() == "inside"
    assert rootfs.resolve("/out") is None


def test_links_that_never_end(stack: list[Path]) -> None:
    (stack[0] / "a").symlink_to("b")
    (stack[0] / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        Rootfs(stack).resolve("/a")


def test_a_path_through_a_file_is_refused(stack: list[Path]) -> None:
    put(stack[0], "file")
    with pytest.raises(NotADirectoryError):
        Rootfs(stack).resolve("/file/below")


def test_copied_up_directories_look_like_those_below(stack: list[Path]) -> None:
    top, middle, bottom = stack
    directory = bottom / "var/spool"
    directory.mkdir(parents=True)
    directory.chmod(0o2751)
    os.utime(directory, ns=(10**18, 10**18))
    real = WritableRootfs(top, [middle, bottom]).real_directory("/var/spool/new/er")
    assert real == top / "var/spool/new/er"
    copied = (top / "var/spool").stat()
    assert stat.S_IMODE(copied.st_mode) == 0o2751
    assert stat.S_IMODE(real.stat().st_mode) == 0o755


def test_directories_are_made_through_links(stack: list[Path]) -> None:
    top, middle, bottom = stack
    (bottom / "run").mkdir()
    (bottom / "var").mkdir()
    (bottom / "var/run").symlink_to("/run")
    real = WritableRootfs(top, [middle, bottom]).real_directory("/var/run/app")
    assert real == top / "run/app"


def test_walk_yields_parents_first(stack: list[Path]) -> None:
    put(stack[0], "b/x")
    put(stack[2], "a/y/z")
    rootfs = Rootfs(stack)
    assert [place.path for place in rootfs.walk(rootfs.root)] == ["/a", "/a/y", "/a/y/z", "/b", "/b/x"]


def test_a_directory_that_is_there_is_not_written_again(stack: list[Path], tmp_path: Path) -> None:
    (stack[2] / "app").mkdir()
    upper = tmp_path / "upper"
    upper.mkdir()
    target = WritableRootfs(upper, stack)
    target.ensure_directory("/app")
    assert list(upper.iterdir()) == []
    target.ensure_directory("/app/public")
    assert (upper / "app" / "public").is_dir()
