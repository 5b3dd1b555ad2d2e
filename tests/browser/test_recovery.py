"""What open views do when something goes away under them: they recover, or say that they can't."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import Notebook
from tests.conftest import Daemon, Footprint, start_daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

KILLED = "--stop-signal=KILL"  # an engine that ends gives its containers ten seconds
SHELL = f"%container run -it --rm {KILLED} --name rec-shell busybox sh"
PROCESSES = "%lab processes"
VOLUME = "%lab volume rec-data"


@pytest.fixture
def root() -> Iterator[Path]:
    """Roots for an engine that this test starts and stops itself."""
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    yield root
    assert Footprint.of(root) == Footprint()
    shutil.rmtree(root, ignore_errors=True)


def connected(open_notebook: Open, name: str, daemon: Daemon, *cells: str, beside: bool = False) -> Notebook:
    """A notebook whose kernel talks to one engine."""
    host = f"import os; os.environ['DOCKER_HOST'] = '{daemon.host}'"
    notebook = open_notebook(name, "%load_ext pydock_lab", host, *cells, beside=beside)
    notebook.run("%load_ext")
    notebook.run("import os")
    return notebook


def live(notebook: Notebook, source: str) -> Locator:
    return notebook.cell(source).locator(".pd-live")


def test_engine_page_and_kernel_go_away_under_open_views(open_notebook: Open, root: Path) -> None:
    daemon = start_daemon(root)
    try:
        first = connected(open_notebook, "first.ipynb", daemon, PROCESSES, VOLUME, SHELL)
        sleep = ("busybox", "sleep", "600")
        assert daemon.docker("run", "-d", KILLED, "--name", "rec-one", "-v", "rec-data:/d", *sleep).returncode == 0
        for source in (PROCESSES, VOLUME, SHELL):
            first.run(source)

        # Two notebooks on one engine: what one starts, both show.
        start = f"%docker run -d {KILLED} --name rec-two busybox sleep 600"
        second = connected(open_notebook, "second.ipynb", daemon, PROCESSES, start, beside=True)
        second.run(PROCESSES)
        second.run("rec-two")
        for notebook in (first, second):
            expect(notebook.cell(PROCESSES).locator(".pd-picture-live")).to_contain_text("rec-two")

        # The engine stops: the views keep their last picture and say so. It comes back: they follow again.
        assert daemon.stop() == 0
        for source in (PROCESSES, VOLUME):
            expect(live(first, source)).to_contain_text("not live: Cannot connect to the Docker daemon")
        expect(first.cell(PROCESSES).locator(".pd-picture-live")).to_contain_text("rec-one")
        expect(first.cell(VOLUME).locator(".pd-volume")).to_contain_text("rec-one")
        expect(first.cell(SHELL).locator(".pd-terminal-state")).to_have_text("○ ended")
        first.keep(first.cell(PROCESSES), "recovery-engine-gone")
        daemon = start_daemon(root)
        for source in (PROCESSES, VOLUME):
            expect(live(first, source)).to_have_text("● live")
        assert daemon.docker("start", "rec-one").returncode == 0
        expect(first.cell(PROCESSES).locator(".pd-picture-live")).to_contain_text("rec-one")

        # The page is loaded again: the kernel has kept the views and the shell.
        assert "rec-shell" not in daemon.docker("ps", "-a").stdout
        first.run(SHELL)
        terminal = first.cell(SHELL).locator(".pd-terminal")
        terminal.locator("textarea").focus()
        first.page.keyboard.type("echo kept-$((40 + 2))\n")
        expect(terminal.locator(".xterm-rows")).to_contain_text("kept-42")
        first.reload()
        expect(first.cell(SHELL).locator(".xterm-rows")).to_contain_text("kept-42")
        expect(live(first, PROCESSES)).to_have_text("● live")
        assert daemon.docker("run", "-d", KILLED, "--name", "rec-late", *sleep).returncode == 0
        expect(first.cell(PROCESSES).locator(".pd-picture-live")).to_contain_text("rec-late")

        # The kernel is restarted: the views say at once what to do, and run again they are live.
        first.restart_kernel()
        for source in (PROCESSES, VOLUME):
            expect(live(first, source)).to_have_text("○ not live: the kernel was restarted: run the cell again")
        expect(first.cell(SHELL).locator(".pd-terminal-state")).to_have_text("○ not live: the kernel was restarted")
        for source in ("import os", "%load_ext", VOLUME, PROCESSES):  # each gets another number than it had
            first.run(source)
        expect(live(first, PROCESSES)).to_have_text("● live")
        expect(first.cell(PROCESSES).locator(".pd-picture-live")).to_contain_text("rec-late")
    finally:
        daemon.stop()
