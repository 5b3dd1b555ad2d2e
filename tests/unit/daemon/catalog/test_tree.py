"""A layer's tree: links below, parents, and a tar that depends on nothing but the content."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pydock_lab.daemon.catalog.tree import RootTree


def members(tree: RootTree) -> dict[str, tarfile.TarInfo]:
    raw = io.BytesIO()
    tree.write_tar(raw)
    raw.seek(0)
    with tarfile.open(fileobj=raw) as tar:
        return {member.name: member for member in tar}


def test_parents_come_before_their_files() -> None:
    tree = RootTree()
    tree.file("/a/b/c", "text")
    tree.file("/a-b", "x")
    assert list(members(tree)) == ["a", "a/b", "a/b/c", "a-b"]


def test_files_land_behind_the_links_of_lower_layers() -> None:
    below = RootTree()
    below.directory("/usr/lib")
    below.link("/lib", "usr/lib")
    tree = RootTree(below)
    tree.file("/lib/x/libx.so", b"")
    assert "usr/lib/x/libx.so" in members(tree)
    assert "lib" not in members(tree)
    assert "/lib/x/libx.so" in tree
    assert "/usr/lib/x/libx.so" in tree


def test_absolute_links_and_links_to_links() -> None:
    tree = RootTree()
    tree.link("/bin", "/usr/bin")
    tree.link("/usr/bin", "../opt/bin")
    tree.file("/bin/sh", "")
    assert "opt/bin/sh" in members(tree)


def test_a_circle_of_links_is_an_error() -> None:
    tree = RootTree()
    tree.link("/a", "b")
    tree.link("/b", "a")
    with pytest.raises(ValueError, match="too many links"):
        tree.file("/a/x", "")


def test_a_directory_repeated_above_keeps_its_mode() -> None:
    below = RootTree()
    below.directory("/tmp", 0o1777)
    tree = RootTree(below)
    tree.file("/tmp/x", "")
    assert members(tree)["tmp"].mode == 0o1777


def test_copies_lose_the_bits_that_would_be_dangerous(tmp_path: Path) -> None:
    source = tmp_path / "su"
    source.write_bytes(b"binary")
    source.chmod(0o4700)
    tree = RootTree()
    tree.copy("/bin/su", source)
    assert members(tree)["bin/su"].mode == 0o755
    assert members(tree)["bin/su"].size == 6


def test_order_of_additions_does_not_show() -> None:
    one, other = RootTree(), RootTree()
    one.file("/a", "1")
    one.file("/b", "2")
    other.file("/b", "2")
    other.file("/a", "1")
    tars = [io.BytesIO(), io.BytesIO()]
    one.write_tar(tars[0])
    other.write_tar(tars[1])
    assert tars[0].getvalue() == tars[1].getvalue()
    assert one.fingerprint() == other.fingerprint()


def test_the_fingerprint_sees_every_change(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_bytes(b"1")

    def fingerprint(content: str = "x", mode: int = 0o644, deferred: str = "") -> str:
        tree = RootTree()
        tree.file("/f", content, mode)
        tree.copy("/p", source)
        if deferred:
            tree.defer(deferred, lambda: None)
        return tree.fingerprint()

    seen = {fingerprint(), fingerprint("y"), fingerprint(mode=0o755), fingerprint(deferred="pip 1")}
    source.write_bytes(b"22")
    seen.add(fingerprint())
    assert len(seen) == 5


def test_what_is_put_off_is_in_the_tar() -> None:
    tree = RootTree()
    tree.defer("late", lambda: tree.file("/late", "here"))
    assert "/late" not in tree
    assert members(tree)["late"].size == 4
