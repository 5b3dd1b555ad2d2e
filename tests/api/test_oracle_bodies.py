"""What bodies that can't be read, or ask for what can't be, are told by our engine and by Docker's."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from tests.api.conftest import Engines
from tests.api.wire import Wire
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]


def post(engine: Daemon, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and document of the answer."""
    with closing(Wire(engine)) as wire:
        wire.send("POST", f"/v1.41{path}", "Connection: close", body=body)
        status = int(wire.head()[0].split()[1])
        answer = wire.rest()
        return status, json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])


@pytest.mark.parametrize("path", ["/containers/create", "/networks/create", "/volumes/create", "/auth"])
@pytest.mark.parametrize(
    "body",
    [b'{"a":', b"{bad", b"{'a':1}", b'{"a":1,}', b'{"a" 1}', b'{"a":01}', b'{"a":[1,]}', b'{"a":tru}', b'{"a":"\\q"}'],
)
def test_malformed(engines: Engines, path: str, body: bytes) -> None:
    status, ours = post(engines.ours, path, body)
    _, theirs = post(engines.docker, path, body)
    # The status is that of later versions (20.10 says 500 to some), and so is the beginning.
    assert (status, ours["message"]) == (400, f"invalid JSON: {theirs['message']}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"Image":3}',
        b'{"Image":"busybox","Env":[1]}',
        b'{"Image":"busybox","Tty":"yes"}',
        b'{"Image":"busybox","HostConfig":{"Memory":"x"}}',
    ],
)
def test_wrong_types(engines: Engines, body: bytes) -> None:
    """The same but for the name of the type in Go, which differs between versions."""
    (status, ours), (_, theirs) = (post(engine, "/containers/create", body) for engine in engines)
    (ours_begin, _, ours_field), (begin, _, field) = (
        answer["message"].removeprefix("invalid JSON: ").partition(" struct field ") for answer in (ours, theirs)
    )
    assert (status, ours_begin) == (400, begin)
    assert ours_field.partition(" of type ")[2] == field.partition(" of type ")[2]


def test_a_working_directory_that_is_a_file(engines: Engines) -> None:
    body = json.dumps({"Image": "busybox", "WorkingDir": "/etc/passwd"}).encode()
    ours, theirs = (post(engine, "/containers/create", body) for engine in engines)
    assert ours == theirs == (500, {"message": "Cannot mkdir: /etc/passwd is not a directory"})
    for engine in engines:
        assert engine.docker("ps", "-aq").stdout == ""


def test_what_is_warned_of_or_filled_in(engines: Engines) -> None:
    host = {"Ulimits": [{"Name": "core"}], "KernelMemory": 50_000_000}
    body = json.dumps({"Image": "busybox", "HostConfig": host}).encode()
    seen = []
    for engine in engines:
        status, answer = post(engine, "/containers/create?name=filled", body)
        shown = json.loads(engine.docker("inspect", "-f", "{{json .HostConfig.Ulimits}}", "filled").stdout)
        engine.docker("rm", "filled")
        seen.append((status, answer["Warnings"], shown))
    assert seen[0] == seen[1]
    assert seen[0][1:] == (
        ["Specifying a kernel memory limit is deprecated and will be removed in a future release."],
        [{"Name": "core", "Hard": 0, "Soft": 0}],
    )
