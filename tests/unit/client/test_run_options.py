"""`run`'s flags become the API's ContainerCreate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.client.commands.arguments import parse
from pydock_lab.client.commands.container import mounts, ports
from pydock_lab.client.commands.container.options import create_body
from pydock_lab.client.commands.grammar import find


def body(line: str, directory: Path = Path("/work"), environment: dict[str, str] | None = None) -> dict[str, Any]:
    command, rest = find(["run", *shlex.split(line)])
    return create_body(parse(command, rest), directory, environment or {})


def test_the_notes_command() -> None:
    made = body("-d -p 5000:5000 -e FLASK_APP=app.py -e FLASK_DEBUG=1 -v ./src:/app tag_here")
    assert made["Image"] == "tag_here" and "Cmd" not in made
    assert made["Env"] == ["FLASK_APP=app.py", "FLASK_DEBUG=1"]
    assert made["ExposedPorts"] == {"5000/tcp": {}}
    assert made["HostConfig"]["PortBindings"] == {"5000/tcp": [{"HostIp": "", "HostPort": "5000"}]}
    assert made["HostConfig"]["Binds"] == ["/work/src:/app"]
    assert made["HostConfig"]["NetworkMode"] == "default"
    assert not made["AttachStdout"] and not made["OpenStdin"]


def test_streams_follow_interactive_and_detach() -> None:
    made = body("-it alpine sh")
    assert made["Tty"] and made["OpenStdin"] and made["StdinOnce"] and made["AttachStdin"]
    made = body("-dit alpine sh")
    assert made["OpenStdin"] and not made["StdinOnce"] and not made["AttachStdin"]


def test_environment_comes_from_files_and_the_user(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("# comment\n\n  A=1\nHOME\nUNSET\n")
    made = body("--env-file vars -e B=2 -e LANG -e MISSING alpine", tmp_path, {"HOME": "/me", "LANG": "C"})
    assert made["Env"] == ["A=1", "HOME=/me", "B=2", "LANG=C"]


def test_limits_policy_and_lists() -> None:
    host = body(
        "-m 64m --cpus 1.5 --restart on-failure:3 --cap-add NET_ADMIN --tmpfs /run:size=1m --init --pids-limit 10 x"
    )["HostConfig"]
    assert host["Memory"] == 64 << 20 and host["NanoCpus"] == 1_500_000_000 and host["PidsLimit"] == 10
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["CapAdd"] == ["NET_ADMIN"] and host["Tmpfs"] == {"/run": "size=1m"} and host["Init"]


def test_a_network_with_an_address() -> None:
    made = body("--network back --ip 10.0.0.5 --network-alias db x")
    assert made["HostConfig"]["NetworkMode"] == "back"
    endpoint = made["NetworkingConfig"]["EndpointsConfig"]["back"]
    assert endpoint == {"IPAMConfig": {"IPv4Address": "10.0.0.5"}, "Aliases": ["db"]}


REFUSED = {
    "--restart always --rm x": "conflicting options: cannot specify both --restart and --rm",
    "-d -a stdout x": "conflicting options: cannot specify both --attach and --detach",
    "-p foo x": "invalid containerPort: foo",
    "-p 1-2:3-5 x": "invalid ranges specified for container and host Ports: 3-5 and 1-2",
    "-p 300.0.0.1:1:2 x": "invalid IP address: 300.0.0.1",
    "-v foo: x": "invalid spec: foo:: empty section between colons",
    "--env-file nope x": "open nope: no such file or directory",
    "--restart :3 x": "invalid restart policy format: no policy provided before colon",
}


@pytest.mark.parametrize("line", REFUSED)
def test_conflicts_are_dockers(line: str) -> None:
    with pytest.raises(ValueError) as caught:
        body(line)
    assert str(caught.value) == REFUSED[line]


PORTS = {
    "80": {"80/tcp": [("", "")]},
    "8080:80": {"80/tcp": [("", "8080")]},
    "127.0.0.1:8080:80/udp": {"80/udp": [("127.0.0.1", "8080")]},
    "127.0.0.1::80": {"80/tcp": [("127.0.0.1", "")]},
    "[::1]:8080:80": {"80/tcp": [("::1", "8080")]},
    "8000-8001:80-81": {"80/tcp": [("", "8000")], "81/tcp": [("", "8001")]},
    "8000-8010:80": {"80/tcp": [("", "8000-8010")]},
}


@pytest.mark.parametrize("spec", PORTS)
def test_ports(spec: str) -> None:
    found = ports.publish([spec])
    assert {key: [(one["HostIp"], one["HostPort"]) for one in all_] for key, all_ in found.items()} == PORTS[spec]


def test_mounts() -> None:
    assert mounts.mount("type=bind,src=/a,dst=/b,readonly") == {
        "Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True,
    }  # fmt: skip
    assert mounts.mount("source=v,target=/data,volume-opt=type=nfs,volume-nocopy") == {
        "Type": "volume", "Source": "v", "Target": "/data",
        "VolumeOptions": {"DriverConfig": {"Options": {"type": "nfs"}}, "NoCopy": True},
    }  # fmt: skip
    assert mounts.mount("type=tmpfs,target=/run,tmpfs-size=1m,tmpfs-mode=1770")["TmpfsOptions"] == {
        "SizeBytes": 1 << 20, "Mode": 0o1770,
    }  # fmt: skip
    for spec in ("type=bind", "foo=bar", "type=volume,source=x", "type=tmpfs,target=/x,volume-nocopy"):
        with pytest.raises(ValueError):
            mounts.mount(spec)
