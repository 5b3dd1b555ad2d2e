"""What a container is asked to be, against what Docker makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from pydock_lab.daemon.engine.containers import limits
from pydock_lab.daemon.engine.containers.request import decode_create, decode_update
from pydock_lab.daemon.engine.containers.settings import (
    check_restart_policy,
    complete_host_config,
    merge_config,
)
from pydock_lab.errors import InvalidParameter

ID = "0123456789ab" + "0" * 52
IMAGE: dict[str, Any] = {
    "Entrypoint": ["/entry"],
    "Cmd": ["image", "command"],
    "Env": ["PATH=/bin", "LANG=C"],
    "Labels": {"from": "image", "both": "image"},
    "WorkingDir": "/app",
    "User": "web",
    "ExposedPorts": {"5000/tcp": {}},
    "Volumes": {"/data": {}},
}


def merged(body: dict[str, Any], image: dict[str, Any] | None = None) -> dict[str, Any]:
    host = complete_host_config(body.get("HostConfig") or {})  # type: ignore[arg-type]
    return merge_config(body, IMAGE if image is None else image, ID, host)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "entrypoint", "command"),
    [
        ({}, ["/entry"], ["image", "command"]),
        ({"Cmd": ["mine"]}, ["/entry"], ["mine"]),
        ({"Cmd": "mine"}, ["/entry"], ["mine"]),
        ({"Entrypoint": ["/other"]}, ["/other"], None),
        ({"Entrypoint": ["/other"], "Cmd": ["x"]}, ["/other"], ["x"]),
        ({"Entrypoint": [""], "Cmd": ["x"]}, None, ["x"]),
        ({"Entrypoint": []}, ["/entry"], ["image", "command"]),
    ],
)
def test_entrypoint_and_command(asked: dict[str, Any], entrypoint: Any, command: Any) -> None:
    config = merged(asked)
    assert (config["Entrypoint"], config["Cmd"]) == (entrypoint, command)


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no command specified"):
        merged({}, {})


def test_own_values_win_over_the_image_s() -> None:
    config = merged({"Env": ["LANG=de", "X=1"], "Labels": {"both": "own"}, "WorkingDir": "/w/./x", "User": "0:0"})
    assert config["Env"] == ["LANG=de", "X=1", "PATH=/bin"]
    assert config["Labels"] == {"from": "image", "both": "own"}
    assert config["WorkingDir"] == "/w/x"
    assert config["User"] == "0:0"


def test_ports_and_volumes_are_joined() -> None:
    config = merged(
        {"ExposedPorts": {"80": {}}, "Volumes": {"/more": {}}, "HostConfig": {"PortBindings": {"53/udp": None}}}
    )
    assert set(config["ExposedPorts"]) == {"5000/tcp", "80/tcp", "53/udp"}
    assert set(config["Volumes"]) == {"/data", "/more"}


def test_the_hostname_is_the_short_id() -> None:
    assert merged({})["Hostname"] == "0123456789ab"
    assert merged({"Hostname": "web"})["Hostname"] == "web"


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="the working directory 'a' is invalid, it needs to be an absolute path"):
        merged({"WorkingDir": "a"})


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 8 << 20, "MemorySwap": 7 << 20}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"CpuQuota": 10}, "CPU cfs quota can not be less than 1ms"),
        ({"OomScoreAdj": 2000}, r"range for oom score adj is \[-1000, 1000\]"),
        ({"LogConfig": {"Type": "nope"}}, 'error looking up logging plugin nope: plugin "nope" not found'),
        ({"PidMode": "nope"}, "invalid PID mode: nope"),
        ({"PortBindings": {"x/tcp": []}}, "invalid port specification"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}, 'invalid port specification: "99999"'),
        ({"Runtime": "nope"}, "unknown or invalid runtime name: nope"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
    ],
)
def test_bad_host_configs_are_refused(host: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        limits.check(complete_host_config(host))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "auto_remove", "message"),
    [
        ({"Name": "sometimes"}, False, "unknown policy 'sometimes'"),
        ({"Name": "always", "MaximumRetryCount": 3}, False, "can only be used with 'on-failure'"),
        ({"Name": "on-failure", "MaximumRetryCount": -1}, False, "cannot be negative"),
        ({"Name": "always"}, True, "can't create 'AutoRemove' container with restart policy"),
    ],
)
def test_bad_restart_policies_are_refused(policy: Any, auto_remove: bool, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check_restart_policy(policy, auto_remove=auto_remove)


def test_defaults_survive_what_go_writes_for_nothing() -> None:
    # docker-py and the CLI send zero values for everything that was not asked.
    host = complete_host_config({"ShmSize": 0, "NetworkMode": "", "LogConfig": {"Type": "", "Config": None},
                                 "RestartPolicy": {"Name": ""}, "Binds": None, "Dns": []})  # fmt: skip
    assert host["ShmSize"] == 64 << 20
    assert host["NetworkMode"] == "bridge"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


def test_privileged_shows_every_path() -> None:
    host = complete_host_config({"Privileged": True})
    assert host["MaskedPaths"] is None
    assert host["ReadonlyPaths"] is None


def test_a_body_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="invalid JSON"):
        decode_create(b'{"Image": 3}')
    with pytest.raises(InvalidParameter, match="invalid JSON"):
        decode_update(b'{"Memory": "lots"}')


def test_unknown_keys_are_dropped() -> None:
    assert decode_create(b'{"Image": "x", "Future": 1}') == {"Image": "x", "HostConfig": {}}


def test_bodies_are_read_as_go_reads_them() -> None:
    host = b'{"MOUNTS": [{"type": "bind", "Source": null}], "Sysctls": {"a": "b"}}'
    body = b'{"image": "x", "Cmd": null, "hostconfig": ' + host + b"}"
    mounts = {"Mounts": [{"Type": "bind"}], "Sysctls": {"a": "b"}}
    assert decode_create(body) == {"Image": "x", "HostConfig": mounts}
    assert decode_create(b'{"Image": "x", "Privileged": true}')["HostConfig"] == {"Privileged": True}
    for refused, message in ((b"", "got EOF while reading request body"), (b'{"Image"', "unexpected EOF")):
        with pytest.raises(InvalidParameter, match=f"^invalid JSON: {message}$"):
            decode_create(refused)
