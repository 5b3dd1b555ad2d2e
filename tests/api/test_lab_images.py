"""What the lab tells of images: transfers request by request, wasted bytes, two images compared."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root


def lab(client: docker.DockerClient, path: str, method: str = "GET") -> Any:
    response = client.api.request(method, f"{client.api.base_url}/lab/{path}")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def registry(client: docker.DockerClient) -> Iterator[str]:
    yield str(lab(client, "registry", "POST")["Address"])
    lab(client, "registry", "DELETE")


def build(client: docker.DockerClient, tag: str, *instructions: str) -> None:
    text = "\n".join(("FROM busybox", *instructions))
    client.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True)


def test_a_push_and_a_pull_request_by_request(
    daemon: Daemon, client: docker.DockerClient, busybox: str, registry: str
) -> None:
    name = f"{registry}/team/told:1"
    client.images.get(busybox).tag(name)
    assert daemon.docker("push", name).returncode == 0
    client.images.remove(name)
    assert daemon.docker("pull", name).returncode == 0
    pull, push = lab(client, "images/transfers")[:2]
    assert (pull["kind"], push["kind"], pull["reference"], pull["state"]) == ("pull", "push", name, "done")
    assert pull["asked"].partition("?")[0].endswith("/images/create")
    assert push["asked"].partition("?")[0].endswith(f"/images/{registry}/team/told/push")
    sent = lab(client, f"images/transfers/{push['id']}")["requests"]
    steps = [(each["method"], each["subject"], each["status"]) for each in sent]
    assert steps[-1] == ("PUT", "manifest", 201)
    assert ("PUT", "upload", 201) in steps
    assert push["sent"] == sum(each["sent"] for each in sent) > 100_000
    got = lab(client, f"images/transfers/{pull['id']}")["requests"]
    answered = [each for each in got if each["status"]]
    assert answered[0]["path"] == "/v2/team/told/manifests/1"
    assert all(each["to"] == registry and each["duration_ns"] > 0 for each in answered)
    asked = client.api.request("GET", f"{client.api.base_url}/lab/images/transfers/nosuch")
    assert asked.status_code == 404
    client.images.remove(name)
    client.images.prune()


def test_a_pull_that_fails_is_told_too(daemon: Daemon, client: docker.DockerClient, registry: str) -> None:
    assert daemon.docker("pull", f"{registry}/no/such:1").returncode == 1
    [pull] = [each for each in lab(client, "images/transfers") if each["reference"].endswith("/no/such:1")]
    assert pull["state"] == "failed"
    assert "manifest unknown" in pull["error"]


def test_wasted_bytes(client: docker.DockerClient, busybox: str) -> None:
    build(
        client,
        "wasteful",
        "RUN head -c 100000 /dev/zero > /big && mkdir /d && head -c 50000 /dev/zero > /d/f",
        "RUN head -c 70000 /dev/zero > /big",
        "RUN rm -r /d",
    )
    try:
        told = lab(client, "images/wasteful/waste")
        assert {each["path"]: (each["size"], each["times"]) for each in told["wasted"]} == {
            "/big": (100_000, 1),
            "/d/f": (50_000, 1),
        }
        assert told["wasted_bytes"] == 150_000
        assert told["efficiency"] == pytest.approx(1 - 150_000 / told["bytes"], abs=1e-4)
        assert lab(client, "images/wasteful/layers")["waste"] == told, "the layers view tells the same"
        assert lab(client, f"images/{busybox}/waste")["wasted_bytes"] == 0
    finally:
        client.images.remove("wasteful")


def test_two_images_compared(client: docker.DockerClient, busybox: str) -> None:
    build(client, "one", "RUN echo 1 > /f && echo same > /same && echo only > /gone", "ENV A=1")
    build(client, "two", "RUN echo 22 > /f && echo more > /new", "ENV A=2")
    try:
        told = lab(client, "images/one/compare/two")
        files = {each["path"]: each["kind"] for each in told["files"]}
        assert files.items() >= {"/f": "C", "/same": "D", "/gone": "D", "/new": "A"}.items()
        assert not any(path.startswith("/bin") for path in files), "the base is shared"
        assert told["shared_bytes"] > 0
        assert [layer["shared"] for layer in told["a"]["layers"]][-1] is False
        [before, after] = told["settings"]["Env"]
        assert ("A=1" in before, "A=2" in after) == (True, True)
        alike = lab(client, "images/one/compare/one")
        assert (alike["files"], alike["settings"], alike["added"]) == ([], {}, 0)
    finally:
        for name in ("one", "two"):
            client.images.remove(name)
