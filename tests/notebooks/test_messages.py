"""What a container's output costs the page and the file: messages and bytes, counted at a real kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from pydock_lab.notebook.screen import LIMIT
from tests.conftest import Daemon

pytestmark = pytest.mark.root

TIMEOUT_S = 120


@dataclass
class Told:
    """What a kernel sent while one cell ran: the text of its streams, when each message came."""

    text: str = ""
    status: str = ""
    at: list[float] = field(default_factory=list)

    @property
    def busiest_second(self) -> int:
        """How many messages came in the second with the most of them."""
        return max(sum(begin <= each < begin + 1 for each in self.at) for begin in self.at)


@pytest.fixture
def kernel(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingKernelClient]:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    manager, client = start_new_kernel()
    assert run(client, "%load_ext pydock_lab").status == "ok"
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str) -> Told:
    told = Told()

    def hear(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        if message["msg_type"] in ("stream", "display_data", "update_display_data"):
            told.at.append(time.monotonic())
            told.text += str(content.get("text", ""))

    told.status = client.execute_interactive(code, timeout=TIMEOUT_S, output_hook=hear)["content"]["status"]
    return told


def test_a_hundred_megabytes_fill_neither_page_nor_file(kernel: BlockingKernelClient, busybox: str) -> None:
    told = run(kernel, f"%docker run --rm {busybox} sh -c 'yes 0123456789 | head -c 100000000; echo the end'")
    assert told.status == "ok"
    assert LIMIT < len(told.text) < LIMIT + 3000
    assert "characters are left out here" in told.text
    assert told.text.rstrip().endswith("the end")
    assert told.busiest_second <= 11  # ten, and the last one that ends the command


def test_a_container_that_prints_all_the_time_sends_ten_messages_a_second(
    kernel: BlockingKernelClient, busybox: str
) -> None:
    ticks = "i=0; while [ $i -lt 300 ]; do echo $i; usleep 10000; i=$((i + 1)); done"
    told = run(kernel, f"%docker run --rm {busybox} sh -c '{ticks}'")
    assert told.status == "ok"
    assert told.text.split() == [str(number) for number in range(300)]
    assert told.busiest_second <= 11
