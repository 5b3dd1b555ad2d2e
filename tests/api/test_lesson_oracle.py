"""A lesson's ledger, checkpoints and reset with the distribution's Docker as the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.client.commands.execute import run_line
from pydock_lab.client.commands.session import Session
from pydock_lab.client.connection import Connection
from pydock_lab.client.lesson.checkpoint import restore, save
from pydock_lab.client.lesson.reset import reset
from tests.conftest import Daemon
from tests.unit.client.recording import Recording

pytestmark = [pytest.mark.root, pytest.mark.oracle]


def test_a_real_docker_is_reset_and_restored_too(
    oracle: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYDOCK_DATA_ROOT", str(tmp_path))
    connection = Connection(oracle.host, lesson="oracle")
    assert connection.ledger is not None
    oracle.docker("run", "-d", "--name", "users-own", "busybox", "sleep", "60")
    before = held(oracle)
    data, net = ("-v", "lesson-data:/data"), ("--network", "lesson-net")
    for words in (
        ("network", "create", "lesson-net"),
        ("run", "-d", "--name", "lesson-db", *net, *data, "-v", "/nameless", "busybox", "sleep", "60"),
        ("exec", "lesson-db", "sh", "-c", "echo kept > /data/file; echo own > /own"),
        ("tag", "busybox", "lesson-app:1"),
    ):
        run_line(words, Session(connection, Recording(), directory=tmp_path))
    save(connection, connection.ledger)
    for spoil in ("rm -fv lesson-db", "volume rm lesson-data", "network rm lesson-net", "rmi lesson-app:1"):
        assert oracle.docker(*spoil.split()).returncode == 0
    restore(connection, connection.ledger)
    assert oracle.docker("exec", "lesson-db", "cat", "/data/file", "/own").stdout == "kept\nown\n"
    assert oracle.docker("run", "--rm", "lesson-app:1", "true").returncode == 0
    report = reset(connection, connection.ledger)
    assert not report.kept
    assert held(oracle) == before
    assert not list(tmp_path.iterdir())
    oracle.docker("rm", "-f", "users-own")


def held(engine: Daemon) -> list[str]:
    """All that the engine holds, by name or id."""
    lists = ("ps -aq", "volume ls -q", "network ls -q", "images -a --format {{.ID}}/{{.Repository}}/{{.Tag}}")
    return [line for command in lists for line in sorted(engine.docker(*command.split()).stdout.splitlines())]
