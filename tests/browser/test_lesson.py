"""The first lesson as a learner sees it: JupyterLab in Chromium, in the light and the dark theme."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, expect, sync_playwright

from tests.browser.jupyter import Notebook, jupyterlab, set_theme
from tests.conftest import Daemon

ROOT = Path(__file__).parent.parent.parent
ARTIFACTS = ROOT / ".artifacts"
LESSON = "05-dockerfile-to-running-app.ipynb"
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("machine: no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(params=["Light", "Dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def notebook(theme: str, browser: Browser, daemon: Daemon, tmp_path: Path) -> Iterator[Notebook]:
    """The lesson in JupyterLab, in one theme; no script of the page may fail."""
    notebooks = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    forget_outputs(notebooks / LESSON)
    set_theme(tmp_path, f"JupyterLab {theme}")
    with jupyterlab(notebooks, tmp_path, {"DOCKER_HOST": daemon.host}) as lab:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield Notebook(page, lab, LESSON)
        page.close()
        assert not errors


def forget_outputs(path: Path) -> None:
    """Take the committed outputs away: what the page shows then is its own."""
    document = nbformat.read(path, as_version=4)
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(document, path)


def keep(notebook: Notebook, view: Locator, name: str) -> None:
    """Keep a picture of the page with a view at its top; .artifacts is for people to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    view.evaluate("element => element.scrollIntoView({block: 'center'})")
    notebook.page.wait_for_timeout(400)  # transitions
    notebook.page.screenshot(path=ARTIFACTS / f"lesson05-{name}.png")


@pytest.mark.browser
@pytest.mark.root
def test_the_lesson_in_jupyterlab(notebook: Notebook, theme: str) -> None:
    notebook.run_all()
    assert_cells_say(
        notebook,
        {
            "def fetch(": "nobody yet",
            "name=Grace": "2 in the guest book: Ada, Grace",
            "-e FLASK_APP=app.py FLASK_DEBUG=1 notes-app": "must be lowercase",
            "notes-web-2": "3 in the guest book: Ada, Grace, Linus",
            "left = %container ls": "Nothing of this lesson",
        },
    )
    expect(notebook.panel).not_to_contain_text("Traceback")
    keep(notebook, notebook.cell("FLASK_DEBUG=1 notes-app"), f"mistake-{theme}")
    look_at_the_build(notebook, theme)
    look_at_the_layers(notebook, theme)
    look_at_the_volume(notebook, theme)
    notebook.run("%docker rm -f $(docker ps")


def assert_cells_say(notebook: Notebook, said: dict[str, str]) -> None:
    for source, text in said.items():
        expect(notebook.cell(source).locator(".jp-OutputArea")).to_contain_text(text)


def look_at_the_build(notebook: Notebook, theme: str) -> None:
    build = notebook.run("%%dockerfile -t notes-app:1.0")
    expect(build.locator(".pd-table caption")).to_contain_text("Built notes-app:1.0")
    expect(build.locator(".pd-table tbody tr")).to_have_count(9)
    keep(notebook, build, f"build-{theme}")


def look_at_the_layers(notebook: Notebook, theme: str) -> None:
    layers = notebook.run("%lab layers").locator(".pd-layers")
    expect(layers.get_by_role("option")).to_have_count(9)
    layers.get_by_role("option", name="pip install").click()
    expect(layers.get_by_role("slider")).to_have_value("4")
    keep(notebook, layers, f"layers-{theme}")
    layers.get_by_role("searchbox").fill("flask/app.py")
    expect(layers.locator(".pd-files-list li")).to_have_count(1)
    expect(layers.locator(".pd-files-list li")).to_contain_text("added")
    layers.get_by_role("option", selected=True).press("ArrowUp")
    expect(layers.get_by_role("slider")).to_have_value("3")
    expect(layers.locator(".pd-files-list")).to_contain_text("/app/requirements.txt")


def look_at_the_volume(notebook: Notebook, theme: str) -> None:
    """The view follows what happens after it was opened."""
    for source in ("--name notes-web -p", "def fetch(", "name=Grace", "--name notes-reader"):
        notebook.run(source)
    volume = notebook.run("%lab volume notes-data").locator(".pd-volume")
    expect(volume.locator("article")).to_have_count(3)
    expect(volume).to_contain_text("All 3 see the same 1 file")
    expect(volume).not_to_contain_text("Linus")
    notebook.run("echo Linus")
    expect(volume.locator("article", has_text="Linus")).to_have_count(3)
    volume.locator("li").first.hover()
    expect(volume.locator("li.pd-same")).to_have_count(3)
    keep(notebook, volume, f"volume-{theme}")
    notebook.run("%container rm -f notes-web")
    expect(volume.locator("article", has_text="notes-web")).to_contain_text("removed")
    expect(volume).to_contain_text("It has outlived 1 container")
    keep(notebook, volume, f"volume-outlives-{theme}")
