"""Our registry and other people's clients: podman, buildah, umoci and oras; digests equal all round."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import oras.client
import pytest

from tests.api.test_registry import digest_of, out, serving, skopeo
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, free_address: str) -> Iterator[str]:
    root = tmp_path_factory.mktemp("registry")
    command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "--addr", free_address]
    with serving(free_address, [*command, "--root", str(root / "data")], root / "log"):
        yield free_address


@pytest.fixture(scope="module")
def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def archive(daemon: Daemon, busybox: str, tmp_path: Path) -> Path:
    out(daemon, "save", "-o", str(tmp_path / "image.tar"), f"{busybox}:latest")
    return tmp_path / "image.tar"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: podman refuses a runroot of more than 50 characters."""
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    yield root
    shutil.rmtree(root)


def tool(name: str, root: Path, *words: str) -> str:
    """Run podman or buildah on a storage of its own."""
    assert shutil.which(name), f"{name} is not installed: tools/install test"
    places = ["--root", str(root / "storage"), "--runroot", str(root / "run"), "--storage-driver", "vfs"]
    done = subprocess.run([name, *places, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def remote_digest(name: str) -> str:
    return str(json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"])


@pytest.mark.parametrize("name", ["podman", "buildah"])
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_they_push_we_pull(
    daemon: Daemon, client: docker.DockerClient, registry: str, archive: Path, place: Path, name: str, form: str
) -> None:
    image = f"{registry}/{name}/app:{form}"
    image_id = tool(name, place, "pull", "-q", f"docker-archive:{archive}").splitlines()[-1]
    tool(name, place, "push", "-q", "--tls-verify=false", "--format", form, image_id, f"docker://{image}")
    out(daemon, "pull", image)
    assert digest_of(daemon, image) == remote_digest(image)
    assert client.containers.run(image, ["echo", "runs"], remove=True, network_mode="none") == b"runs\n"
    out(daemon, "rmi", image)


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_what_we_push_they_pull(daemon: Daemon, busybox: str, registry: str, place: Path, name: str) -> None:
    image = f"{registry}/ours/{name}:1"
    out(daemon, "tag", busybox, image)
    out(daemon, "push", image)
    ours = out(daemon, "image", "inspect", "--format", "{{.Id}}", image)
    theirs = tool(name, place, "pull", "-q", "--tls-verify=false", f"docker://{image}")
    assert f"sha256:{theirs}" == ours
    assert digest_of(daemon, image) == remote_digest(image)
    out(daemon, "rmi", image)


def test_umoci_changes_what_we_pushed(
    daemon: Daemon, client: docker.DockerClient, busybox: str, registry: str, tmp_path: Path
) -> None:
    before, after = f"{registry}/umoci/app:before", f"{registry}/umoci/app:after"
    out(daemon, "tag", busybox, before)
    out(daemon, "push", before)
    layout = tmp_path / "layout"
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{before}", f"oci:{layout}:app")

    def umoci(*words: str) -> None:
        subprocess.run(["umoci", *words], check=True, capture_output=True, text=True)

    umoci("unpack", "--image", f"{layout}:app", str(tmp_path / "bundle"))
    (tmp_path / "bundle" / "rootfs" / "note").write_text("by umoci\n")
    umoci("repack", "--image", f"{layout}:app", str(tmp_path / "bundle"))
    umoci("config", "--image", f"{layout}:app", "--config.env", "BY=umoci")
    skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:app", f"docker://{after}")
    out(daemon, "pull", after)
    assert digest_of(daemon, after) == remote_digest(after)
    shown = client.containers.run(after, ["sh", "-c", "cat /note; echo $BY"], remove=True, network_mode="none")
    assert shown == b"by umoci\numoci\n"
    out(daemon, "rmi", before, after)


def test_oras_brings_files_and_takes_them(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("for the class\n")
    target = f"{registry}/class/notes:1"
    client = oras.client.OrasClient(insecure=True)
    pushed = client.push(target=target, files=["notes.txt:text/plain"], manifest_annotations={"by": "us"})
    assert pushed.status_code == 201
    assert client.get_tags(f"{registry}/class/notes") == ["1"]
    [path] = client.pull(target=target, outdir=str(tmp_path / "there"))
    assert Path(path).read_text() == "for the class\n"
    with urllib.request.urlopen(f"http://{registry}/v2/class/notes/manifests/1") as answer:
        raw = answer.read()
        assert answer.headers["Docker-Content-Digest"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    manifest: dict[str, Any] = json.loads(raw)
    assert manifest["annotations"]["by"] == "us"
