"""The first lesson as a learner sees it: JupyterLab in Chromium, in the light and the dark theme.

tools/pictures.py takes the documentation's pictures from those that are kept here.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import Notebook

LESSON = "05-dockerfile-to-running-app.ipynb"
OF_THE_DOCS = 900
"""Height of a window that fits a page of the documentation, in pixels."""


@pytest.mark.browser
@pytest.mark.root
def test_the_lesson_in_jupyterlab(open_notebook: Open) -> None:
    notebook = open_notebook(LESSON)
    notebook.run_all()
    assert_cells_say(
        notebook,
        {
            "def fetch(": "nobody yet",
            "name=Grace": "2 in the guest book: Ada, Grace",
            "-e FLASK_APP=app.py FLASK_DEBUG=1 notes-app": "must be lowercase",
            "notes-web-2": "3 in the guest book: Ada, Grace, Linus",
            "%check nothing named notes-": "All is as it should be",
        },
    )
    expect(notebook.panel).not_to_contain_text("Traceback")
    expect(notebook.desk.page.locator(".Toastify__toast")).to_have_count(0)  # nothing asks a newcomer about news
    expect(notebook.panel.locator("mjx-container")).to_have_count(0)  # $FLASK_APP$ in a check is no formula
    build = look_at_the_build(notebook)
    look_at_the_layers(notebook, build)
    volume = look_at_the_volume(notebook)
    mistake = notebook.cell("FLASK_DEBUG=1 notes-app")
    notebook.desk.keep({"lesson05-mistake": mistake, "lesson05-volume-outlives": volume})
    notebook.run("%docker rm -f $(docker ps")


def assert_cells_say(notebook: Notebook, said: dict[str, str]) -> None:
    for source, text in said.items():
        expect(notebook.cell(source).locator(".jp-OutputArea")).to_contain_text(text)


def look_at_the_build(notebook: Notebook) -> Locator:
    build = notebook.run("%%dockerfile -t notes-app:1.0")
    expect(build.locator(".pd-build .pd-title")).to_contain_text("Built notes-app:1.0")
    expect(build.locator(".pd-table tbody tr")).to_have_count(9)
    return build


def look_at_the_layers(notebook: Notebook, build: Locator) -> None:
    layers = notebook.run("%lab layers").locator(".pd-layers")
    expect(layers.get_by_role("option")).to_have_count(9)
    layers.get_by_role("option", name="pip install").click()
    expect(layers.get_by_role("slider")).to_have_value("4")
    notebook.desk.keep({"lesson05-build": build, "lesson05-layers": layers}, height=OF_THE_DOCS)
    layers.get_by_role("searchbox").fill("flask/app.py")
    expect(layers.locator(".pd-files-list li")).to_have_count(1)
    expect(layers.locator(".pd-files-list li")).to_contain_text("added")
    layers.get_by_role("option", selected=True).press("ArrowUp")
    expect(layers.get_by_role("slider")).to_have_value("3")
    expect(layers.get_by_role("tree")).to_contain_text("requirements.txt")


def look_at_the_volume(notebook: Notebook) -> Locator:
    """The view follows what happens after it was opened."""
    for source in ("--name notes-web -p", "def fetch(", "name=Grace", "--name notes-reader"):
        notebook.run(source)
    volume = notebook.run("%lab volume notes-data").locator(".pd-volume")
    expect(volume.locator("article")).to_have_count(3)
    expect(volume).to_contain_text("All 3 see the same file")
    expect(volume).not_to_contain_text("Linus")
    notebook.run("echo Linus")
    expect(volume.locator("article", has_text="Linus")).to_have_count(3)
    volume.locator("li").first.hover()
    expect(volume.locator("li.pd-same")).to_have_count(3)
    notebook.keep(volume, "lesson05-volume", height=OF_THE_DOCS)
    notebook.run("%container rm -f notes-web")
    expect(volume.locator("article", has_text="notes-web")).to_contain_text("removed")
    expect(volume).to_contain_text("It has outlived 1 container")
    return volume
