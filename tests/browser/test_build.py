"""A build in JupyterLab: it moves while it runs, says why, and leaves a still picture."""

from __future__ import annotations

import base64
import contextlib
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import NARROW, WIDE, Lab
from tests.browser.test_views import assert_accessible
from tests.conftest import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.usefixtures("busybox")]

# Two stages wait until the test has seen them side by side.
SHOP = """%%dockerfile -t build-shop --network host --build-arg GREETING={greeting}
FROM busybox AS tools
RUN for i in 1 2 3 4 5 6 7 8 9; do echo "tool $i"; done && \\
    until wget -q -O /gate http://127.0.0.1:{port}/ 2> /dev/null; do sleep 0.1; done

FROM busybox AS pages
ARG GREETING
RUN until wget -q -O /pad http://127.0.0.1:{port}/ 2> /dev/null; do sleep 0.1; done; echo $GREETING > /index.html

FROM tools AS test
RUN false

FROM tools AS shop
LABEL org.opencontainers.image.title="A small shop"
COPY --from=pages /index.html /pad /www/
RUN ls -l /www && cat /www/index.html
CMD ["httpd", "-f", "-h", "/www"]
"""
FAILING = """%%dockerfile -t build-fails
FROM busybox
RUN echo one > /one
RUN for i in 1 2 3; do echo "line $i"; done; echo "oh <no>"; exit 3
"""


def test_a_build_moves_and_then_stands_still(open_notebook: Open, jupyter: Lab, daemon: Daemon) -> None:
    port = free_port()
    first, second = (SHOP.format(greeting=greeting, port=port) for greeting in ("hello", "goodbye"))
    notebook = open_notebook("build.ipynb", "%load_ext pydock_lab", first, second, FAILING)
    notebook.run("%load_ext")
    sent = count_updates(notebook.page)
    cell = notebook.start("GREETING=hello")
    live = cell.locator(".pd-picture-live")
    expect(live).to_contain_text("tool 3")  # what a step prints is there while it runs
    expect(live.locator("tr", has_text="RUN").filter(has_text="running")).to_have_count(2)  # beside each other
    expect(live.locator("tr", has_text="FROM tools AS shop")).to_contain_text("waiting")
    expect(live).to_contain_text("Building: 3 of 10 steps done")
    notebook.keep(cell, "build-running")

    area = cell.locator(".jp-OutputArea")
    with gate(port):
        expect(area).to_contain_text("Built build-shop:latest: 10 steps, 0 from the cache", timeout=30_000)
    expect(live).to_have_count(0)
    size, messages, span_s = sent()
    assert messages <= 10 * span_s + 10
    assert size < 60_000
    expect(area.locator("svg.pd-drawing rect")).to_have_count(4)
    expect(area.locator("svg.pd-drawing")).to_contain_text("not needed")
    expect(area.locator("tr", has_text="index.html").first).to_contain_text(re.compile(r"300kB"))
    area.locator("summary").first.click()
    expect(area.locator("details[open]").first).to_contain_text("tool 9")

    with gate(port):
        again = notebook.run("GREETING=goodbye").locator(".jp-OutputArea")
    expect(again.locator("tr", has_text="Not cached: ARG GREETING changed")).to_contain_text("hello → goodbye")
    expect(again.locator("tr", has_text="tool $i")).to_contain_text("↺ cached")

    failed = notebook.run("build-fails").locator(".jp-OutputArea")
    expect(failed.locator("tr", has_text="✕ failed")).to_contain_text("line 3\noh <no>", use_inner_text=True)
    expect(failed).to_contain_text("`container run --from-failed-step` opens a shell")
    views = {"build": area, "build-again": again, "build-failed": failed}
    notebook.desk.keep(views, widths=(WIDE, NARROW))
    assert_accessible(notebook.page, *views.values())

    kept = saved(notebook.page, jupyter, "build.ipynb")
    outputs = [output for cell in kept.cells[1:] for output in cell.outputs if output.output_type == "display_data"]
    assert [sorted(output.data) for output in outputs] == [["text/html", "text/plain"]] * 3
    assert "✕ failed" in outputs[-1].data["text/plain"]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def gate(port: int) -> Iterator[None]:
    """Answer what the stages wait for."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(300_000))

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def count_updates(page: Page) -> Any:
    """Count what the kernel sends to the page's widgets from now on: largest message, how many, in how long."""
    sizes: list[int] = []
    times: list[float] = []

    def received(payload: str | bytes) -> None:
        text = payload if isinstance(payload, str) else payload.decode(errors="replace")
        kind = re.search(r'"msg_type": ?"(\w+)"', text)  # the first is the message's own, the next its parent's
        if kind and kind[1] in ("comm_msg", "update_display_data", "display_data"):
            sizes.append(len(text))
            times.append(time.monotonic())

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameReceived", lambda frame: received(decoded(frame)))
    return lambda: (max(sizes), len(sizes), times[-1] - times[0])


def decoded(frame: dict[str, Any]) -> bytes | str:
    """The bytes of a frame: Chromium has binary ones as base64."""
    response = frame["response"]
    return base64.b64decode(response["payloadData"]) if response["opcode"] == 2 else str(response["payloadData"])


def saved(page: Page, jupyter: Lab, name: str) -> Any:
    """Save the notebook; return it as it is in its file."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    return nbformat.read(jupyter.notebooks / name, as_version=4)
