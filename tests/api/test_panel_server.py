"""What the JupyterLab panel asks of Jupyter's server: a real server, below a base path, at a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.test_cli_daemon import daemons
from tests.browser.jupyter import Lab, jupyterlab
from tests.conftest import Daemon, scratch_daemon, start_daemon

pytestmark = pytest.mark.root

TIMEOUT_S = 60
WEB = "mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module")
def engine() -> Iterator[Daemon]:
    with scratch_daemon() as running:
        assert running.docker("pull", "busybox").returncode == 0
        yield running


@pytest.fixture(scope="module")
def lab(engine: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scratch = tmp_path_factory.mktemp("panel")
    with jupyterlab(scratch, scratch, {"DOCKER_HOST": engine.host}, base="/user/ada") as running:
        yield running


class Page:
    """What a page of JupyterLab asks."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self.url = f"{lab.url}/pydock-lab"
        self.session = session

    async def post(self, route: str, **document: str) -> tuple[int, dict[str, Any]]:
        async with self.session.post(f"{self.url}/{route}", json=document) as answer:
            return answer.status, await answer.json()

    def socket(self, route: str) -> Any:
        return self.session.ws_connect(f"{self.url}/{route}", max_msg_size=0)


@pytest.fixture
async def page(lab: Lab) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession(headers={"Authorization": f"token {lab.token}"}) as session:
        yield Page(lab, session)


async def heard(socket: aiohttp.ClientWebSocketResponse, **wanted: str) -> dict[str, Any]:
    """Wait for a document in which containers have these states, or which is of this `type`."""
    while True:
        document = await socket.receive_json(timeout=TIMEOUT_S)
        is_ = {row["name"]: row["state"] for row in document.get("containers", [])} | {"type": document["type"]}
        if all(is_.get(name.replace("_", "-"), "gone") == state for name, state in wanted.items()):
            return document


def run(engine: Daemon, name: str, *words: str) -> None:
    done = engine.docker("run", "-d", "--name", name, *words)
    assert done.returncode == 0, done.stderr


