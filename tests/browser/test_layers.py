"""The layers view in JupyterLab: the slider through time, and the tree of files, by mouse and by keyboard."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import NARROW, WIDE
from tests.browser.test_build import count_updates
from tests.browser.test_views import assert_accessible
from tests.conftest import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

MANY = r"""FROM busybox
RUN mkdir -p /srv/data && cd /srv/data && for i in $(seq 80); do mkdir d$i; \
    for j in $(seq 250); do : > d$i/file-$j; done; done && head -c 2000000 /dev/zero > /srv/big
RUN head -c 1000 /dev/zero > /srv/big && rm -r /srv/data/d7 && echo new > /etc/new
LABEL a=b
"""


@pytest.fixture
def many(daemon: Daemon, busybox: str) -> Iterator[str]:
    """An image of 20,000 files."""
    daemon.client().images.build(fileobj=io.BytesIO(MANY.encode()), tag="layers-many", rm=True)
    yield "layers-many"
    daemon.docker("rmi", "-f", "layers-many")


def test_slider_and_tree(open_notebook: Open, many: str) -> None:
    notebook = open_notebook("layers.ipynb", "%load_ext pydock_lab", f"%lab layers {many}")
    notebook.run("%load_ext")
    sent = count_updates(notebook.page)
    view = notebook.run("%lab layers").locator(".pd-layers")
    slider, tree = view.get_by_role("slider"), view.get_by_role("tree")

    expect(slider).to_have_value("2")  # the last instruction that changed files
    expect(item(tree, "new")).to_contain_text("added")
    expect(item(tree, "d7")).to_contain_text("deleted")
    expect(item(tree, "big")).to_contain_text("changed")
    notebook.keep(view, "layers")
    assert_accessible(notebook.page, view)

    slider.press("ArrowRight")
    expect(view).to_contain_text("No files: only the image's configuration changes")
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    expect(view).to_contain_text("After instruction 2 of 4 the image holds")
    expect(view).to_contain_text("20,083 paths in this layer")

    big = item(tree, "big")
    expect(big).to_contain_text("2 MB wasted: instruction 3 replaces or removes it")
    data = item(tree, "data/")
    expect(data).to_contain_text("+20,081")
    data.click()
    expect(data).to_have_attribute("aria-expanded", "true")
    data.press("ArrowLeft")
    expect(data).to_have_attribute("aria-expanded", "false")
    data.press("ArrowRight")
    expect(data).to_have_attribute("aria-expanded", "true")
    data.press("ArrowRight")
    expect(item(tree, "d1/")).to_be_focused()
    item(tree, "d1/").press("Enter")  # what is in it comes from the engine
    first = item(tree, "file-1")
    expect(first).to_be_visible()
    assert tree.get_by_role("treeitem", name="file-").count() == 200
    tree.get_by_role("treeitem", name="Show 50 more of 50").click()
    expect(tree.get_by_role("treeitem", name="file-")).to_have_count(250)
    notebook.keep(view, "layers-open", widths=(WIDE, NARROW))
    first.focus()
    first.press("ArrowLeft")
    expect(item(tree, "d1/")).to_be_focused()
    item(tree, "d1/").press("ArrowLeft")
    expect(first).to_have_count(0)
    item(tree, "d1/").press("Home")
    expect(item(tree, "srv/")).to_be_focused()

    view.get_by_role("searchbox").fill("D80/FILE-25")
    expect(view.locator(".pd-found li")).to_have_count(2)
    expect(view.get_by_role("status")).to_have_text("2 paths found")
    view.get_by_role("searchbox").fill("")
    expect(item(tree, "srv/")).to_be_visible()
    expect(view.locator("summary")).to_contain_text("Efficiency ")
    assert sent()[0] < 300_000


def item(tree: Locator, name: str) -> Locator:
    """The line of a name."""
    return tree.get_by_role("treeitem").filter(has=tree.page.locator("code", has_text=re.compile(f"^{name}$")))
