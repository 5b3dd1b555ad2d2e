"""Archives that want out, through every door of the API: nothing of the host is touched.

What the shared extractor does with each is in tests/unit/daemon/store/test_archive.py;
`docker cp` into a container has the container's root as its own root instead.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry
from tests.unit.daemon.store.conftest import digest, link, make_tar, sparse
from tests.unit.daemon.store.test_archive import HOSTILE

pytestmark = pytest.mark.root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host that no archive may reach."""
    (tmp_path / "secret").write_text("secret")
    return tmp_path


@pytest.fixture(params=["created", "running"])
def box(request: pytest.FixtureRequest, client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    made = client.containers.create(busybox, ["sleep", "60"], stop_signal="KILL")
    if request.param == "running":
        made.start()
    yield made
    made.remove(force=True)


def hostile(outside: Path) -> Iterator[bytes]:
    """The archives, aimed at `outside` by its absolute path and by many dots."""
    for members in HOSTILE.values():
        for target in (str(outside), f"{'../' * 20}{str(outside)[1:]}"):
            aimed: list[tuple[str, object]] = []
            for name, content in members:
                if isinstance(content, tarfile.TarInfo) and content.linkname:
                    again = link(target, content.type)
                    if content.linkname.endswith("secret"):
                        again.linkname = f"{target}/secret"
                    aimed.append((name, again))
                else:
                    aimed.append((name.replace("outside", target.strip("/")), content))
            with contextlib.suppress(ValueError):  # names longer than tarfile writes
                yield make_tar(*aimed)


def build_with(archive: bytes) -> io.BytesIO:
    context = make_tar(("Dockerfile", b"FROM scratch\nADD evil.tar /\n"), ("evil.tar", archive))
    return io.BytesIO(context)


def image_with(archive: bytes) -> bytes:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(archive)]}}
    table = [{"Config": "c.json", "RepoTags": ["evil:1"], "Layers": ["l.tar"]}]
    return make_tar(
        ("l.tar", archive), ("c.json", json.dumps(config).encode()), ("manifest.json", json.dumps(table).encode())
    )


def add(client: docker.DockerClient, archive: bytes) -> None:
    client.images.build(fileobj=build_with(archive), custom_context=True, tag="evil:1", rm=True, forcerm=True)


DOORS: dict[str, Callable[[docker.DockerClient, bytes], object]] = {
    "import": lambda client, archive: client.api.import_image_from_data(archive, repository="evil", tag="1"),
    "load a layer": lambda client, archive: client.images.load(image_with(archive)),
    "load": lambda client, archive: client.images.load(archive),
    "ADD": add,
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_nothing_leads_out(
    client: docker.DockerClient, outside: Path, door: Callable[[docker.DockerClient, bytes], object]
) -> None:
    for archive in hostile(outside):
        with contextlib.suppress(docker.errors.APIError, docker.errors.BuildError, docker.errors.ImageLoadError):
            door(client, archive)
        assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "secret"}
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.remove("evil:1", force=True)
    client.images.prune()


def test_nothing_leads_out_of_a_container(outside: Path, box: Container) -> None:
    for archive in hostile(outside):
        with contextlib.suppress(docker.errors.APIError):
            box.put_archive("/tmp", archive)
        assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "secret"}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_hole_of_a_petabyte(
    client: docker.DockerClient, door: Callable[[docker.DockerClient, bytes], object]
) -> None:
    errors = (docker.errors.APIError, docker.errors.BuildError, docker.errors.ImageLoadError)
    with pytest.raises(errors):
        door(client, sparse("bomb", 1 << 50))


def test_holes_and_odd_names_in_a_container(box: Container) -> None:
    """A hole stays one, and what is called like the root takes nothing's place."""
    assert box.put_archive("/tmp", sparse("hole", 1 << 36))
    assert box.get_archive("/tmp/hole")[1]["size"] == 1 << 36
    for name in ("", "/", "."):
        assert box.put_archive("/tmp", tarformat.encode(Entry(name, size=1)) + b"x".ljust(512, b"\0") + tarformat.END)
    _, found = box.get_archive("/tmp/hole")
    assert found["name"] == "hole"
    for content, message in (
        (tarformat.encode(Entry("x", uid=1 << 33)), "archive/tar: invalid tar header"),
        (sparse("x", 1 << 63), "archive/tar: invalid tar header"),
        (tarformat.encode(Entry("x", "Z")), "unhandled tar header type 90"),
        (tarformat.encode(Entry("x", size=5)) + b"x", "unexpected EOF"),
        (b"\x1f\x8b broken", "archive is damaged"),
    ):
        with pytest.raises(docker.errors.APIError, match=message):
            box.put_archive("/tmp", content)
