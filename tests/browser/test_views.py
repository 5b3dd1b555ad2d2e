"""Every live view in JupyterLab: it shows what is there, follows what happens, and can be used by everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.conftest import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

VIEWS = (
    "%lab stacks --boot",
    "%lab processes",
    "%lab events",
    "%lab stats",
    "%lab instances busybox",
    "%lab storage view-page",
    "%lab network",
    "%lab compose",
    "%lab explain view-page",
    "%lab requests docker run --rm busybox true",
)
SHOP = {  # what Compose writes on the containers it makes
    "db": "",
    "cache": "",
    "web": "db:service_healthy:false,cache:service_started:false",
    "proxy": "web:service_started:false",
}


@pytest.fixture
def busy(daemon: Daemon, busybox: str) -> Iterator[Daemon]:
    """A daemon with a few containers."""

    def run(name: str, *words: str) -> None:
        done = daemon.docker("run", "-d", "--name", name, *words)
        assert done.returncode == 0, done.stderr

    daemon.docker("network", "create", "view-net")
    run("view-page", "-p", "127.0.0.1::80", busybox, "sh", "-c", "echo hi > /x; sleep 500 & exec sleep 600")
    run("view-side", "--network", "container:view-page", busybox, "sleep", "600")
    for service, needs in SHOP.items():
        labels = {"project": "shop", "service": service, "depends_on": needs}
        words = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        run(f"view-{service}-1" if service == "web" else f"view-{service}", *words, "--network", "view-net", busybox,
            "sleep", "600")  # fmt: skip
    yield daemon
    names = daemon.docker("ps", "-aq", "--filter", "name=view-").stdout.split()
    daemon.docker("rm", "-f", *names)
    daemon.docker("network", "rm", "view-net")


def test_the_views_follow_the_engine(open_notebook: Open, busy: Daemon) -> None:
    notebook = open_notebook("views.ipynb", "%load_ext pydock_lab", *VIEWS)
    notebook.run("%load_ext")
    shown = {source: notebook.run(source).locator(".jp-OutputArea") for source in VIEWS}
    live = {source: area.locator(".pd-picture-live") for source, area in shown.items()}

    expect(live["%lab stacks --boot"]).to_contain_text("6 containers on one kernel")
    expect(live["%lab stacks --boot"]).to_contain_text("from start to its first process")
    expect(live["%lab processes"]).to_contain_text("view-page and view-side are in the same namespaces: net")
    expect(live["%lab network"].locator("svg.pd-drawing circle")).to_have_count(5)
    expect(live["%lab compose"].locator("svg.pd-drawing rect")).to_have_count(4)
    expect(live["%lab instances busybox"].locator("article", has_text="view-page").first).to_contain_text("/x")
    expect(shown["%lab explain view-page"]).to_contain_text("Fork a process in new ")
    expect(shown[VIEWS[-1]]).to_contain_text("/containers/create")
    for asked_by_a_view in ("/events?", "/stats?", "GET /v1.47/networks", "com.docker.compose.project"):
        expect(shown[VIEWS[-1]]).not_to_contain_text(asked_by_a_view)

    stacks = live["%lab stacks --boot"]
    stacks.locator("summary").click()
    assert busy.docker("exec", "view-page", "touch", "/late").returncode == 0
    assert busy.docker("run", "-d", "--name", "view-late", "busybox", "sleep", "600").returncode == 0
    for source in VIEWS[:-3]:
        if "storage" in source:
            expect(live[source]).to_contain_text("/late")
            continue
        expect(live[source]).to_contain_text("view-late")
    expect(live["%lab instances busybox"].locator("article", has_text="view-page").first).to_contain_text("/late")
    expect(live["%lab stats"]).to_contain_text("%")
    expect(stacks.locator("details")).to_have_attribute("open", "")  # what a reader opened stays open

    for source, area in shown.items():
        notebook.keep(area, source.split()[1] if source.startswith("%lab") else source, widths=(1280, 600))
    for area in shown.values():
        assert_accessible(notebook.page, area)


def assert_accessible(page: Page, area: Locator) -> None:
    """No rule of WCAG 2.1 A and AA that a program can check is broken inside an output."""
    area.evaluate("element => { element.dataset.checked = 'now' }")
    options = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = Axe().run(page, context="[data-checked=now]", options=options).response["violations"]
    area.evaluate("element => { delete element.dataset.checked }")
    assert not found, json.dumps([(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found])
