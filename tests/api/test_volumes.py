"""Volumes through the docker CLI and docker-py."""

from __future__ import annotations

import docker
import docker.errors
import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root


def err(daemon: Daemon, *words: str) -> str:
    done = daemon.docker(*words)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().removeprefix("Error response from daemon: ")


def test_create_inspect_list_remove(client: docker.DockerClient) -> None:
    volume = client.volumes.create("vol-one", labels={"a": "b"})
    try:
        assert volume.attrs["Driver"] == "local"
        assert volume.attrs["Mountpoint"].endswith("/volumes/vol-one/_data")
        assert volume.attrs["Labels"] == {"a": "b"}
        assert client.volumes.create("vol-one").attrs["CreatedAt"] == volume.attrs["CreatedAt"]
        for filters, found in (
            ({"name": "ol-on"}, True),
            ({"label": "a"}, True),
            ({"label": "a=c"}, False),
            ({"dangling": "true"}, True),
            ({"dangling": "false"}, False),
            ({"driver": "other"}, False),
        ):
            assert ("vol-one" in [each.name for each in client.volumes.list(filters=filters)]) is found, filters
    finally:
        volume.remove()
    with pytest.raises(docker.errors.NotFound, match="get vol-one: no such volume"):
        client.volumes.get("vol-one")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rm", "nosuch"), "get nosuch: no such volume"),
        (("inspect", "nosuch"), "get nosuch: no such volume"),
        (("create", "b@d"), 'create b@d: "b@d" includes invalid characters for a local volume name'),
        (("create", "x"), "create x: volume name is too short"),
        (("create", "-d", "nosuch", "vol-d"), 'plugin "nosuch" not found'),
        (("create", "-o", "foo=1", "vol-o"), 'create vol-o: invalid option: "foo"'),
        (("create", "-o", "type=tmpfs", "vol-o"), 'create vol-o: missing required option: "device"'),
        (("create", "-o", "type=tmpfs", "-o", "device=tmpfs", "vol-o"), "does not mount volumes of other file systems"),
        (("ls", "-f", "foo=1"), "invalid filter 'foo'"),
    ],
)
def test_errors_are_dockers(daemon: Daemon, words: tuple[str, ...], message: str) -> None:
    assert message in err(daemon, "volume", *words)
    assert "vol-" not in daemon.docker("volume", "ls", "-q").stdout


def test_a_volume_outlives_its_container_and_is_protected(
    daemon: Daemon, client: docker.DockerClient, busybox: str
) -> None:
    client.containers.run(busybox, ["sh", "-c", "echo kept > /data/file"], volumes=["vol-two:/data"], remove=True)
    container = client.containers.create(busybox, ["cat", "/data/file"], volumes=["vol-two:/data"])
    try:
        assert err(daemon, "volume", "rm", "vol-two") == f"remove vol-two: volume is in use - [{container.id}]"
        container.start()
        container.wait()
        assert container.logs() == b"kept\n"
    finally:
        container.remove()
    assert daemon.docker("volume", "rm", "vol-two").stdout == "vol-two\n"
    assert daemon.docker("volume", "rm", "-f", "vol-two").returncode == 0


def test_prune_takes_anonymous_volumes_and_names_only_if_told(client: docker.DockerClient, busybox: str) -> None:
    named = client.volumes.create("vol-three")
    anonymous = client.volumes.create()
    container = client.containers.create(busybox, ["true"], volumes=["/anonymous"])
    [used] = [mount["Name"] for mount in container.attrs["Mounts"]]
    try:
        pruned = client.volumes.prune()["VolumesDeleted"]
        assert anonymous.name in pruned
        assert named.name not in pruned
        assert used not in pruned
        assert named.name in client.volumes.prune({"all": True})["VolumesDeleted"]
    finally:
        container.remove(v=True)
    with pytest.raises(docker.errors.NotFound):
        client.volumes.get(used)
