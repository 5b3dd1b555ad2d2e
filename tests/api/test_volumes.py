"""Volumes through the docker CLI and docker-py."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.conftest import Daemon, Footprint, start_daemon

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


def test_an_empty_volume_is_shared_by_the_one_who_has_it_and_the_one_who_comes(daemon: Daemon, busybox: str) -> None:
    """The second container finds it empty too; the directory the first has mounted has to stay the same."""
    try:
        for name, place in (("empty-a", "/not/in/the/image"), ("empty-b", "/etc")):
            done = daemon.docker("run", "-d", "--name", name, "-v", f"vol-empty:{place}", busybox, "sleep", "1000")
            assert done.returncode == 0, done.stderr
        assert daemon.docker("exec", "empty-b", "touch", "/etc/from-b").returncode == 0
        seen = daemon.docker("exec", "empty-a", "ls", "/not/in/the/image").stdout.split()
        assert {"from-b", "passwd"} <= set(seen)
    finally:
        daemon.docker("rm", "-f", "empty-a", "empty-b")
        daemon.docker("volume", "rm", "vol-empty")


def test_containers_made_at_once_fill_their_volume_once(daemon: Daemon, busybox: str) -> None:
    words = ("create", "--label", "filler", "-v", "vol-at-once:/etc", busybox)
    try:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: daemon.docker(*words), range(8)))
        assert [done.stderr for done in made] == [""] * 8
        shown = daemon.docker("run", "--rm", "-v", "vol-at-once:/v", busybox, "ls", "/v").stdout.split()
        assert "passwd" in shown and ".filling" not in shown
    finally:
        daemon.docker("rm", *daemon.docker("ps", "-aq", "--filter", "label=filler").stdout.split())
        daemon.docker("volume", "rm", "vol-at-once")


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


def test_a_volume_whose_data_is_a_directory_of_the_host(
    daemon: Daemon, client: docker.DockerClient, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "of the host").write_text("kept\n")
    options = {"type": "none", "o": "bind,ro", "device": str(tmp_path)}
    volume = client.volumes.create("elsewhere", driver_opts=options)
    try:
        assert volume.attrs["Options"] == options
        binds = {"elsewhere": {"bind": "/data"}}
        run = client.containers.run
        assert run(busybox, ["cat", "/data/of the host"], volumes=binds, remove=True) == b"kept\n"
        with pytest.raises(docker.errors.ContainerError, match="Read-only"):
            run(busybox, ["touch", "/data/new"], volumes=binds, remove=True)
        [usage] = [each for each in client.df()["Volumes"] if each["Name"] == "elsewhere"]
        assert usage["UsageData"]["Size"] == -1
    finally:
        volume.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["of the host"]
    assert str(daemon.data_root) not in Path("/proc/self/mountinfo").read_text()


def test_a_volume_in_memory_is_shared_by_containers(client: docker.DockerClient, busybox: str) -> None:
    options = {"type": "tmpfs", "o": "size=1m,uid=1000", "device": "tmpfs"}
    volume = client.volumes.create("memory", driver_opts=options)
    try:
        binds = {"memory": {"bind": "/data"}}
        keeper = client.containers.create(busybox, ["true"], volumes=binds)
        client.containers.run(busybox, ["sh", "-c", "echo shared > /data/f"], volumes=binds, remove=True)
        seen = client.containers.run(
            busybox, ["sh", "-c", "cat /data/f; stat -c %u /data; df -m /data | tail -n 1"], volumes=binds, remove=True
        ).decode()
        assert seen.split()[:4] == ["shared", "1000", "tmpfs", "1"]
        keeper.remove()
    finally:
        volume.remove()


def test_a_volume_of_a_directory_that_is_not_there(client: docker.DockerClient, busybox: str) -> None:
    volume = client.volumes.create("nowhere", driver_opts={"type": "none", "o": "bind", "device": "/no/such"})
    try:
        with pytest.raises(docker.errors.APIError) as refused:
            client.containers.run(busybox, ["true"], volumes={"nowhere": {"bind": "/data"}}, remove=True)
        assert refused.value.status_code == 500
        told = f"mount /no/such:{volume.attrs['Mountpoint']}, flags: 0x1000: no such file or directory"
        assert f"failed to mount local volume: {told}" in str(refused.value.explanation)
    finally:
        volume.remove()


def test_a_mounted_volume_comes_back_with_the_daemon(own_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = own_daemon()
    (tmp_path / "f").write_text("still here\n")
    for words in (
        ["pull", "-q", "busybox"],
        ["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "vol"],
        ["create", "--name", "cc", "-v", "vol:/data", "busybox", "cat", "/data/f"],
    ):
        done = daemon.docker(*words)
        assert done.returncode == 0, done.stderr
    assert daemon.stop() == 0
    assert Footprint.of(daemon.root) == Footprint()
    again = start_daemon(daemon.root)
    try:
        assert again.docker("start", "-a", "cc").stdout == "still here\n"
        assert again.docker("rm", "-v", "cc").returncode == 0
        assert again.docker("volume", "rm", "vol").returncode == 0
    finally:
        assert again.stop() == 0
