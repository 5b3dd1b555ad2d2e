"""The catalogue on real stores: images that exist, say what they are, and are the same twice."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from pydock_lab.daemon.catalog.catalog import LABEL, Catalog
from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.parts.busybox import add_busybox
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import NotFound, Unavailable


class Stores:
    """One data root with its stores and a catalogue on them."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.database = Database(root / "meta.db")
        self.trace = Trace()
        self.layers = LayerStore(root / "layers", self.database, self.trace, rootless=os.geteuid() != 0)
        self.images = ImageStore(self.database, self.layers)
        self.catalog = Catalog(self.layers, self.images, self.trace, root / "tmp")

    def paths(self, image: Image) -> set[str]:
        """Every path that the image's layers hold."""
        return {
            f"{directory / name}".removeprefix(str(lower))
            for lower in map(Path, self.layers.lower_paths(image.chain_id))
            for directory, names, files in ((Path(where), names, files) for where, names, files in os.walk(lower))
            for name in names + files
        }


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path / "data")
    with contextlib.closing(made.database):
        yield made


def test_a_stand_in_says_what_it_is(stores: Stores) -> None:
    image = stores.catalog.build("hello-world")
    labels = image.config["config"]["Labels"]
    assert labels[LABEL] == "true"
    assert labels[f"{LABEL}.for"] == "hello-world"
    assert labels[f"{LABEL}.differs"]
    notice = stores.catalog.notice("hello-world", image)
    assert "hello-world:latest" in notice[0] and "stand-in" in notice[0]
    assert stores.images.resolve("hello-world").id == image.id
    assert [event.kind for event in stores.trace.select(subject=image.id)] == ["standin.built"]


def test_tags_of_one_recipe_share_one_image(stores: Stores) -> None:
    first, second = stores.catalog.build("alpine:3.20"), stores.catalog.build("alpine")
    assert first.id == second.id
    assert set(stores.images.references(first.id)) == {
        "docker.io/library/alpine:3.20",
        "docker.io/library/alpine:latest",
    }
    base = stores.catalog.build("busybox")
    assert base.config["rootfs"]["diff_ids"] == first.config["rootfs"]["diff_ids"][:1]


def test_what_was_built_on_a_stand_in_is_not_taken_for_it(stores: Stores) -> None:
    """An image that FROM busybox made carries the stand-in's labels."""
    image = stores.catalog.build("busybox")
    config = msgspec.json.decode(image.raw)
    config["history"].append({"created_by": "/bin/sh -c true", "empty_layer": True})
    child = stores.images.put(msgspec.json.encode(config), parent=image.id)
    assert child.id != image.id
    stores.images.untag("docker.io/library/busybox:latest")
    assert stores.catalog.build("busybox:1.36").id == image.id


def test_the_same_host_gives_the_same_digests(stores: Stores, tmp_path: Path) -> None:
    other = Stores(tmp_path / "other")
    with contextlib.closing(other.database):
        assert other.catalog.build("alpine").raw == stores.catalog.build("alpine").raw


def test_alpine_has_what_a_shell_session_needs(stores: Stores) -> None:
    paths = stores.paths(stores.catalog.build("alpine"))
    assert {"/bin/sh", "/bin/ls", "/usr/bin/env", "/etc/passwd", "/etc/os-release", "/sbin/apk", "/tmp"} <= paths


def test_python_brings_its_library_pip_and_no_tests(stores: Stores) -> None:
    image = stores.catalog.build("python:3.12-alpine")
    paths = stores.paths(image)
    assert "/usr/local/bin/python" in paths or "/usr/bin/python" in paths
    assert any(path.endswith("/pip/__main__.py") for path in paths)
    assert any(path.endswith("/json/__init__.py") for path in paths)
    assert not any(path.endswith(("/test/support/__init__.py", "/tkinter/__init__.py")) for path in paths)
    version = ".".join(map(str, __import__("sys").version_info[:3]))
    assert f"PYTHON_VERSION={version}" in image.config["config"]["Env"]


def test_nothing_stands_in_for_the_unknown(stores: Stores) -> None:
    with pytest.raises(NotFound, match="nosuchimage"):
        stores.catalog.build("nosuchimage")


def test_a_program_that_is_not_there_is_named_with_a_hint(stores: Stores) -> None:
    recipes = stores.root / "recipes"
    recipes.mkdir()
    (recipes / "x.yaml").write_text(
        "{name: x, stands_for: [x], summary: s, hint: apt-get install x,"
        " layers: [{comment: c, files: {/a: b}}, {comment: c, programs: [no-such-program]}]}"
    )
    with pytest.raises(Unavailable, match="needs no-such-program") as raised:
        stores.catalog.build("x")
    assert raised.value.hint == "apt-get install x"
    assert list((stores.root / "tmp").iterdir()) == []
    assert stores.images.list() == []


def test_a_users_recipe_becomes_an_image(stores: Stores) -> None:
    recipes = stores.root / "recipes"
    recipes.mkdir()
    (recipes / "x.yaml").write_text(
        "{name: x, stands_for: [x], summary: s, layers: [{comment: one, files: {/a: hello}, users: ['u:x:5:5::/:/x']}],"
        " config: {Cmd: [/a], Env: [A=1]}}"
    )
    image = stores.catalog.build("x:1")
    assert {"/a", "/etc/passwd"} <= stores.paths(image)
    assert image.config["config"]["Env"] == ["A=1"]
    assert image.config["history"][0]["created_by"] == "one"


def test_a_recipe_on_another_one(stores: Stores) -> None:
    recipes = stores.root / "recipes"
    recipes.mkdir()
    (recipes / "base.yaml").write_text("{name: base, stands_for: [base], summary: s, config: {Cmd: [/a], User: u}}")
    (recipes / "x.yaml").write_text(
        "{name: x, stands_for: [x], from: base, summary: s, layers: [{comment: one, programs: [cat],"
        " links: {/opt/words: cat, /opt/loose: none}}], config: {Entrypoint: [/opt/words]}}"
    )
    image = stores.catalog.build("x:1")
    config = image.config["config"]
    assert (config["Entrypoint"], config.get("Cmd"), config["User"]) == (["/opt/words"], None, "u")
    [layer] = stores.layers.stack(image.chain_id)
    program = (layer.path / "opt/words").readlink()
    assert program.name == "cat" and (layer.path / program.relative_to("/")).is_file()
    assert str((layer.path / "opt/loose").readlink()) == "none"


def test_a_host_without_busybox_lends_its_own_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydock_lab.daemon.catalog.parts.busybox._PLACES", ())
    host = Host(scratch=tmp_path)
    which = host.which
    monkeypatch.setattr(host, "which", lambda name: None if name == "busybox" else which(name))
    tree = RootTree()
    facts = add_busybox(tree, host)
    assert "no busybox" in facts["tools"]
    for path in ("/bin/sh", "/bin/ls", "/usr/bin/env"):
        assert path in tree
    raw = BytesIO()
    tree.write_tar(raw)
    raw.seek(0)
    with tarfile.open(fileobj=raw) as tar:
        assert any(member.name.rpartition("/")[2].startswith("libc.") for member in tar)


def test_a_host_with_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydock_lab.daemon.catalog.parts.busybox._PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="no busybox and no shell"):
        add_busybox(RootTree(), Host(scratch=tmp_path, search=(str(tmp_path),)))
