"""COPY and ADD on directories: where things land, with which owner and mode."""

import os
import stat
from pathlib import Path

import pytest

from pydock_lab.daemon.builder.copying import Copier, Ownership, clamp_times, resolve_owner
from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.dockerfile.filemode import FileMode
from pydock_lab.errors import InvalidParameter

KEEP = Ownership(owner=None)


class Desk:
    """A build context beside an image of one layer."""

    def __init__(self, root: Path) -> None:
        self.context, self.lower, self.upper = (root / name for name in ("context", "lower", "upper"))
        for directory in (self.context, self.lower, self.upper):
            directory.mkdir()
        self.tree = SourceTree(Rootfs([self.context]), is_context=True)
        self.target = WritableRootfs(self.upper, [self.lower])

    def copy(self, word: str, destination: str, ownership: Ownership = KEEP) -> None:
        copier = Copier(self.target, ownership)
        for source in self.tree.find(word):
            copier.copy(source, self.tree.rootfs, destination)

    def result(self) -> dict[str, str]:
        """Path → content, link target or "dir" of all that was written."""
        found = {}
        for path in sorted(self.upper.rglob("*")):
            text = f"-> {path.readlink()}" if path.is_symlink() else "dir" if path.is_dir() else path.read_text()
            found[str(path.relative_to(self.upper))] = text
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    (made.context / "f").write_text("hello")
    (made.context / "d/sub").mkdir(parents=True)
    (made.context / "d/a").write_text("A")
    (made.context / "d/sub/b").write_text("B")
    (made.context / "d/link").symlink_to("a")
    return made


def test_a_file_to_a_name(desk: Desk) -> None:
    desk.copy("f", "/x/y")
    assert desk.result() == {"x": "dir", "x/y": "hello"}


def test_a_file_into_a_directory(desk: Desk) -> None:
    (desk.lower / "etc").mkdir()
    desk.copy("f", "/etc")
    desk.copy("f", "/new/")
    assert desk.result() == {"etc": "dir", "etc/f": "hello", "new": "dir", "new/f": "hello"}


def test_a_directory_copies_its_contents(desk: Desk) -> None:
    desk.copy("d", "/x")
    assert desk.result() == {"x": "dir", "x/a": "A", "x/link": "-> a", "x/sub": "dir", "x/sub/b": "B"}


def test_the_whole_context(desk: Desk) -> None:
    desk.copy(".", "/app")
    assert desk.result()["app/d/sub/b"] == "B"
    assert desk.result()["app/f"] == "hello"


def test_a_link_at_the_destination_is_followed_inside_the_rootfs(desk: Desk) -> None:
    (desk.lower / "real").mkdir()
    (desk.lower / "alias").symlink_to("/real")
    (desk.lower / "file").symlink_to("real/target")
    desk.copy("f", "/alias/")
    desk.copy("f", "/file")
    assert desk.result() == {"real": "dir", "real/f": "hello", "real/target": "hello"}


def test_a_link_inside_a_copied_directory_replaces_and_is_replaced(desk: Desk) -> None:
    (desk.lower / "x").mkdir()
    (desk.lower / "x/sub").symlink_to("/etc")
    desk.copy("d", "/x")
    assert desk.result()["x/sub/b"] == "B"
    assert "etc" not in desk.result()


def test_a_source_link_is_followed_but_not_out_of_the_context(desk: Desk) -> None:
    (desk.context / "alias").symlink_to("d/a")
    (desk.context / "escape").symlink_to("/../../../etc/passwd")
    desk.copy("alias", "/x")
    assert desk.result() == {"x": "A"}
    with pytest.raises(InvalidParameter, match="file not found in build context"):
        desk.tree.find("escape")


def test_a_file_in_the_way_of_a_directory(desk: Desk) -> None:
    (desk.lower / "x").write_text("file")
    with pytest.raises((InvalidParameter, OSError)):
        desk.copy("f", "/x/y")


def test_patterns(desk: Desk) -> None:
    for name in ("one.txt", "two.txt", "three.md"):
        (desk.context / name).write_text(name)
    assert [source.name for source in desk.tree.find("*.txt")] == ["one.txt", "two.txt"]
    assert [source.name for source in desk.tree.find("d/*")] == ["d/a", "d/link", "d/sub"]
    assert [source.name for source in desk.tree.find("t??.txt")] == ["two.txt"]
    assert desk.tree.find("*.nothing") == []


def test_a_missing_source_says_what_is_there(desk: Desk) -> None:
    with pytest.raises(InvalidParameter) as raised:
        desk.tree.find("d/missing")
    assert raised.value.message == (
        "file not found in build context or excluded by .dockerignore: stat d/missing: file does not exist"
    )
    assert raised.value.hint == "the build context holds: a, link, sub"


@pytest.mark.parametrize("word", ["../f", "d/../../f", "/../f"])
def test_paths_outside_the_context(desk: Desk, word: str) -> None:
    with pytest.raises(InvalidParameter, match="forbidden path outside the build context"):
        desk.tree.find(word)


def test_modes_and_times_are_kept_and_the_mode_can_be_set(desk: Desk) -> None:
    source = desk.context / "f"
    source.chmod(0o751)
    os.utime(source, ns=(10**18, 10**18 + 7))
    desk.copy("f", "/kept")
    desk.copy("f", "/set", Ownership(owner=None, mode=FileMode.parse("600")))
    kept, changed = (desk.upper / "kept").stat(), (desk.upper / "set").stat()
    assert stat.S_IMODE(kept.st_mode) == 0o751
    assert kept.st_mtime_ns == 10**18 + 7
    assert stat.S_IMODE(changed.st_mode) == 0o600


def test_digests_ignore_times_and_see_modes_and_content(desk: Desk) -> None:
    def digest() -> str:
        return SourceTree(Rootfs([desk.context]), is_context=True).find("f")[0].digests[""]

    before = digest()
    os.utime(desk.context / "f", ns=(1, 1))
    assert digest() == before
    (desk.context / "f").chmod(0o700)
    after_mode = digest()
    assert after_mode != before
    (desk.context / "f").write_text("other")
    assert digest() not in (before, after_mode)


def test_owner_names_come_from_the_image(desk: Desk) -> None:
    (desk.lower / "etc").mkdir()
    (desk.lower / "etc/passwd").write_text("root:x:0:0::/:\napp:x:1001:1002::/:\n")
    (desk.lower / "etc/group").write_text("staff:x:50:\n")
    rootfs = Rootfs([desk.lower])
    assert resolve_owner("app", rootfs) == (1001, 1001)
    assert resolve_owner("app:staff", rootfs) == (1001, 50)
    assert resolve_owner("7:8", rootfs) == (7, 8)
    with pytest.raises(InvalidParameter, match="can't find uid for user nobody"):
        resolve_owner("nobody", rootfs)


def test_hard_links_stay_links(desk: Desk) -> None:
    os.link(desk.context / "d/a", desk.context / "d/sub/again")
    desk.copy("d", "/x")
    assert (desk.upper / "x/a").stat().st_ino == (desk.upper / "x/sub/again").stat().st_ino


def test_clamp_times(desk: Desk) -> None:
    desk.copy("d", "/x")
    os.utime(desk.upper / "x/a", (5, 5))
    clamp_times(desk.upper, 1000)
    assert (desk.upper / "x/a").stat().st_mtime == 5
    assert (desk.upper / "x/sub").stat().st_mtime == 1000
