"""Containers from create to remove, through docker-py and the real docker CLI."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container
from docker.types import Mount

from tests.api.wire import eventually
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def sleeper(client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    """A container that sleeps and is removed at the end."""
    container = client.containers.run(busybox, "sleep 600", detach=True)
    yield container
    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True, v=True)


@pytest.fixture(autouse=True)
def nothing_left(client: docker.DockerClient) -> Iterator[None]:
    """Every test removes what it made."""
    yield
    left = client.containers.list(all=True)
    for container in left:
        container.remove(force=True)
    assert left == []


def test_run_prints_and_goes(daemon: Daemon, busybox: str) -> None:
    done = daemon.docker("run", "--rm", busybox, "echo", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        (["true"], 0, ""),
        (["false"], 1, ""),
        (["sh", "-c", "exit 42"], 42, ""),
        (["sh", "-c", "kill -TERM $$; sleep 9"], 0, None),
        (["no-such-program"], 127, 'exec: "no-such-program": executable file not found in $PATH'),
        (["/etc"], 126, "permission denied"),
    ],
)
def test_exit_statuses(daemon: Daemon, busybox: str, command: list[str], status: int, error: str | None) -> None:
    if error is None:
        # A process that is not pid 1 dies of the signal: 128 + 15.
        command, status, error = ["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143, ""
    done = daemon.docker("run", "--rm", busybox, *command)
    assert done.returncode == status
    assert error in done.stderr


def test_an_unknown_image_is_not_found(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ImageNotFound, match="No such image: nope/nope:latest"):
        client.api.create_container("nope/nope", "true")


def test_a_name_belongs_to_one(client: docker.DockerClient, busybox: str) -> None:
    first = client.containers.create(busybox, "true", name="mine")
    with pytest.raises(docker.errors.APIError) as caught:
        client.containers.create(busybox, "true", name="mine")
    assert caught.value.status_code == 409
    assert caught.value.explanation == (
        f'Conflict. The container name "/mine" is already in use by container "{first.id}". You have to remove '
        "(or rename) that container to be able to reuse that name."
    )
    first.rename("yours")
    first.reload()
    assert first.name == "yours"
    second = client.containers.create(busybox, "true", name="mine")
    first.remove()
    second.remove()


def test_start_stop_and_restart(sleeper: Container) -> None:
    assert sleeper.status == "created"
    sleeper.reload()
    assert sleeper.status == "running"
    pid = sleeper.attrs["State"]["Pid"]
    sleeper.restart(timeout=0)
    sleeper.reload()
    assert sleeper.attrs["State"]["Pid"] not in (0, pid)
    sleeper.stop(timeout=0)
    sleeper.stop()  # 304, no error
    sleeper.reload()
    state = sleeper.attrs["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)
    sleeper.start()
    sleeper.start()  # 304, no error
    sleeper.reload()
    assert sleeper.status == "running"


def test_the_stop_signal_reaches_the_process(client: docker.DockerClient, busybox: str) -> None:
    script = "trap 'echo got it; exit 5' USR1; echo ready; while true; do sleep 0.05; done"
    container = client.containers.run(busybox, ["sh", "-c", script], detach=True, stop_signal="SIGUSR1")
    eventually(lambda: bool(container.logs() == b"ready\n"))
    container.stop(timeout=20)
    assert container.wait()["StatusCode"] == 5
    assert container.logs() == b"ready\ngot it\n"
    container.remove()


def test_pause_and_unpause(sleeper: Container) -> None:
    sleeper.pause()
    sleeper.reload()
    assert (sleeper.status, sleeper.attrs["State"]["Paused"]) == ("paused", True)
    with pytest.raises(docker.errors.APIError, match="is already paused"):
        sleeper.pause()
    with pytest.raises(docker.errors.APIError, match="is paused, unpause the container before exec"):
        sleeper.exec_run("true")
    sleeper.unpause()
    sleeper.reload()
    assert sleeper.status == "running"
    with pytest.raises(docker.errors.APIError, match="is not paused"):
        sleeper.unpause()


def test_what_does_not_run_can_t_be_killed(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, "true")
    with pytest.raises(docker.errors.APIError, match=f"container {container.id} is not running") as caught:
        container.kill()
    assert caught.value.status_code == 409
    container.remove()


def test_a_running_container_is_not_removed_without_force(sleeper: Container) -> None:
    with pytest.raises(docker.errors.APIError, match="container is running: stop the container before removing"):
        sleeper.remove()
    sleeper.remove(force=True)
    with pytest.raises(docker.errors.NotFound, match=f"No such container: {sleeper.id}"):
        sleeper.reload()


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_wait(client: docker.DockerClient, busybox: str, condition: str) -> None:
    container = client.containers.create(busybox, ["sh", "-c", "sleep 0.2; exit 3"])
    if condition == "not-running":
        assert container.wait(condition=condition)["StatusCode"] == 0  # not started: it does not run
    answers: list[dict[str, Any]] = []
    if condition == "not-running":
        container.start()
    waiter = threading.Thread(target=lambda: answers.append(container.wait(condition=condition)))
    waiter.start()
    if condition != "not-running":
        container.start()
    if condition == "removed":
        container.wait()
        container.remove()
    waiter.join(20)
    assert [answer["StatusCode"] for answer in answers] == [3]
    if condition != "removed":
        container.remove()


def test_a_bad_wait_condition(sleeper: Container) -> None:
    with pytest.raises(docker.errors.APIError, match='invalid condition: "sometime"'):
        sleeper.wait(condition="sometime")


def test_image_settings_and_own_settings_meet(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.run(
        busybox,
        ["sh", "-c", "echo $GREETING; pwd; hostname; id -u; cat /etc/hostname"],
        environment={"GREETING": "hello"},
        working_dir="/made/here",
        hostname="box",
        user="1000",
        labels={"a": "b"},
        detach=True,
    )
    container.wait()
    assert container.logs().decode().splitlines() == ["hello", "/made/here", "box", "1000", "box"]
    assert container.labels["a"] == "b"
    container.remove()


def test_volumes_outlive_their_container(client: docker.DockerClient, busybox: str) -> None:
    volume = client.volumes.create("kept")
    client.containers.run(busybox, "sh -c 'echo data > /v/file'", volumes={"kept": {"bind": "/v"}}, remove=True)
    output = client.containers.run(busybox, "cat /v/file", volumes={"kept": {"bind": "/v", "mode": "ro"}}, remove=True)
    assert output == b"data\n"
    volume.remove()


def test_an_empty_volume_takes_the_image_s_files(client: docker.DockerClient, busybox: str) -> None:
    for no_copy, found in ((False, True), (True, False)):
        mount = Mount("/etc", "filled", type="volume", no_copy=no_copy)
        output = client.containers.run(busybox, "ls /etc", mounts=[mount], remove=True).decode().split()
        assert ("passwd" in output) is found
        client.volumes.get("filled").remove()


def test_anonymous_volumes_go_with_rm(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    before = {volume.name for volume in client.volumes.list()}
    assert daemon.docker("run", "--rm", "-v", "/data", busybox, "true").returncode == 0
    assert {volume.name for volume in client.volumes.list()} == before
    container = client.containers.create(busybox, "true", volumes=["/data"])
    [made] = {volume.name for volume in client.volumes.list()} - before
    with pytest.raises(docker.errors.APIError, match="volume is in use"):
        client.volumes.get(made).remove()
    container.remove()
    assert client.volumes.get(made).name == made
    client.volumes.get(made).remove()


def test_only_what_is_removed_at_its_end_is_volatile(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    """Else its end would wait for all that the machine has to write; and a restart finds its files again."""
    root = ["head", "-n", "1", "/proc/mounts"]
    durable = client.containers.run(busybox, ["sleep", "100"], detach=True)
    assert "volatile" not in durable.exec_run(root).output.decode()
    kept = client.containers.run(busybox, ["sleep", "100"], detach=True, auto_remove=True)
    assert "volatile" in kept.exec_run(root).output.decode()
    assert kept.exec_run(["sh", "-c", "echo here > /file && sync"]).exit_code == 0
    kept.restart(timeout=0)
    assert kept.exec_run(["cat", "/file"]).output == b"here\n"
    for container in (durable, kept):
        container.remove(force=True)


def test_a_bind_s_directory_is_made_by_v_but_not_by_mount(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    made, missing = tmp_path / "made", tmp_path / "missing"
    assert daemon.docker("run", "--rm", "-v", f"{made}:/x", busybox, "touch", "/x/y").returncode == 0
    assert (made / "y").exists()
    done = daemon.docker("run", "--rm", "--mount", f"type=bind,src={missing},dst=/x", busybox, "true")
    assert done.returncode == 125
    assert f'invalid mount config for type "bind": bind source path does not exist: {missing}' in done.stderr


def test_diff_shows_the_container_s_own_changes_only(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.run(busybox, "sh -c 'touch /made; rm /etc/passwd'", detach=True)
    container.wait()
    assert {(change["Kind"], change["Path"]) for change in container.diff()} == {
        (1, "/made"), (0, "/etc"), (2, "/etc/passwd"),
    }  # fmt: skip
    container.remove()


def test_restart_policy(client: docker.DockerClient, busybox: str) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    container = client.containers.run(busybox, "sh -c 'echo x; exit 1'", restart_policy=policy, detach=True)
    while True:
        container.reload()
        if container.status == "exited" and container.attrs["RestartCount"] == 2:
            break
        container.wait(condition="next-exit")
    assert container.logs() == b"x\nx\nx\n"
    container.remove()


def test_auto_remove_and_restart_exclude_each_other(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    with pytest.raises(docker.errors.APIError, match="can't create 'AutoRemove' container with restart policy"):
        client.containers.create(busybox, "true", auto_remove=True, restart_policy={"Name": "always"})


def test_health(client: docker.DockerClient, busybox: str) -> None:
    check = {"test": ["CMD-SHELL", "echo looked; test -e /well"], "interval": 50_000_000, "retries": 2}
    container = client.containers.run(busybox, "sleep 600", healthcheck=check, detach=True)

    def health() -> str:
        container.reload()
        return str(container.attrs["State"]["Health"]["Status"])

    eventually(lambda: health() == "unhealthy")
    container.exec_run("touch /well")
    eventually(lambda: health() == "healthy")
    assert container.attrs["State"]["Health"]["Log"][-1]["Output"] == "looked\n"
    container.remove(force=True)


def test_list_filters(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    one = client.containers.run(busybox, "sleep 600", name="one", labels={"n": "1"}, detach=True)
    two = client.containers.run(busybox, "sh -c 'exit 7'", name="two", labels={"n": "2"}, detach=True)
    two.wait()

    def listed(**filters: Any) -> list[str]:
        return [c.name for c in client.containers.list(all=True, filters=filters)]

    assert [c.name for c in client.containers.list()] == ["one"]
    assert listed() == ["two", "one"]
    assert listed(name="tw") == ["two"]
    assert listed(label="n=1") == ["one"]
    assert listed(status="exited") == ["two"]
    assert listed(exited=7) == ["two"]
    assert listed(ancestor=busybox) == ["two", "one"]
    assert listed(before="two") == ["one"]
    assert listed(since="one") == ["two"]
    assert listed(id=one.id[:9]) == ["one"]
    assert [c.name for c in client.containers.list(limit=1)] == ["two"]
    assert daemon.docker("ps", "--filter", "status=nope").stderr.endswith("invalid filter 'status=nope'\n")
    one.remove(force=True)
    assert client.containers.prune()["ContainersDeleted"] == [two.id]


def test_top(daemon: Daemon, sleeper: Container) -> None:
    done = daemon.docker("top", sleeper.name)
    assert done.stdout.splitlines()[0].split()[:2] == ["UID", "PID"]
    assert "sleep 600" in done.stdout
    assert daemon.docker("top", sleeper.name, "-o", "pid,args").stdout.split()[:2] == ["PID", "COMMAND"]


def test_update(sleeper: Container) -> None:
    sleeper.update(mem_limit="64m", memswap_limit="128m", cpu_shares=512)
    sleeper.reload()
    host = sleeper.attrs["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["CpuShares"]) == (64 << 20, 128 << 20, 512)
    with pytest.raises(docker.errors.APIError, match="Minimum memory limit allowed is 6MB"):
        sleeper.update(mem_limit="1m")


def test_stats(client: docker.DockerClient, sleeper: Container) -> None:
    one = sleeper.stats(stream=False)
    assert one["pids_stats"]["current"] == 1
    assert one["memory_stats"]["usage"] > 0
    assert one["cpu_stats"]["system_cpu_usage"] >= one["precpu_stats"]["system_cpu_usage"] > 0
    assert set(one["networks"]) == {"eth0"}
    assert one["name"] == f"/{sleeper.name}"


def test_a_failed_start_leaves_the_container_and_says_why(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, "no-such-program")
    with pytest.raises(docker.errors.APIError, match="executable file not found in") as caught:
        container.start()
    assert caught.value.status_code == 400
    container.reload()
    state = container.attrs["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "executable file not found" in state["Error"]
    container.remove()


@pytest.mark.parametrize("kind", ["", "text/plain", "application/jsonx"])
@pytest.mark.parametrize("path", ["containers/create", "containers/x/update", "containers/x/exec", "exec/x/start"])
def test_a_body_says_that_it_is_json(client: docker.DockerClient, path: str, kind: str) -> None:
    """As dockerd asks for; volumes and networks are made the same way."""
    answer = client.api.post(client.api._url("/" + path), data=b'{"Image": "busybox"}', headers={"Content-Type": kind})
    words = f"Content-Type specified ({kind}) must be 'application/json'"
    assert (answer.status_code, answer.json()["message"]) == (400, words)


def test_start_takes_no_settings(client: docker.DockerClient, sleeper: Container) -> None:
    url = client.api._url(f"/containers/{sleeper.id}/start")
    assert client.api.post(url, json={}).status_code == 304
    answer = client.api.post(url, json={"Privileged": True})
    assert (answer.status_code, answer.json()["message"].split(" was ")[0]) == (
        400,
        "starting container with non-empty request body",
    )


def test_a_working_directory_is_there_before_the_start(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    daemon.docker("create", "--name", "placed", "-w", "/home/foo/bar", busybox, "true")
    try:
        assert daemon.docker("cp", "placed:/home/foo/bar", str(tmp_path)).returncode == 0
        assert (tmp_path / "bar").is_dir()
    finally:
        daemon.docker("rm", "placed")


def test_options_of_another_kind_of_mount_are_refused(client: docker.DockerClient, busybox: str) -> None:
    """Also empty ones."""
    mount: Any = Mount("/m", "/tmp", type="bind") | {"VolumeOptions": {}}
    with pytest.raises(docker.errors.APIError, match="field VolumeOptions must not be specified"):
        client.containers.create(busybox, "true", mounts=[mount])


def test_a_kill_between_two_starts_ends_the_trying(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.run(busybox, "false", detach=True, restart_policy={"Name": "always"})
    try:
        eventually(lambda: client.containers.get(container.id).attrs["RestartCount"] > 1)
        container.kill()
        eventually(lambda: client.containers.get(container.id).status == "exited")
    finally:
        container.remove(force=True)


def test_a_cgroup_parent_does_not_lead_out_of_the_hierarchy(daemon: Daemon, busybox: str) -> None:
    """Not even one that exists outside: nothing is made there."""
    parent = "../../../../../pydock-outside"
    shown = daemon.docker("run", "--rm", "--cgroup-parent", parent, busybox, "cat", "/proc/self/cgroup").stdout
    assert ":/pydock-outside/" in shown
    assert not Path("/pydock-outside").exists()
    made = list(Path("/sys/fs/cgroup").glob("**/pydock-outside"))
    # A cgroup goes a moment after its container.
    eventually(lambda: not any(child.is_dir() for parent in made for child in parent.iterdir()))
    for directory in made:
        directory.rmdir()


def test_links_that_come_later_and_links_to_a_shared_network(daemon: Daemon, busybox: str) -> None:
    started = ("run", "-d", "--rm", "--stop-timeout", "0")
    try:
        daemon.docker("network", "create", "linked")
        early = daemon.docker(
            *started, "--name", "early", "--net", "linked", "--link", "late:x", busybox, "sleep", "60"
        )
        assert early.returncode == 0, early.stderr
        daemon.docker(*started, "--name", "late", "--net", "linked", busybox, "sleep", "60")
        assert daemon.docker("exec", "early", "ping", "-c1", "x").returncode == 0
        daemon.docker(*started, "--name", "owner", busybox, "sleep", "60")
        daemon.docker(*started, "--name", "guest", "--net", "container:owner", busybox, "sleep", "60")
        hosts = daemon.docker("run", "--rm", "--link", "guest:g", busybox, "cat", "/etc/hosts").stdout
        assert "\tg " in hosts
        daemon.docker(*started, "--name", "at-host", "--net", "host", busybox, "sleep", "60")
        refused = daemon.docker("run", "--rm", "--link", "at-host:h", busybox, "true")
        assert "host type networking can't be used with links" in refused.stderr
    finally:
        daemon.docker("rm", "-f", "early", "late", "owner", "guest", "at-host")
        daemon.docker("network", "rm", "linked")
