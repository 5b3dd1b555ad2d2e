"""What `inspect` says, field by field, on our engine and on Docker's."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import docker
import pytest

from tests.api.conftest import Engines
from tests.api.wire import Wire
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

# Of the engine, the run or the version of Docker, not of what was asked.
_OWN = {
    "container": {
        "AppArmorProfile",
        "Created",
        "Driver",
        "EndpointID",
        "FinishedAt",
        "Gateway",
        "GraphDriver",
        "HostnamePath",
        "HostsPath",
        "IPAddress",
        "IPPrefixLen",
        "Id",
        "Image",
        "LogPath",
        "MacAddress",
        "Mountpoint",
        "NetworkID",
        "Pid",
        "Platform",
        "ResolvConfPath",
        "SandboxID",
        "SandboxKey",
        "Source",
        "StartedAt",
        # Gone since 20.10.
        "Capabilities",
        "KernelMemory",
        "KernelMemoryTCP",
        # Private by default with cgroup v2 only; ours makes a namespace of its own everywhere.
        "CgroupnsMode",
        "Runtime",
        # More is masked since; `default` is said to be `bridge`.
        "MaskedPaths",
        "NetworkMode",
        # Filled since, null in 20.10.
        "ConsoleSize",
        "Hostname",
        "ExecIDs",
    },
    "image": {
        "Created",
        "DockerVersion",
        "GraphDriver",
        "Id",
        "LastTagTime",
        "VirtualSize",
        "Container",
        "ContainerConfig",
        "Layers",
    },
    "volume": {"CreatedAt", "Mountpoint"},
}

# The docker CLI keeps these in Go maps: any order.
_UNORDERED = {"Env", "Binds", "Mounts"}

CREATED = {
    "plain": [],
    "environment and words": ["-e", "A=1", "-l", "x=y", "-w", "/w", "-u", "5:6", "-h", "box", "-t", "-i"],
    "limits": ["-m", "64m", "--cpus", "0.5", "--pids-limit", "9", "--cpu-shares", "512", "--ulimit", "nofile=10:20"],
    "rights": ["--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN", "--read-only", "--security-opt", "no-new-privileges"],
    "ports": ["-p", "127.0.0.1:45871:80", "-p", "45872:81/udp", "--expose", "82"],
    "mounts": [
        "-v",
        "/usr:/a:ro",
        "-v",
        "named:/b",
        "--tmpfs",
        "/c:size=1m",
        "--mount",
        "type=volume,src=named,dst=/d",
    ],
    "restart and log": ["--restart", "on-failure:3", "--log-opt", "max-size=1m", "--stop-signal", "INT"],
    "names": [
        "--add-host",
        "a:1.2.3.4",
        "--dns",
        "9.9.9.9",
        "--dns-search",
        "lan",
        "--network-alias",
        "b",
        "--net",
        "n",
    ],
    "health": ["--health-cmd", "true", "--health-interval", "5s", "--health-retries", "2"],
    "other programs": ["--entrypoint", "sleep", "--init", "--rm", "--shm-size", "1m", "--oom-score-adj", "5"],
}


def without(document: Any, own: set[str]) -> Any:
    """Return a document without the fields that may differ, and with an order where it has none."""
    if isinstance(document, dict):
        kept = {key: without(value, own) for key, value in document.items() if key not in own}
        return {key: in_order(value) if key in _UNORDERED else value for key, value in kept.items()}
    if isinstance(document, list):
        return [without(value, own) for value in document]
    return document


def in_order(values: list[Any] | None) -> list[Any]:
    return sorted(values or [], key=lambda value: json.dumps(value, sort_keys=True))


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return where our document says less or otherwise; a field that only newer versions have is fine."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [
            line
            for key, value in theirs.items()
            for line in (
                differences(ours[key], value, f"{path}.{key}")
                if key in ours
                else [f"{path}.{key} is missing: {value!r}"]
            )
        ]
    # Go writes an empty list as null or as [], depending on the version.
    return [] if (ours or None) == (theirs or None) else [f"{path}: {ours!r}, with Docker {theirs!r}"]


def same(ours: Any, theirs: Any) -> None:
    lines = differences(ours, theirs)
    assert not lines, "\n".join(lines)


def inspect(engine: Daemon, kind: str, name: str) -> Any:
    done = engine.docker(kind, "inspect", name)
    assert done.returncode == 0, done.stderr
    [document] = json.loads(done.stdout)
    return without(document, _OWN[kind])


@pytest.mark.parametrize("flags", CREATED.values(), ids=CREATED.keys())
def test_a_created_container(engines: Engines, flags: list[str]) -> None:
    documents = []
    for engine in engines:
        engine.docker("network", "create", "n")
        done = engine.docker("create", "--name", "looked-at", *flags, "busybox", "echo", "x")
        assert done.returncode == 0, done.stderr
        documents.append(inspect(engine, "container", "looked-at"))
        engine.docker("rm", "-v", "looked-at")
        engine.docker("network", "rm", "n")
        engine.docker("volume", "rm", "named")
    same(*documents)


def test_a_running_and_an_ended_container(engines: Engines) -> None:
    running, ended = [], []
    for engine in engines:
        assert engine.docker("run", "-d", "--name", "looked-at", "busybox", "sleep", "1d").returncode == 0
        running.append(inspect(engine, "container", "looked-at"))
        engine.docker("kill", "looked-at")
        engine.docker("wait", "looked-at")
        ended.append(inspect(engine, "container", "looked-at"))
        engine.docker("rm", "looked-at")
    same(*running)
    same(*ended)


def test_an_image(engines: Engines) -> None:
    ours, theirs = (inspect(engine, "image", "busybox") for engine in engines)
    same(ours["RootFS"], theirs["RootFS"])
    assert ours["Architecture"] == theirs["Architecture"]
    assert ours["Config"]["Cmd"] == theirs["Config"]["Cmd"]
    assert ours["Size"] == theirs["Size"]


def test_a_built_image(engines: Engines, tmp_path: Any) -> None:
    (tmp_path / "Dockerfile").write_text(
        'FROM busybox\nLABEL a=b\nENV C=d\nWORKDIR /w\nEXPOSE 80\nVOLUME /v\nUSER 5\nENTRYPOINT ["echo"]\nCMD ["x"]\n'
        'STOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s CMD true\nSHELL ["/bin/sh", "-ec"]\n'
    )
    documents = []
    for engine in engines:
        done = engine.docker("build", "-t", "looked-at", ".", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        documents.append(inspect(engine, "image", "looked-at")["Config"])
        history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "looked-at").stdout
        documents.append(history)
        engine.docker("rmi", "looked-at")
    ours, our_history, theirs, their_history = documents
    same(ours, without(theirs, {"Image"}))
    assert our_history == their_history


def test_a_container_of_a_client_from_before_hostconfig(engines: Engines) -> None:
    """Some still put its fields beside the others'."""
    published = []
    for engine in engines:
        asked = {"Image": "busybox", "Cmd": ["true"], "PublishAllPorts": True, "ReadonlyRootfs": True}
        body = json.dumps(asked).encode()
        with closing(Wire(engine)) as wire:
            wire.send("POST", "/v1.41/containers/create?name=old-way", "Connection: close", body=body)
            assert wire.head()[0] == "HTTP/1.1 201 Created"
        host = inspect(engine, "container", "old-way")["HostConfig"]
        published.append((host["PublishAllPorts"], host["ReadonlyRootfs"]))
        engine.docker("rm", "old-way")
    assert published == [(True, True)] * 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        (
            "POST",
            "/containers/create?name=any-case",
            b'{"image":"busybox","CMD":["true"],"hostConfig":{"publishallports":true}}',
        ),
        ("POST", "/containers/any-case/update", b"null"),
        ("POST", "/containers/any-case/resize?h=1", b""),
        ("GET", "/containers/any-case/archive?path=/bin/busybox/x", b""),
        ("PUT", "/containers/any-case/archive?path=/bin/busybox/x", b"x"),
        ("HEAD", "/containers/any-case/archive?path=/bin/busybox/x/y", b""),
        ("DELETE", "/containers/any-case", b""),
    ],
)
def test_same_status_by_hand(engines: Engines, method: str, path: str, body: bytes) -> None:
    """What no client library sends, and people do."""
    answers = []
    for engine in engines:
        with closing(Wire(engine)) as wire:
            wire.send(method, f"/v1.41{path}", "Connection: close", body=body)
            answers.append(wire.head()[0])
    assert answers[0] == answers[1]


