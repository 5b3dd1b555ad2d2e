"""Contexts: what the index of a tar says is what unpacking it gives."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.digests import DigestMemo
from pydock_lab.daemon.builder.index import TarIndex, UnplainTarError
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.rootfs import Rootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.store.archive import Limits, unpack
from pydock_lab.errors import InvalidParameter, SystemFailure

MEMBERS: list[dict[str, Any]] = [
    {"name": "a.txt", "content": b"A", "mode": 0o640},
    {"name": "implied/deep/f", "content": b"F" * 100_000},
    {"name": "dir", "type": tarfile.DIRTYPE, "mode": 0o700},
    {"name": "dir/b", "content": b"B", "mode": 0o4755},
    {"name": "dir/link", "type": tarfile.SYMTYPE, "linkname": "../a.txt"},
    {"name": "abs", "type": tarfile.SYMTYPE, "linkname": "/dir"},
    {"name": "pipe", "type": tarfile.FIFOTYPE},
    {"name": "x" * 150, "content": b"long"},
    {"name": "ünicode", "content": b"u"},
]


def pack(*members: dict[str, Any]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for member in members:
            entry = tarfile.TarInfo(member["name"])
            content = member.get("content", b"")
            entry.type, entry.linkname = member.get("type", tarfile.REGTYPE), member.get("linkname", "")
            entry.size, entry.mode = len(content), member.get("mode", 0o644)
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed


def indexed(tar: io.BytesIO, root: Path, **options: Any) -> TarIndex:
    index = TarIndex.read(tar, root, lambda path: path == "a.txt", **options)
    index.complete()
    return index


def test_the_index_says_what_unpacking_gives(tmp_path: Path) -> None:
    index = indexed(pack(*MEMBERS), tmp_path)
    unpack(pack(*MEMBERS), tmp_path)
    tmp_path.chmod(0o755)
    real = Rootfs([tmp_path])
    assert index.digests(index.root, with_owner=False) == real.digests(real.root, with_owner=False)
    for word in (".", "dir", "dir/link", "abs/b", "implied", "*", "**/b", "d*/l*"):
        ours, theirs = (SourceTree(tree, is_context=True).find(word) for tree in (index, real))
        assert [(s.name, s.place.path, s.digests) for s in ours] == [(s.name, s.place.path, s.digests) for s in theirs]
    assert index.kept == {"a.txt": b"A"}


@pytest.mark.parametrize(
    "members",
    [
        [{"name": "a", "content": b"1"}, {"name": "b", "type": tarfile.LNKTYPE, "linkname": "a"}],
        [{"name": "a", "content": b"1"}, {"name": "a", "content": b"2"}],
        [{"name": "a", "type": tarfile.SYMTYPE, "linkname": "/"}, {"name": "a/b", "content": b"1"}],
        [{"name": "a", "content": b"1"}, {"name": "a/b", "content": b"1"}],
    ],
)
def test_what_only_unpacking_can_tell(tmp_path: Path, members: list[dict[str, Any]]) -> None:
    with pytest.raises(UnplainTarError):
        indexed(pack(*members), tmp_path)


def test_limits_and_paths_that_lead_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="outside of"):
        indexed(pack({"name": "../x", "content": b"1"}), tmp_path)
    with pytest.raises(InvalidParameter, match="larger than the engine's limit"):
        indexed(pack(*MEMBERS), tmp_path, limits=Limits(content_bytes=1000))
    with pytest.raises(InvalidParameter, match="larger than the engine's limit"):
        indexed(pack(*MEMBERS), tmp_path, limits=Limits(entries=3))


def open_context(tmp_path: Path, *members: dict[str, Any]) -> BuildContext:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "c.tar").write_bytes(pack(*members).getvalue())
    return BuildContext.from_tar(tmp_path / "c.tar", tmp_path / "context", BuildOptions(), rootless=True)


EXTRAS: list[dict[str, Any]] = [
    {"name": "Dockerfile", "content": b"FROM scratch"},
    {"name": ".pydock/secrets/key", "content": b"word"},
    {"name": ".pydock/contexts/lib", "type": tarfile.DIRTYPE, "mode": 0o755},
    {"name": ".pydock/contexts/lib/f", "content": b"F"},
    {"name": "own", "content": b"O"},
]


@pytest.mark.parametrize("last", [[], [{"name": "hard", "type": tarfile.LNKTYPE, "linkname": "own"}]])
def test_extras_are_out_of_sight(tmp_path: Path, last: list[dict[str, Any]]) -> None:
    context = open_context(tmp_path, *EXTRAS, *last)
    assert context.take_extras() == {"key": b"word"}
    named = context.named("lib")
    assert named is not None
    assert set(named.find(".")[0].digests) == {"", "f"}
    assert (named.files().layers[0] / "f").read_text() == "F"
    assert not any(path.startswith(".pydock") for path in context.tree().find(".")[0].digests)
    assert not (context.tree().files().layers[0] / ".pydock").exists()
    assert context.named("other") is None


def test_nothing_is_unpacked_before_it_is_needed(tmp_path: Path) -> None:
    context = open_context(tmp_path, {"name": "Dockerfile", "content": b"FROM x"}, {"name": "f", "content": b"F"})
    assert context.read_dockerfile(BuildOptions()) == b"FROM x"
    tree = context.tree()
    assert set(tree.find(".")[0].digests) == {"", "Dockerfile", "f"}
    assert list((tmp_path / "context").iterdir()) == []
    assert (tree.files().layers[0] / "f").read_text() == "F"


def test_a_dockerfile_behind_a_link(tmp_path: Path) -> None:
    link = {"name": "Dockerfile", "type": tarfile.SYMTYPE, "linkname": "real"}
    context = open_context(tmp_path, link, {"name": "real", "content": b"FROM x"})
    assert context.read_dockerfile(BuildOptions()) == b"FROM x"


def test_a_dockerfile_that_is_none(tmp_path: Path) -> None:
    context = open_context(tmp_path, {"name": "Dockerfile", "type": tarfile.SYMTYPE, "linkname": "/../../etc/hostname"})
    with pytest.raises(SystemFailure, match="Cannot locate specified Dockerfile"):
        context.read_dockerfile(BuildOptions())
    context = open_context(tmp_path / "other", {"name": "Dockerfile", "type": tarfile.DIRTYPE, "mode": 0o755})
    with pytest.raises(InvalidParameter, match="is a directory"):
        context.read_dockerfile(BuildOptions())


def test_the_memo_forgets_the_oldest() -> None:
    memo = DigestMemo()
    memo.of("one")["/"] = {str(number): "" for number in range(150_000)}
    memo.of("two")["/"] = {str(number): "" for number in range(100_000)}
    assert memo.of("two")
    assert memo.of("one") == {}