async def test_only_who_jupyter_lets_in(lab: Lab, page: Page) -> None:
    stop = {"noun": "container", "act": "stop", "name": "web"}
    async with aiohttp.ClientSession() as stranger:
        async with stranger.post(f"{page.url}/actions", json=stop) as answer:
            assert answer.status == 403
        for route in ("engine", "logs?name=web"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await stranger.ws_connect(f"{page.url}/{route}")
    async with aiohttp.ClientSession() as browser:  # lets itself in by a cookie, as pages do
        async with browser.get(f"{lab.url}/lab?token={lab.token}") as answer:
            assert answer.status == 200
        async with browser.post(f"{page.url}/actions", json=stop) as answer:  # another site's form can do this much
            assert answer.status == 403
            assert "_xsrf" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await browser.ws_connect(f"{page.url}/engine", origin="http://elsewhere.example")


@pytest.mark.parametrize(
    "words",
    [
        ("container", "exec", "web"),
        ("system", "prune", "x"),
        ("container", "stop", "--help"),
        ("image", "remove", "-f"),
    ],
)
async def test_nothing_but_the_listed_commands(page: Page, words: tuple[str, str, str]) -> None:
    status, answer = await page.post("actions", **dict(zip(("noun", "act", "name"), words, strict=True)))
    assert status == 400
    assert "no action" in answer["message"] or "invalid name" in answer["message"]


async def test_an_action_is_the_command_it_says(page: Page, engine: Daemon) -> None:
    run(engine, "act-web", "--stop-timeout", "0", "busybox", "sleep", "600")
    async with page.socket("engine") as socket:
        document = await heard(socket, act_web="running")
        row = next(row for row in document["containers"] if row["name"] == "act-web")
        for offered, then in (("stop", "exited"), ("start", "running"), ("kill", "gone")):
            action = next(action for action in row["actions"] if action["act"] == offered)
            asked = {key: action[key] for key in ("noun", "act", "name")}
            status, answer = await page.post("actions", **asked)
            assert (status, answer["command"]) == (200, action["command"])
            assert answer["output"] == "act-web"
            document = await heard(socket, act_web=then)
            row = next((row for row in document["containers"] if row["name"] == "act-web"), None)
    status, answer = await page.post("actions", noun="container", act="stop", name="act-web")
    assert (status, answer["command"]) == (400, "docker container stop act-web")
    assert answer["message"] == engine.docker("container", "stop", "act-web").stderr.strip()


async def test_what_is_seen_follows_the_engine_and_no_more(page: Page, engine: Daemon) -> None:
    async with page.socket("engine") as socket:
        await heard(socket, type="engine")
        run(engine, "seen", "-v", "seen-data:/data", "busybox", "sleep", "600")
        document = await heard(socket, seen="running")
        assert {"name": "seen-data", "detail": "used by seen"}.items() <= document["volumes"][0].items()
        assert engine.docker("exec", "seen", "true").returncode == 0  # changes nothing that is shown
        assert engine.docker("pause", "seen").returncode == 0
        await heard(socket, seen="paused")
        assert engine.docker("rm", "-f", "seen").returncode == 0
        await heard(socket, seen="gone")
    engine.docker("volume", "rm", "seen-data")


async def test_a_published_port_is_below_the_base_path(lab: Lab, page: Page, engine: Daemon) -> None:
    published = ("-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp", "--expose", "81")
    run(engine, "port-web", *published, "busybox", "sh", "-c", WEB)
    async with page.socket("engine") as socket:
        document = await heard(socket, port_web="running")
    ports = next(row["ports"] for row in document["containers"] if row["name"] == "port-web")
    assert [bool(port["proxy"]) for port in ports] == [False, True, False]  # 53/udp, 80, 81
    assert [port["text"].rpartition(" ")[2] for port in ports] == ["53/udp", "80", "81"]
    for _ in range(100):  # the container runs before its server listens
        async with page.session.get(f"{lab.url}/{ports[1]['proxy']}") as answer:
            served = await answer.text()
        if answer.status == 200:
            break
        await asyncio.sleep(0.1)
    assert served == "served\n"
    engine.docker("rm", "-f", "port-web")


async def test_a_followed_log_is_bounded(page: Page, engine: Daemon) -> None:
    flood = "echo first; sleep 1; yes 0123456789abcdef | head -c 6000000; echo last"
    run(engine, "log-flood", "busybox", "sh", "-c", flood)
    received, skipped = "", 0
    async with page.socket("logs?name=log-flood") as socket:
        while True:
            piece = await socket.receive_json(timeout=TIMEOUT_S)
            assert len(piece["text"]) <= 300_000
            received, skipped = received + piece["text"], skipped + piece["skipped"]
            if piece["type"] == "end":
                break
    assert received.startswith("first\n")
    assert received.endswith("last\n")
    assert len(received) + skipped == 6_000_000 + len("first\nlast\n")
    run(engine, "log-tty", "-t", "busybox", "echo", "grüße")
    async with page.socket("logs?name=log-tty") as socket:
        assert (await socket.receive_json(timeout=TIMEOUT_S))["text"] == "grüße\r\n"
    async with page.socket("logs?name=nobody") as socket:
        assert "No such container: nobody" in (await socket.receive_json(timeout=TIMEOUT_S))["message"]
    engine.docker("rm", "-f", "log-flood", "log-tty")


async def test_a_terminal_needs_a_container_that_runs(page: Page, engine: Daemon) -> None:
    assert engine.docker("create", "--name", "term-off", "busybox").returncode == 0
    status, answer = await page.post("terminals", name="term-off")
    assert (status, answer["hint"]) == (400, "docker container start term-off")
    assert "No such container: nobody" in (await page.post("terminals", name="nobody"))[1]["message"]
    engine.docker("rm", "term-off")


async def test_an_engine_that_ends_is_missed_and_found_again(page: Page, engine: Daemon) -> None:
    async with page.socket("engine") as socket:
        await heard(socket, type="engine")
        engine.stop()
        assert not (await heard(socket, type="lost"))["is_own"]  # it was named: somebody else starts it
        again = start_daemon(engine.root)
        try:
            assert (await heard(socket, type="engine"))["engine"]["name"] == "pydock_lab"
        finally:
            engine.process = again.process  # for the fixture to stop


async def test_opening_the_panel_starts_the_users_engine(tmp_path: Path) -> None:
    roots = {"PYDOCK_DATA_ROOT": str(tmp_path / "data"), "PYDOCK_EXEC_ROOT": str(tmp_path / "exec"), "DOCKER_HOST": ""}
    with jupyterlab(tmp_path, tmp_path, roots | {"DOCKER_CONFIG": str(tmp_path)}) as lab:
        assert not (tmp_path / "exec").exists()
        async with aiohttp.ClientSession(headers={"Authorization": f"token {lab.token}"}) as session:
            async with Page(lab, session).socket("engine") as socket:
                document = await heard(socket, type="engine")
                assert document["engine"]["address"] == f"unix://{tmp_path}/exec/docker.sock"
                await stop_users_engine(tmp_path)
                assert (await heard(socket, type="lost"))["is_own"]
                await socket.send_str("start")
                await heard(socket, type="engine")
        await stop_users_engine(tmp_path)


async def stop_users_engine(root: Path) -> None:
    """End the daemon whose roots are these, and wait until it is gone."""
    for pid in daemons(root):
        with contextlib.suppress(ProcessLookupError):  # what belonged to its start has ended by now
            os.kill(pid, signal.SIGTERM)
    while daemons(root):
        await asyncio.sleep(0.05)
