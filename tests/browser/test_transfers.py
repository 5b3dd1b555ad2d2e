"""A pull and a push in JupyterLab: bars that move, a picture that stays, the way of every request."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.jupyter import NARROW, WIDE, Lab
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
        area = notebook.start("docker pull").locator(".jp-OutputArea")
        moving = area.locator("tr", has_text="Downloading").filter(has_text=" of 1MB")
        expect(moving).to_have_count(3)
        expect(moving.first.locator(".pd-bar")).to_be_visible()
        notebook.keep(area, "pull-running")
        expect(area).to_contain_text("Status: Downloaded newer image", timeout=30_000)
        expect(area.locator("tbody tr", has_text="Pull complete")).to_have_count(3)

        way = notebook.run("docker push").locator(".jp-OutputArea")
        expect(way).to_contain_text("PUT /v2/transfers/many/manifests/1")
        notebook.desk.keep({"pull": area, "requests-push": way}, widths=(WIDE, NARROW))
        assert_accessible(notebook.page, area, way)
        assert daemon.docker("rmi", f"{slow}/{image}").returncode == 0
    kept = saved(notebook.page, jupyter, "transfers.ipynb")
    assert isinstance(kept, nbformat.NotebookNode)
    [output] = [each for each in kept.cells[1].outputs if each.output_type == "display_data"]
    assert sorted(output.data) == ["text/html", "text/plain"]
    assert output.data["text/plain"].count("Pull complete") == 3