def test_aliases_that_old_clients_are_told(engines: Engines) -> None:
    """While it runs and when it has ended."""
    told = []
    for engine in engines:
        engine.docker("network", "create", "n")
        engine.docker("run", "-d", "--name", "looked-at", "--network", "n", "--network-alias", "web", "busybox", "top")
        for _ in ("running", "ended"):
            with closing(docker.APIClient(base_url=engine.host, version="1.41")) as client:
                document = client.inspect_container("looked-at")
            aliases = document["NetworkSettings"]["Networks"]["n"]["Aliases"]
            told.append(sorted(alias.replace(document["Id"][:12], "own") for alias in aliases))
            engine.docker("kill", "looked-at")
            engine.docker("wait", "looked-at")
        engine.docker("rm", "looked-at")
        engine.docker("network", "rm", "n")
    assert told == [["own", "web"]] * 4


def test_an_attach_to_nothing_is_answered_in_text(engines: Engines) -> None:
    answers = []
    for engine in engines:
        with closing(Wire(engine)) as wire:
            wire.send("POST", "/v1.41/containers/nosuch/attach?stream=1&stdout=1", "Connection: close")
            head = wire.head()
            typed = next(line for line in head if line.startswith("Content-Type"))
            answers.append((head[0], typed, wire.rest()))
    assert answers[0] == answers[1]


def test_a_volume(engines: Engines) -> None:
    documents = []
    for engine in engines:
        engine.docker("volume", "create", "--label", "a=b", "looked-at")
        documents.append(inspect(engine, "volume", "looked-at"))
        engine.docker("volume", "rm", "looked-at")
    same(*documents)
