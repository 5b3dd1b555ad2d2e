"""One JupyterLab for all browser tests, one page of it for each module; each test opens a notebook of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.chromium import write_launcher
from tests.browser.jupyter import Desk, Lab, Notebook, jupyterlab
from tests.conftest import Daemon, scratch_daemon

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ROOT = Path(__file__).parent.parent.parent
expect.set_options(timeout=60_000)  # how long something is waited for, not how fast it has to be

Open = Callable[..., Notebook]


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """An engine for the browser alone: in the one that other tests share, a tag may mean anything."""
    with scratch_daemon() as running:
        yield running


@pytest.fixture(scope="session")
def busybox(daemon: Daemon) -> str:
    """The catalogue's busybox, in this engine."""
    done = daemon.docker("pull", "busybox")
    assert done.returncode == 0, done.stderr
    return "busybox"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, for one module only: Playwright keeps an event loop in this thread, and asynchronous tests need it."""
    if CHROMIUM is None:
        pytest.skip("machine: no Chromium is installed")
    launcher = write_launcher(tmp_path_factory.mktemp("chromium") / "chromium", CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=launcher, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyter(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab at a copy of the lessons, its kernels talking to the tests' daemon."""
    scratch = tmp_path_factory.mktemp("jupyter")
    notebooks = scratch / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    with jupyterlab(notebooks, scratch, {"DOCKER_HOST": daemon.host}) as lab:
        yield lab


@pytest.fixture(scope="module")
def desk(browser: Browser, jupyter: Lab) -> Desk:
    """One page for the tests of a module: loading JupyterLab costs more than most of them."""
    return Desk(browser.new_page(), jupyter)


@pytest.fixture
def open_notebook(browser: Browser, desk: Desk) -> Iterator[Open]:
    """Open a notebook by name, or one made of the given cells; no script of the page may fail.

    With `beside=True` it is opened in a page of its own, as by somebody else.
    """
    opened: list[Notebook] = []

    def open_(name: str, *cells: str, beside: bool = False) -> Notebook:
        write_notebook(desk.lab.notebooks / name, *cells)
        at = Desk(browser.new_page(), desk.lab) if beside else desk
        opened.append(at.open(name))
        return opened[-1]

    yield open_
    for notebook in opened:
        notebook.close()
        errors, notebook.desk.errors = notebook.desk.errors, []
        assert not errors


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of the given cells; of one that is there, take away what its cells have said."""
    if cells:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # else JupyterLab asks
        code = [nbformat.v4.new_code_cell(cell) for cell in cells]
        document = nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel})
    else:
        document = nbformat.read(path, as_version=4)
        for cell in document.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    nbformat.write(document, path)
