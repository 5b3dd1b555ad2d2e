"""The first lesson as a learner sees it: JupyterLab in Chromium, in the light and the dark theme."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

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


@pytest.mark.browser
@pytest.mark.root
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_lesson_in_jupyterlab(theme: str, browser: Browser, daemon: Daemon, tmp_path: Path) -> None:
    notebooks = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    ARTIFACTS.mkdir(exist_ok=True)
    set_theme(tmp_path, f"JupyterLab {theme}")
    with jupyterlab(notebooks, tmp_path, {"DOCKER_HOST": daemon.host}) as lab:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        notebook = Notebook(page, lab, LESSON)
        notebook.run_all()

        def keep(name: str) -> None:
            page.wait_for_timeout(300)
            page.screenshot(path=ARTIFACTS / f"lesson05-{theme.lower()}-{name}.png")

        build = notebook.cell("%%dockerfile -t notes-app:1.0")
        expect(build.locator(".pd-table caption")).to_contain_text("Built notes-app:1.0")
        expect(build.locator(".pd-table tbody tr")).to_have_count(9)
        keep("build")

        layers = notebook.cell("%lab layers").locator(".pd-layers")
        expect(layers.get_by_role("option")).to_have_count(9)
        layers.get_by_role("option", name="pip install").click()
        expect(layers.get_by_role("slider")).to_have_value("4")
        layers.get_by_role("searchbox").fill("flask/app.py")
        expect(layers.locator(".pd-files-list li")).to_have_count(1)
        expect(layers.locator(".pd-files-list li")).to_contain_text("added")
        keep("layers")
        page.keyboard.press("Tab")
        layers.get_by_role("option", selected=True).press("ArrowUp")
        expect(layers.get_by_role("slider")).to_have_value("3")

        mistake = notebook.cell("-e FLASK_APP=app.py FLASK_DEBUG=1 notes-app:1.0")
        expect(mistake.locator(".jp-OutputArea-output")).to_contain_text("must be lowercase")
        expect(mistake.locator(".jp-OutputArea-output")).not_to_contain_text("Traceback")
        keep("mistake")

        expect(notebook.cell("def fetch(").locator(".jp-OutputArea")).to_contain_text("nobody yet")
        volume = notebook.cell("-v notes-data:/data:ro").locator("xpath=following::*[contains(@class,'pd-volume')][1]")
        volume.scroll_into_view_if_needed()
        keep("volume")
        expect(volume).to_contain_text("removed")

        last = notebook.cell("left = %container ls")
        expect(last.locator(".jp-OutputArea")).to_contain_text("Nothing of this lesson")
        assert not errors
        page.close()
