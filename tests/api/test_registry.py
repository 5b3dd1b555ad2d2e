"""A registry, the distribution's and ours, between our engine, the real one and skopeo: equal digests all round."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@contextlib.contextmanager
def serving(address: str, command: list[str], log: Path) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        host, _, port = address.rpartition(":")
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                break
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=["distribution", "ours"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry, then our own, on a free loopback port: `127.0.0.1:PORT`."""
    root = tmp_path_factory.mktemp("registry")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    if request.param == "ours":
        command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "--addr", address]
        command += ["--root", str(root / "data")]
    elif shutil.which("docker-registry") is None:
        pytest.skip("machine: no docker-registry installed")
    else:
        (root / "config.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '{address}'}}\n"
        )
        command = ["docker-registry", "serve", str(root / "config.yml")]
    with serving(address, command, root / "log"):
        yield address


def out(daemon: Daemon, *words: str) -> str:
    done = daemon.docker(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


def digest_of(daemon: Daemon, name: str) -> str:
    """The digest under which an engine knows a repository's image."""
    repository = name.rpartition(":")[0]
    pinned: list[str] = json.loads(out(daemon, "image", "inspect", "--format", "{{json .RepoDigests}}", name))
    [found] = [each.partition("@")[2] for each in pinned if each.startswith(f"{repository}@")]
    return found


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_we_push_we_pull(daemon: Daemon, client: docker.DockerClient, busybox: str, registry: str) -> None:
    name = f"{registry}/team/app:1"
    out(daemon, "tag", busybox, name)
    pushed = out(daemon, "push", name)
    digest = digest_of(daemon, name)
    assert f"1: digest: {digest} size: " in pushed
    image_id = client.images.get(name).id
    again = out(daemon, "push", name)
    assert "Layer already exists" in again
    assert digest in again
    out(daemon, "rmi", name)
    assert out(daemon, "pull", name).splitlines()[-1] == name
    assert client.images.get(name).id == image_id
    assert client.images.get(f"{registry}/team/app@{digest}").id == image_id
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"] == digest
    assert "Image is up to date" in out(daemon, "pull", name)
    remote = client.images.get_registry_data(name)
    assert remote.id == digest
    assert remote.has_platform("linux/amd64") or remote.has_platform("linux/arm64")
    out(daemon, "rmi", name)


def test_a_blob_is_mounted_from_the_repository_next_door(daemon: Daemon, busybox: str, registry: str) -> None:
    first, second = f"{registry}/one/app:1", f"{registry}/two/app:1"
    for name in (first, second):
        out(daemon, "tag", busybox, name)
    out(daemon, "push", first)
    assert "Mounted from one/app" in out(daemon, "push", second)
    assert digest_of(daemon, first) == digest_of(daemon, second)
    out(daemon, "rmi", first, second)


@pytest.mark.parametrize(
    "form", [["--format", "oci"], ["--format", "oci", "--dest-compress-format", "zstd"], ["--format", "v2s2"]]
)
def test_what_skopeo_pushed(
    daemon: Daemon, client: docker.DockerClient, rootfs_tar: Path, registry: str, tmp_path: Path, form: list[str]
) -> None:
    name = f"{registry}/skopeo/app:{'-'.join(form[1::2])}"
    # An image that isn't here: of one that is, a pull brings no more than its name.
    out(daemon, "import", "-m", name, str(rootfs_tar), name)
    out(daemon, "save", "-o", str(tmp_path / "image.tar"), name)
    out(daemon, "rmi", name)
    archive = f"docker-archive:{tmp_path}/image.tar"
    skopeo("copy", "-q", "--dest-tls-verify=false", "--dest-compress", *form, archive, f"docker://{name}")
    digest = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"]
    out(daemon, "pull", name)
    assert digest_of(daemon, name) == digest
    assert client.containers.run(name, ["echo", "runs"], remove=True) == b"runs\n"
    # It goes out again as it came in, manifest and all.
    out(daemon, "tag", name, f"{registry}/skopeo/again:1")
    out(daemon, "push", f"{registry}/skopeo/again:1")
    assert digest_of(daemon, f"{registry}/skopeo/again:1") == digest
    out(daemon, "rmi", name, f"{registry}/skopeo/again:1")


@pytest.mark.parametrize("reference", ["team/app:nosuch", "nosuch/nosuch:latest"])
def test_what_the_registry_does_not_have(daemon: Daemon, registry: str, reference: str) -> None:
    done = daemon.docker("pull", f"{registry}/{reference}")
    assert done.returncode == 1
    wanted = f"manifest for {registry}/{reference} not found: manifest unknown: manifest unknown"
    assert done.stderr.strip() == f"Error response from daemon: {wanted}"


@pytest.mark.oracle
def test_between_the_real_engine_and_ours(engines: Engines, registry: str) -> None:
    for number, (one, other) in enumerate(((engines.docker, engines.ours), (engines.ours, engines.docker))):
        name = f"{registry}/between/app:{number}"
        out(one, "tag", "busybox", name)
        out(one, "push", name)
        out(other, "pull", name)
        assert digest_of(one, name) == digest_of(other, name)
        ids = {out(engine, "images", "-q", "--no-trunc", name) for engine in engines}
        assert len(ids) == 1
        assert out(other, "run", "--rm", "--net", "none", name, "echo", "runs") == "runs"
        for engine in engines:
            out(engine, "rmi", name)


@pytest.mark.oracle
def test_all_tags_at_once(engines: Engines, registry: str) -> None:
    for tag in ("one", "two"):
        out(engines.docker, "tag", "busybox", f"{registry}/all/tags:{tag}")
    out(engines.docker, "push", "-q", "-a", f"{registry}/all/tags")
    answers = []
    for engine in (engines.docker, engines.ours):
        engine.docker("rmi", f"{registry}/all/tags:one", f"{registry}/all/tags:two")
        answers.append([engine.docker("pull", "-a", f"{registry}/all/{name}") for name in ("tags", "tags", "none")])
        assert len(out(engine, "images", "-q", f"{registry}/all/tags").split()) == 2
        out(engine, "rmi", f"{registry}/all/tags:one", f"{registry}/all/tags:two")
    for theirs, ours in zip(*answers, strict=True):
        assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
        # A layer's line is there or not by what else each engine has.
        assert [line for line in ours.stdout.splitlines() if "exists" not in line] == [
            line for line in theirs.stdout.splitlines() if "exists" not in line
        ]


@pytest.mark.oracle
def test_prune_takes_an_image_that_was_pushed_to_several_repositories(engines: Engines, registry: str) -> None:
    """It has digests as well, which go with the last tag of their repository."""
    answers = []
    for engine in engines:
        out(engine, "create", "--name", "pruned", "busybox")
        out(engine, "commit", "-c", "LABEL pruned=yes", "pruned", "pruned:1")
        out(engine, "rm", "pruned")
        for name in ("pruned:2", f"{registry}/pruned/a:1", f"{registry}/pruned/b:1"):
            out(engine, "tag", "pruned:1", name)
            if "/" in name:
                out(engine, "push", name)
        said = out(engine, "image", "prune", "-af", "--filter", "label=pruned")
        answers.append(sorted(re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", said).splitlines()))
        assert out(engine, "images", "-aq", "--filter", "label=pruned") == ""
    assert answers[0] == answers[1]
