"""Layers: in as a tar and out as the same tar, held, collected, recovered."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydock_lab.daemon.store.archive import opaque_xattr
from pydock_lab.daemon.store.layers import TRANSIENT, Layer, chain_id
from pydock_lab.errors import InvalidParameter, NotFound
from tests.unit.daemon.store.conftest import Stores, digest, link, make_tar, needs_root

pytestmark = needs_root


def apply(stores: Stores, tar: bytes, parent: Layer | None = None, **options: str) -> Layer:
    return stores.layers.apply(io.BytesIO(tar), parent.chain_id if parent else None, **options)


def tar_of(stores: Stores, layer: Layer) -> bytes:
    return b"".join(stores.layers.tar(layer.chain_id))


BASE = make_tar(("d", None), ("d/x", b"x" * 1000), ("e", None), ("e/y", b"yy"), ("s", link("d/x")))

ODD = {
    "trailing bytes": BASE + bytes(10240) + b"tail",
    "no end mark": make_tar(("a", b"1"))[:1024],
    "gnu": make_tar(("n" * 150, b"1"), tar_format=tarfile.GNU_FORMAT),
    "one path twice": make_tar(("f", b"first"), ("f", b"second!"), ("f", b"third"), ("g", b"4")),
    "directory replaced": make_tar(("d", None), ("d/a", b"1"), ("d/b/c", b"2"), ("d", b"file"), ("z", b"3")),
    "link over a file": make_tar(("f", b"first"), ("f", link("g")), ("g", b"2")),
    "whiteouts": make_tar((".wh.gone", b""), ("d/.wh..wh..opq", b""), ("d/x", b"1")),
    "empty": bytes(1024),
    "nothing at all": b"",
}


@pytest.mark.parametrize("case", ODD)
def test_a_tar_comes_out_as_it_went_in(stores: Stores, case: str) -> None:
    layer = apply(stores, ODD[case], diff_id=digest(ODD[case]))
    assert tar_of(stores, layer) == ODD[case]
    assert layer.tar_size == len(ODD[case])
    stores.reopen()
    with pytest.raises(NotFound):  # nobody held it
        stores.layers.get(layer.chain_id)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a/b", "a/c", "a/.wh.c", ".wh.a"]), st.binary(max_size=9))))
def test_any_order_of_entries_comes_out_as_it_went_in(stores: Stores, members: list[tuple[str, bytes]]) -> None:
    tar = make_tar(*((name, None if content == b"" and "wh" not in name else content) for name, content in members))
    try:
        layer = apply(stores, tar)
    except InvalidParameter:
        return  # a file is in a directory's place
    assert tar_of(stores, layer) == tar


def test_a_wrong_digest_leaves_nothing(stores: Stores) -> None:
    with pytest.raises(InvalidParameter):
        apply(stores, BASE, diff_id=digest(b"other"))
    assert sorted(path.name for path in stores.layers.root.rglob("*")) == ["recipes", "tmp"]
    assert stores.layers.total_size() == 0


def test_an_adopted_directory_gives_the_tar_that_makes_it_again(stores: Stores) -> None:
    base = apply(stores, BASE)
    upper = make_upper(stores.root / "upper")
    layer = stores.layers.adopt(upper, base.chain_id)
    assert not upper.exists()
    assert digest(tar_of(stores, layer)) == layer.diff_id
    again = make_upper(stores.root / "upper2")
    assert stores.layers.adopt(again, base.chain_id) == layer
    assert not again.exists()
    other = stores.layers.apply(io.BytesIO(tar_of(stores, layer)), None)
    assert other.diff_id == layer.diff_id
    assert os.getxattr(other.path / "opaque", opaque_xattr(False)) == b"y"
    assert (other.path / "gone").lstat().st_rdev == 0
    assert os.getxattr(other.path / "f", "user.note") == b"\xff\x00binary"
    assert (other.path / "f").samefile(other.path / "hard")


def make_upper(upper: Path) -> Path:
    (upper / "opaque").mkdir(parents=True)
    os.setxattr(upper / "opaque", opaque_xattr(False), b"y")
    os.mknod(upper / "gone", 0o20000, 0)
    (upper / "f").write_bytes(b"content" * 100_000)
    os.setxattr(upper / "f", "user.note", b"\xff\x00binary")
    os.link(upper / "f", upper / "hard")
    (upper / "s").symlink_to("/etc/passwd")
    (upper / ("ünïcode" * 20)).write_text("1")
    os.mkfifo(upper / "fifo")
    for path in [*upper.rglob("*"), upper]:
        os.utime(path, (1_700_000_000.5, 1_700_000_000.5), follow_symlinks=False)
    return upper


def test_a_snapshot_leaves_the_directory_in_use(stores: Stores) -> None:
    upper = make_upper(stores.root / "upper")
    snapshot = stores.layers.snapshot(upper, None)
    assert (upper / "f").exists()
    assert snapshot == stores.layers.adopt(upper, None)


def test_changes(stores: Stores) -> None:
    base = apply(stores, BASE)
    top = apply(stores, make_tar(("d/.wh.x", b""), ("d/new", b"12"), ("e/.wh..wh..opq", b""), ("e/z", b"")), base)
    found = {change.path: change.kind for change in stores.layers.changes(top.chain_id)}
    assert found == {"/d": "C", "/d/x": "D", "/d/new": "A", "/e": "C", "/e/y": "D", "/e/z": "A"}
    assert {change.kind for change in stores.layers.changes(base.chain_id)} == {"A"}


def test_a_whiteout_in_between_hides_what_is_below(stores: Stores) -> None:
    base = apply(stores, BASE)
    middle = apply(stores, make_tar((".wh.d", b"")), base)
    top = apply(stores, make_tar(("d", None), ("d/x", b"new")), middle)
    assert {change.kind for change in stores.layers.changes(top.chain_id)} == {"A"}


def test_layers_are_shared_and_collected_with_the_last_holder(stores: Stores) -> None:
    base = apply(stores, BASE)
    one, two = apply(stores, make_tar(("1", b"1")), base), apply(stores, make_tar(("2", b"22")), base)
    assert [layer.chain_id for layer in stores.layers.stack(one.chain_id)] == [one.chain_id, base.chain_id]
    stores.layers.hold(one.chain_id, "image:1")
    stores.layers.hold(two.chain_id, "image:2")
    assert stores.layers.holders(base.chain_id) == {"image:1", "image:2"}
    assert stores.layers.release("image:1") == 1
    assert base.path.exists()
    assert [layer.chain_id for layer in stores.layers.collect("image:2")] == [two.chain_id, base.chain_id]
    assert not base.path.exists()
    assert stores.layers.release("image:2") == 0
    with pytest.raises(NotFound):
        stores.layers.hold(base.chain_id, "image:3")


def test_what_is_held_is_there_after_a_restart_and_the_rest_is_not(stores: Stores) -> None:
    kept = apply(stores, BASE, holder="container")
    apply(stores, make_tar(("t", b"1")), kept, holder=f"{TRANSIENT}pull")
    (stores.layers.root / "tmp" / "half").mkdir()
    (stores.layers.root / "tmp" / "half" / "file").write_text("1")
    (stores.layers.root / "stray").mkdir()
    stores.reopen()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "_discard" in thread.name:
            thread.join()
    assert stores.layers.get(kept.chain_id) == kept
    assert tar_of(stores, kept) == BASE
    assert [path.name for path in stores.layers.root.iterdir() if path.name not in ("tmp", "recipes")] == [
        kept.path.name
    ]


def test_one_layer_unpacked_twice_at_once_is_one(stores: Stores) -> None:
    tar = make_tar(*((f"f{number}", b"x" * 100) for number in range(200)))
    results: list[Layer] = []
    threads = [threading.Thread(target=lambda: results.append(apply(stores, tar))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1
    assert list((stores.layers.root / "tmp").iterdir()) == []


def test_chain_ids_are_those_of_the_specification() -> None:
    one, two = digest(b"1"), digest(b"2")
    assert chain_id(None, one) == one
    assert chain_id(one, two) == digest(f"{one} {two}".encode())


def test_sizes_are_counted_as_docker_does(stores: Stores) -> None:
    tar = make_tar(("f", b"123"), ("h", link("f", tarfile.LNKTYPE)), ("s", link("12345")), ("d", None))
    assert apply(stores, tar).size == 3 + 5


def test_a_draft_becomes_like_what_it_covers_when_it_is_admitted(stores: Stores) -> None:
    base = apply(stores, make_tar(("tmp", None), ("etc", None)))
    (base.path / "tmp").chmod(0o1777)
    base.path.chmod(0o711)
    with stores.layers.prepare(io.BytesIO(make_tar(("tmp/sub/f", b"1"), ("etc/f", b"2")))) as draft:
        layer = stores.layers.admit(draft, base.chain_id, holder="me")
    assert stat.S_IMODE((layer.path / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((layer.path / "tmp/sub").stat().st_mode) == 0o755
    assert stat.S_IMODE(layer.path.stat().st_mode) == 0o711
    assert b"".join(stores.layers.tar(layer.chain_id)) == make_tar(("tmp/sub/f", b"1"), ("etc/f", b"2"))


def test_a_draft_that_is_not_admitted_leaves_nothing(stores: Stores) -> None:
    with stores.layers.prepare(io.BytesIO(make_tar(("f", b"1")))) as draft:
        with pytest.raises(InvalidParameter):
            stores.layers.admit(draft, None, diff_id=f"sha256:{'0' * 64}")
    assert not list((stores.root / "layers" / "tmp").iterdir())
    assert not list((stores.root / "layers" / "recipes").iterdir())
