"""A pull and a push in JupyterLab: bars that move, a picture that stays, the way of every request."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.jupyter import Lab
from tests.browser.test_build import saved
from tests.browser.test_views import assert_accessible
from tests.conftest import Daemon
from tests.notebooks.test_transfers import pushed
from tests.throttle import throttled

__all__ = ["pushed"]

pytestmark = [pytest.mark.browser, pytest.mark.root]


def test_bars_move_and_a_picture_stays(open_notebook: Open, jupyter: Lab, daemon: Daemon, pushed: str) -> None:
    address, _, image = pushed.partition("/")
    with throttled(address, bytes_per_s=200_000) as slow:
        pull, push = f"%docker pull {slow}/{image}", f"%lab requests docker push {slow}/{image}"
        notebook = open_notebook("transfers.ipynb", "%load_ext pydock_lab", pull, push)
        notebook.run("%load_ext")
        cell = notebook.cell("docker pull")
        cell.locator(".cm-content").click()
        notebook.page.keyboard.press("Shift+Enter")
        area = cell.locator(".jp-OutputArea")
        moving = area.locator("tr", has_text="Downloading").filter(has_text=" of 1MB")
        expect(moving).to_have_count(3)
        expect(moving.first.locator(".pd-bar")).to_be_visible()
        notebook.keep(area, "pull-running")
        expect(area).to_contain_text("Status: Downloaded newer image", timeout=30_000)
        expect(area.locator("tbody tr", has_text="Pull complete")).to_have_count(3)
        notebook.keep(area, "pull", widths=(1280, 600))
        assert_accessible(notebook.page, area)

        area = notebook.run("docker push").locator(".jp-OutputArea")
        expect(area).to_contain_text("PUT /v2/transfers/many/manifests/1")
        notebook.keep(area, "requests-push", widths=(1280, 600))
        assert_accessible(notebook.page, area)
        assert daemon.docker("rmi", f"{slow}/{image}").returncode == 0
    kept = saved(notebook.page, jupyter, "transfers.ipynb")
    assert isinstance(kept, nbformat.NotebookNode)
    [output] = [each for each in kept.cells[1].outputs if each.output_type == "display_data"]
    assert sorted(output.data) == ["text/html", "text/plain"]
    assert output.data["text/plain"].count("Pull complete") == 3
