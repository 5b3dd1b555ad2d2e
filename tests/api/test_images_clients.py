"""Archives that podman and buildah write and we load, and the other way round: the same image ids everywhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.api.test_registry import out, skopeo
from tests.api.test_registry_clients import place, tool
from tests.conftest import Daemon

__all__ = ["place"]

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def images(daemon: Daemon, busybox: str) -> dict[str, str]:
    """Two images of ours, one with a layer of its own: name → id."""
    with tempfile.TemporaryDirectory() as context:
        Path(context, "Dockerfile").write_text(f"FROM {busybox}\nCOPY Dockerfile /\nCMD echo runs\n")
        out(daemon, "build", "-q", "-t", "made/on:1", context)
    out(daemon, "tag", busybox, "made/base:1")
    names = ("made/base:1", "made/on:1")
    return {name: out(daemon, "images", "-q", "--no-trunc", name) for name in names}


def test_podman_loads_several_of_ours_at_once(
    daemon: Daemon, images: dict[str, str], place: Path, tmp_path: Path
) -> None:
    out(daemon, "save", "-o", str(tmp_path / "ours.tar"), *images)
    assert tool("podman", place, "load", "-q", "-i", str(tmp_path / "ours.tar")).count("Loaded image") == 2
    listed = tool("podman", place, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    assert set(listed.splitlines()) == {f"localhost/{name} {image_id}" for name, image_id in images.items()}


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_buildah_takes_ours_and_gives_it_back(
    daemon: Daemon, images: dict[str, str], place: Path, tmp_path: Path, form: str
) -> None:
    out(daemon, "save", "-o", str(tmp_path / "ours.tar"), "made/on:1")
    taken = tool("buildah", place, "pull", "-q", f"{form}:{tmp_path}/ours.tar")
    assert f"sha256:{taken}" == images["made/on:1"]
    tool("buildah", place, "push", "-q", taken, f"{form}:{tmp_path}/theirs.tar:back/from:buildah")
    assert out(daemon, "load", "-i", str(tmp_path / "theirs.tar")) == "Loaded image: back/from:buildah"
    assert out(daemon, "run", "--rm", "--net", "none", "back/from:buildah") == "runs"
    out(daemon, "rmi", "back/from:buildah")


@pytest.mark.parametrize(
    ("flags", "names"), [(("-m",), ["made/base:1", "made/on:1"]), (("--format", "oci-archive"), ["made/on:1"])]
)
def test_podman_saves_and_we_load(
    daemon: Daemon, images: dict[str, str], place: Path, tmp_path: Path, flags: tuple[str, ...], names: list[str]
) -> None:
    out(daemon, "save", "-o", str(tmp_path / "ours.tar"), *images)
    tool("podman", place, "load", "-q", "-i", str(tmp_path / "ours.tar"))
    told = "{{.Id}}" if "-m" in flags else "{{range .RootFS.Layers}}{{println .}}{{end}}"
    wanted = {name: out(daemon, "image", "inspect", "-f", told, name) for name in names}
    out(daemon, "rmi", *names)
    theirs = [f"localhost/{name}" for name in names]
    tool("podman", place, "save", "-q", *flags, "-o", str(tmp_path / "theirs.tar"), *theirs)
    loaded = out(daemon, "load", "-i", str(tmp_path / "theirs.tar"))
    assert loaded.splitlines() == [f"Loaded image: {name}" for name in theirs]
    for name, found in zip(names, theirs, strict=True):
        # Podman writes a config of its own where it changes the form; the layers stay.
        assert out(daemon, "image", "inspect", "-f", told, found) == wanted[name]
        out(daemon, "rmi", found)
    out(daemon, "load", "-i", str(tmp_path / "ours.tar"))


def test_skopeo_copies_into_the_engine_and_out_of_it(daemon: Daemon, images: dict[str, str], tmp_path: Path) -> None:
    engine = ("--src-daemon-host", daemon.host)
    skopeo("copy", "-q", *engine, "docker-daemon:made/on:1", f"docker-archive:{tmp_path}/on.tar:copied:1")
    out(daemon, "rmi", "made/on:1")
    into = ("--dest-daemon-host", daemon.host)
    skopeo("copy", "-q", *into, f"docker-archive:{tmp_path}/on.tar", "docker-daemon:made/on:1")
    assert out(daemon, "images", "-q", "--no-trunc", "made/on:1") == images["made/on:1"]
