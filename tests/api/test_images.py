"""Images through the docker CLI and docker-py: names, removal, archives, import, commit."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon
from tests.unit.daemon.store.conftest import make_tar

pytestmark = pytest.mark.root


def out(daemon: Daemon, *words: str, status: int = 0) -> str:
    done = daemon.docker(*words)
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout.strip() if status == 0 else done.stderr.strip()


def rootfs(**files: bytes) -> bytes:
    """A small root file system: every keyword is a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def image(daemon: Daemon, client: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """An imported image of one file, `made:1`; everything named `made` is gone afterwards."""
    (tmp_path / "fs.tar").write_bytes(rootfs(file=b"content"))
    out(daemon, "import", "--change", 'CMD ["/file"]', "--message", "made here", str(tmp_path / "fs.tar"), "made:1")
    yield "made:1"
    for left in client.images.list():
        if any(tag.startswith("made") for tag in left.tags):
            client.images.remove(left.id, force=True)


def test_import_and_inspect(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    found = client.images.get(image)
    assert found.attrs["Config"]["Cmd"] == ["/file"]
    assert found.attrs["Size"] == len("content")
    assert found.attrs["Comment"] == "made here"
    assert found.attrs["RepoTags"] == ["made:1"]
    assert len(found.attrs["RootFS"]["Layers"]) == 1
    assert found.history()[0]["Comment"] == "made here"
    assert client.images.get(found.short_id).id == found.id
    assert out(daemon, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", "made") == "made:1 7B"


def test_tags_come_and_go(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    out(daemon, "tag", image, "made/other")
    out(daemon, "tag", image, "localhost:5000/made:x")
    assert client.images.get(image).tags == ["made:1", "made/other:latest", "localhost:5000/made:x"]
    assert out(daemon, "rmi", "made/other") == "Untagged: made/other:latest"
    assert out(daemon, "rmi", "localhost:5000/made:x") == "Untagged: localhost:5000/made:x"
    image_id = client.images.get(image).id
    lines = out(daemon, "rmi", image).splitlines()
    assert lines[:2] == ["Untagged: made:1", f"Deleted: {image_id}"]
    assert re.fullmatch(r"Deleted: sha256:[0-9a-f]{64}", lines[2])
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(image_id)


def test_several_names_want_force(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    out(daemon, "tag", image, "made/other:2")
    short = client.images.get(image).id.removeprefix("sha256:")[:12]
    assert out(daemon, "rmi", short, status=1) == (
        f"Error response from daemon: conflict: unable to delete {short} (must be forced) - "
        "image is referenced in multiple repositories"
    )
    assert out(daemon, "rmi", "-f", short).splitlines()[:2] == ["Untagged: made:1", "Untagged: made/other:2"]


def test_an_image_in_use_stays(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, ["true"])
    try:
        message = out(daemon, "rmi", busybox, status=1)
        short, image_id = container.id[:12], client.images.get(busybox).id.removeprefix("sha256:")[:12]
        assert message.splitlines()[0] == (
            f'Error response from daemon: conflict: unable to remove repository reference "{busybox}" (must force) - '
            f"container {short} is using its referenced image {image_id}"
        )
        assert client.images.get(busybox)
    finally:
        container.remove()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rmi", "nosuch"), "No such image: nosuch:latest"),
        (("image", "inspect", "nosuch"), "No such image: nosuch:latest"),
        (("history", "nosuch"), "No such image: nosuch:latest"),
        (("tag", "nosuch", "a"), "No such image: nosuch:latest"),
        (("save", "nosuch"), "No such image: nosuch"),
        (("search", "alpine"), "search is not available"),
        (("images", "--filter", "nosuch=1"), "invalid filter 'nosuch'"),
        (("pull", "localhost:1/nosuch"), 'Get "http://localhost:1/v2/": dial tcp'),
        (("push", "localhost:1/nosuch"), "An image does not exist locally with the tag: localhost:1/nosuch"),
    ],
)
def test_errors_are_dockers(daemon: Daemon, words: tuple[str, ...], message: str) -> None:
    assert message in out(daemon, *words, status=1)


def test_filters(daemon: Daemon, client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    (tmp_path / "more.tar").write_bytes(rootfs(other=b"2"))
    out(daemon, "import", "--change", "LABEL made=yes", str(tmp_path / "more.tar"), "made/labelled:2")
    assert [i.tags for i in client.images.list(filters={"label": "made=yes"})] == [["made/labelled:2"]]
    assert [i.tags for i in client.images.list(filters={"reference": "made*"})] == [["made:1"]]
    assert [i.tags for i in client.images.list(filters={"reference": "made/*:2"})] == [["made/labelled:2"]]
    assert client.images.list("made")[0].tags == ["made:1"]
    since = out(daemon, "images", "-q", "--filter", "since=made:1").splitlines()
    assert client.images.get("made/labelled:2").short_id.removeprefix("sha256:")[:10] in [each[:10] for each in since]
    assert out(daemon, "images", "-q", "--filter", "before=made:1", "made/labelled") == ""


def test_dangling_images_are_pruned(daemon: Daemon, client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    (tmp_path / "more.tar").write_bytes(rootfs(other=b"two"))
    out(daemon, "import", str(tmp_path / "more.tar"), image)
    assert len(client.images.list(filters={"dangling": True})) >= 1
    pruned = client.images.prune()
    assert pruned["SpaceReclaimed"] >= len("content")
    assert client.images.list(filters={"dangling": True}) == []
    assert client.images.get(image)


def test_save_gives_what_load_takes(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    client.images.get(image).tag("made/again", "x")
    original = client.images.get(image).id
    archive = b"".join(client.api.get_image(image))
    assert archive == b"".join(client.api.get_image(image))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
        for name in names:
            if name.startswith("blobs/sha256/"):
                file = tar.extractfile(name)
                assert file is not None
                assert hashlib.sha256(file.read()).hexdigest() == name.removeprefix("blobs/sha256/")
        manifest_file = tar.extractfile("manifest.json")
        assert manifest_file is not None
        assert [entry["RepoTags"] for entry in json.load(manifest_file)] == [["made:1"]]
    assert {"oci-layout", "index.json", "repositories"} <= set(names)
    client.images.remove(original, force=True)
    [loaded] = client.images.load(archive)
    assert (loaded.id, loaded.tags) == (original, ["made:1"])


def test_load_says_what_it_loaded(daemon: Daemon, client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.tar"
    image_id = client.images.get(image).id
    out(daemon, "save", "-o", str(path), image, image_id)
    subprocess.run(["gzip", str(path)], check=True)
    client.images.remove(image_id, force=True)
    assert out(daemon, "load", "-i", f"{path}.gz") == "Loaded image: made:1"
    out(daemon, "save", "-o", str(path), image_id)
    client.images.remove(image_id, force=True)
    assert out(daemon, "load", "-i", str(path)) == f"Loaded image ID: {image_id}"
    client.images.remove(image_id, force=True)


def test_what_is_wrong_with_an_archive_is_the_last_word_of_the_answer(
    daemon: Daemon, client: docker.DockerClient, tmp_path: Path
) -> None:
    """Docker has answered 200 by the time it reads the archive; docker-py tells this error by it."""
    with pytest.raises(docker.errors.ImageLoadError, match="invalid archive: does not contain a manifest"):
        client.images.load(b"")
    done = daemon.docker("load", stdin="garbage")
    assert (done.returncode, done.stderr.strip()) == (1, "unexpected EOF")
    (tmp_path / "garbage").write_bytes(b"garbage")
    words = ["-H", daemon.host, "load", "-i", str(tmp_path / "garbage")]
    ours = subprocess.run(
        [sys.executable, "-m", "pydock_lab.client.cli", *words], capture_output=True, text=True, check=False
    )
    assert ours.returncode == 1
    assert "unexpected EOF" in ours.stderr


def test_save_takes_no_other_tag_than_the_one_it_was_asked_for(client: docker.DockerClient, image: str) -> None:
    with pytest.raises(docker.errors.NotFound, match="reference does not exist"):
        list(client.api.get_image("made:other"))


def test_an_oci_layout_is_loaded(daemon: Daemon, client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    out(daemon, "save", "-o", str(tmp_path / "docker.tar"), image)
    copy = ["skopeo", "copy", "-q", f"docker-archive:{tmp_path}/docker.tar", f"oci-archive:{tmp_path}/oci.tar:made:oci"]
    subprocess.run(copy, check=True)
    assert out(daemon, "load", "-i", str(tmp_path / "oci.tar")) == "Loaded image: made:oci"
    assert client.images.get("made:oci").attrs["RootFS"] == client.images.get(image).attrs["RootFS"]


def test_hostile_archives_are_refused(daemon: Daemon, image: str, tmp_path: Path) -> None:
    def archive(manifest: object, *links: tuple[str, str]) -> str:
        path = tmp_path / "hostile.tar"
        with tarfile.open(path, "w") as tar:
            for name, target in links:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, target
                tar.addfile(info)
            data = json.dumps(manifest).encode()
            info = tarfile.TarInfo("manifest.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        return str(path)

    entry = {"Config": "c.json", "Layers": [], "RepoTags": ["made:evil"]}
    cases = [
        archive([entry], ("c.json", "/etc/passwd")),
        archive([entry | {"Config": "../../../../../../etc/passwd"}]),
        archive([entry | {"Config": 7}]),
        archive({"not": "a list of images"}),
        archive([entry], ("../c.json", "x")),
    ]
    for path in cases[:3] + cases[4:]:
        message = out(daemon, "load", "-i", path, status=1)
        assert "root:" not in message
    (tmp_path / "text").write_text("no archive at all" * 100)
    assert "invalid tar header" in out(daemon, "load", "-i", str(tmp_path / "text"), status=1)
    assert out(daemon, "images", "-q", "made:evil") == ""


def test_commit(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, ["sh", "-c", "echo made > /made; rm /etc/passwd"])
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        container.commit("made", "commit", message="why", author="me", changes=["ENV A=b", 'CMD ["cat", "/made"]'])
    finally:
        container.remove()
    committed = client.images.get("made:commit")
    assert committed.attrs["Parent"] == client.images.get(busybox).id
    assert committed.attrs["Container"] == container.id
    assert (committed.attrs["Author"], committed.attrs["Comment"]) == ("me", "why")
    assert "A=b" in committed.attrs["Config"]["Env"]
    assert committed.attrs["ContainerConfig"]["Image"] == busybox
    container = client.containers.create("made:commit", "true")
    expanded = container.commit("made", "expanded", changes=["ENV A=a$A"])
    container.remove()
    assert "A=ab" in expanded.attrs["Config"]["Env"]
    assert client.containers.run("made:commit", remove=True) == b"made\n"
    assert client.containers.run("made:commit", "test ! -e /etc/passwd", remove=True) == b""
    client.images.remove("made:commit")


def test_events(daemon: Daemon, client: docker.DockerClient, image: str) -> None:
    since = client.info()["SystemTime"]
    client.images.get(image).tag("made/event")
    client.images.remove("made/event")
    assert b"".join(client.images.get(image).save())
    until = client.info()["SystemTime"]
    told = client.events(since=since[:-1], until=until[:-1], decode=True, filters={"type": "image"})
    events = [event["Action"] for event in told]
    assert events == ["tag", "untag", "save"]


def test_acknowledged_images_survive_kill_9(own_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    first = own_daemon()
    (tmp_path / "fs.tar").write_bytes(rootfs(file=b"content"))
    out(first, "import", str(tmp_path / "fs.tar"), "kept:1")
    image_id = out(first, "images", "-q", "--no-trunc", "kept")
    first.kill()
    again = restart(first)
    try:
        assert out(again, "images", "-q", "--no-trunc", "kept") == image_id
        archive = again.docker("save", "-o", str(tmp_path / "saved.tar"), "kept:1")
        assert archive.returncode == 0
    finally:
        first.process = again.process


def restart(daemon: Daemon) -> Daemon:
    from tests.conftest import start_daemon

    return start_daemon(daemon.root)


@pytest.mark.oracle
def test_archives_go_both_ways(engines: Engines, tmp_path: Path) -> None:
    for one, other in ((engines.ours, engines.docker), (engines.docker, engines.ours)):
        out(one, "tag", "busybox", "made/travel:1")
        out(one, "save", "-o", str(tmp_path / "image.tar"), "made/travel:1")
        loaded = out(other, "load", "-i", str(tmp_path / "image.tar"))
        assert loaded.splitlines()[-1] == "Loaded image: made/travel:1"
        ids = {out(engine, "images", "-q", "--no-trunc", "made/travel") for engine in engines}
        assert len(ids) == 1
        assert out(other, "run", "--rm", "--net", "none", "made/travel:1", "echo", "runs") == "runs"
        for engine in engines:
            out(engine, "rmi", "made/travel:1")


def test_import_from_a_url(daemon: Daemon, client: docker.DockerClient, rootfs_tar: Path) -> None:
    handler = partial(QuietHandler, directory=str(rootfs_tar.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"127.0.0.1:{server.server_address[1]}"
        try:
            done = daemon.docker("import", f"http://{base}/{rootfs_tar.name}", "fetched:1")
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[0] == f"Downloading from http://{base}/{rootfs_tar.name}"
            image = client.images.get("fetched:1")
            assert done.stdout.splitlines()[-1] == image.id
            assert image.attrs["Comment"] == f"Imported from http://{base}/{rootfs_tar.name}"
            client.images.remove("fetched:1")
            for url, error in (
                (f"http://{base}/nosuch.tar", "unexpected response: 404 File not found"),
                (
                    "http://127.0.0.1:1/x",
                    'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
                ),
            ):
                done = daemon.docker("import", url, "fetched:2")
                assert done.returncode == 1
                assert error in done.stderr
            refused = client.api.post(f"{client.api.base_url}/images/create?fromSrc=file:///etc/passwd")
            assert "unsupported protocol scheme" in refused.text
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_broken_archive_is_told_in_the_stream(daemon: Daemon, client: docker.DockerClient, tmp_path: Path) -> None:
    """As dockerd does: the answer has begun when the archive is read."""
    path = tmp_path / "broken.tar"
    for content, message in (
        (b"not a tar" * 200, "archive/tar: invalid tar header"),
        (b"", "invalid archive: does not contain a manifest.json"),
        (make_tar(("manifest.json", b"{")), "invalid manifest.json"),
        (make_tar(("manifest.json", b'[{"Config": "c.json", "Layers": []}]')), "open c.json: no such file"),
    ):
        url = f"{client.api.base_url}/v1.41/images/load"
        answer = client.api.post(url, data=content, headers={"Content-Type": "application/x-tar"})
        assert answer.status_code == 200
        assert message in answer.json()["error"] == answer.json()["errorDetail"]["message"]
        path.write_bytes(content)
        done = daemon.docker("load", "-i", str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("images", "[bad"),
        ("image", "ls", "--filter", "since=nosuch"),
        ("image", "ls", "--digests", "--filter", "reference=*"),
        ("image", "prune", "-f", "--filter", "until=junk"),
    ],
)
def test_filters_beside_docker(engines: Engines, words: tuple[str, ...]) -> None:
    ours, theirs = (engine.docker(*words) for engine in engines)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
