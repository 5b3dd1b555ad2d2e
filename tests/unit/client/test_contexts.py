"""Which engine a command talks to: flags, environment, contexts, TLS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pydock_lab.client.commands.execute import run_line
from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.connection import Connection
from pydock_lab.client.global_flags import read_global_flags
from pydock_lab.client.wire import Endpoint, TLSFiles
from tests.unit.client.recording import Recording


def docker(line: str, environment: dict[str, str], directory: Path) -> tuple[str, str]:
    output = Recording()
    session = Session(Connection(environment=environment), output, environment=environment, directory=directory)
    result = run_line(line.split(), session)
    return output.streams["stdout"].decode() + result.text, output.streams["stderr"].decode()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(tmp_path / "config")}


def test_a_context_is_made_used_exported_imported_and_removed(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("CA")
    said = docker(f"context create far --docker host=tcp://far:1234,ca={tmp_path}/ca", environment, tmp_path)
    assert said == ("far\n", 'Successfully created context "far"\n')
    assert docker("context show", environment, tmp_path)[0] == "default"
    docker("context use far", environment, tmp_path)
    assert json.loads((tmp_path / "config/config.json").read_text()) == {"currentContext": "far"}
    endpoint = Connection(environment=environment).endpoint
    assert endpoint.address == "tcp://far:1234"
    assert endpoint.tls is not None and Path(endpoint.tls.ca).read_text() == "CA" and endpoint.tls.verify
    assert docker("context ls", environment, tmp_path)[0].splitlines()[2].startswith("far *")
    docker("context export far out.tar", environment, tmp_path)
    docker("context import near out.tar", environment, tmp_path)
    near = Connection(context="near", environment=environment).endpoint
    assert near.address == endpoint.address and near.tls is not None and Path(near.tls.ca).read_text() == "CA"
    with pytest.raises(CommandError, match='context "far" is in use, set -f flag to force remove'):
        docker("context rm far", environment, tmp_path)
    docker("context rm -f far near", environment, tmp_path)
    assert docker("context ls -q", environment, tmp_path)[0] == "default"


def test_what_names_the_engine_first(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        docker(f"context create {name} --docker host=unix:///{name}", environment, tmp_path)
    docker("context use one", environment, tmp_path)

    def address(host: str | None = None, context: str | None = None, **more: str) -> str:
        return Connection(host, context=context, environment=environment | more).address

    assert address() == "unix:///one"
    assert address(DOCKER_CONTEXT="two") == "unix:///two"
    assert address(DOCKER_CONTEXT="two", DOCKER_HOST="unix:///env") == "unix:///env"
    assert address(context="two", DOCKER_HOST="unix:///env") == "unix:///two"
    assert address("unix:///flag", DOCKER_HOST="unix:///env") == "unix:///flag"


def test_an_unknown_context_is_said(environment: dict[str, str]) -> None:
    with pytest.raises(CommandError, match='context "nope": context not found'):
        _ = Connection(context="nope", environment=environment).endpoint


def test_tls_from_the_environment(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    more = {"DOCKER_HOST": "tcp://far:1", "DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    wanted = TLSFiles(str(tmp_path / "ca.pem"), "", "", True)
    assert Connection(environment=environment | more).endpoint == Endpoint("tcp://far:1", wanted)
    assert Connection(environment=environment | more | {"DOCKER_TLS_VERIFY": ""}).endpoint.tls is None


def test_flags_before_the_command() -> None:
    flags, rest = read_global_flags(["-H", "unix:///x", "--tls", "--config=/c", "-D", "ps", "-a"])
    assert flags.given == {"host": "unix:///x", "tls": "true", "config": "/c", "debug": "true"}
    assert rest == ["ps", "-a"]
    assert read_global_flags(["-cfar", "ps"])[0].given == {"context": "far"}
    with pytest.raises(UsageError, match="flag needs an argument: 'H' in -H"):
        read_global_flags(["-H"])
    with pytest.raises(CommandError, match="conflicting options"):
        read_global_flags(["-H", "x", "--context", "y"])[0].connection()


@pytest.mark.parametrize("noun", ["plugin", "buildx", "trust"])
def test_what_one_host_has_no_use_for_is_refused(environment: dict[str, str], tmp_path: Path, noun: str) -> None:
    with pytest.raises(CommandError) as caught:
        docker(f"{noun} ls", environment, tmp_path)
    assert caught.value.hint
