"""A mirrored directory is what its client has listed, whatever it was before, and nothing outside it is touched."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.builder.mirror import Known, Mirror
from pydock_lab.daemon.builder.rootfs import Rootfs
from pydock_lab.errors import InvalidParameter

FILE, DIRECTORY, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777

# path → content of a file, None for a directory, a link's target behind ">"
NAMES = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "b/x/z", "a/y/z"])
CONTENTS = st.sampled_from(["1", "2", ">a", ">../../outside", None])
TREES = st.dictionaries(NAMES, CONTENTS, max_size=6)


def send(mirror: Mirror, tree: dict[str, str | None]) -> list[str]:
    """Do what a client does; return which files it was asked for."""
    mirror.open()
    asked: list[str] = []
    directories = {""}
    for path in sorted(tree, key=lambda path: path.split("/")):
        content = tree[path]
        if path.rpartition("/")[0] not in directories:
            continue
        if content is None:
            known = Known(DIRECTORY, 0, 1)
            directories.add(path)
        elif content.startswith(">"):
            known = Known(LINK, 0, 1, content[1:])
        else:
            known = Known(FILE, len(content), int(content) * 10**9)
        if mirror.list(path, known):
            asked.append(path)
    for path in asked:
        digest, fd = mirror.begin_digest(path), mirror.create(path)
        os.write(fd, str(tree[path]).encode())
        digest.update(str(tree[path]).encode())
        mirror.fill(path, fd, f"sha256:{digest.hexdigest()}")
        os.close(fd)
    mirror.close()
    return asked


@given(st.lists(TREES, min_size=2, max_size=4))
def test_a_mirror_is_what_was_listed_last(trees: list[dict[str, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "outside").write_text("untouched")
        place = Path(scratch) / "m" / "irror"
        for tree in trees:
            mirror = Mirror(place)
            send(mirror, tree)
            index, files = mirror.index(), Rootfs([mirror.root])
            seen = {entry.path: entry for entry in files.walk(files.root)}
            assert {entry.path for entry in index.walk(index.root)} == set(seen)
            for path, entry in seen.items():
                assert index.digests(index.resolve(path, follow=False), with_owner=False) == files.digests(
                    entry, with_owner=False
                )
            assert send(Mirror(place), tree) == [], "what has not changed is not asked for"
        assert (Path(scratch) / "outside").read_text() == "untouched"


def test_hard_links_are_made_when_their_file_has_come(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    mirror.open()
    assert mirror.list("a", Known(FILE, 1, 1))
    assert not mirror.list("b", Known(FILE, 1, 1, "a"))
    fd = mirror.create("a")
    os.write(fd, b"1")
    mirror.fill("a", fd, "sha256:1")
    os.close(fd)
    mirror.close()
    assert (tmp_path / "tree" / "b").samefile(tmp_path / "tree" / "a")
    assert mirror.known["b"].digest == "sha256:1"


@pytest.mark.parametrize("path", ["..", "a/..", "/etc", "l/x", "f/x", "no/x", "a", ""])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    mirror = Mirror(tmp_path)
    mirror.open()
    mirror.list("a", Known(DIRECTORY, 0, 1))
    mirror.list("f", Known(FILE, 1, 1))
    mirror.list("l", Known(LINK, 0, 1, "/etc"))
    with pytest.raises(InvalidParameter, match="in build context"):
        mirror.list(path, Known(FILE, 1, 1))


def test_what_a_crash_leaves_is_not_believed(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    send(mirror, {"a": "1"})
    mirror = Mirror(tmp_path)
    mirror.open()
    mirror.list("a", Known(FILE, 1, 2 * 10**9))  # and here the daemon dies
    assert send(Mirror(tmp_path), {"a": "1"}) == ["a"]
