"""The side panel: what the engine has, followed; each button, and the command it equals; for everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import ARTIFACTS, WIDE, Lab, Notebook
from tests.conftest import Daemon, start_daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

PAGE = "mkdir -p /www; echo '<h1>from a container</h1>' > /www/index.html; echo ready; exec httpd -f -v -p 80 -h /www"
FLOOD = "yes 'a line of a flood' | head -n 60000 > /proc/1/fd/1; echo the-end > /proc/1/fd/1"


@pytest.fixture
def page_server(daemon: Daemon, busybox: str) -> Iterator[Daemon]:
    """A container that serves a page, one that has ended, a volume and a network."""
    for words in (
        ("volume", "create", "panel-data"),
        ("network", "create", "panel-net"),
        ("run", "-d", "--name", "panel-web", "--stop-timeout", "1", "-p", "127.0.0.1::80", "-v", "panel-data:/data",
         "--network", "panel-net", busybox, "sh", "-c", PAGE),
        ("run", "--name", "panel-job", "--label", "com.docker.compose.project=shop", busybox, "sh", "-c", "exit 3"),
    ):  # fmt: skip
        done = daemon.docker(*words)
        assert done.returncode == (3 if "panel-job" in words else 0), done.stderr
    yield daemon
    daemon.docker("rm", "-f", "panel-web", "panel-job", "panel-late")
    daemon.docker("volume", "rm", "-f", "panel-data")
    daemon.docker("network", "rm", "panel-net")


@pytest.fixture
def notebook(open_notebook: Open, page_server: Daemon) -> Notebook:
    """A notebook, and the panel open beside it."""
    notebook = open_notebook("panel.ipynb", "%load_ext pydock_lab", "%container ls")
    notebook.run("%load_ext")
    notebook.page.set_viewport_size({"width": WIDE, "height": 900})
    notebook.page.evaluate("() => window.jupyterapp.shell.activateById('pydock-lab-panel')")
    return notebook


def panel_of(notebook: Notebook) -> Locator:
    return notebook.page.locator(".pd-lab-panel")


def row(panel: Locator, name: str) -> Locator:
    return panel.locator(".pd-lab-row").filter(has=panel.page.locator(".pd-lab-name", has_text=name))


def keep(panel: Locator, notebook: Notebook, name: str) -> None:
    """Pictures of the whole window, for people to look at."""
    for theme in ("Dark", "Light"):
        notebook.desk.set_theme(theme)
        panel.page.mouse.move(900, 700)
        panel.page.screenshot(path=ARTIFACTS / f"{name}-{theme.lower()}.png", animations="disabled")


def test_buttons_run_the_commands_that_they_show(notebook: Notebook, page_server: Daemon) -> None:
    panel = panel_of(notebook)
    web = row(panel, "panel-web")
    command, outcome = panel.locator(".pd-lab-line code"), panel.locator(".pd-lab-outcome")
    expect(web).to_contain_text("running · busybox")
    project = panel.get_by_role("list", name="Project shop")
    expect(row(project, "panel-job")).to_contain_text("exited (3)")
    expect(panel.locator(".pd-lab-project h4")).to_have_text("shop 0 of 1 running")
    expect(row(panel, "panel-data")).to_contain_text("used by panel-web")
    expect(row(panel, "panel-net")).to_contain_text("bridge")
    assert_everybody_can_use(panel)

    stop = web.get_by_role("button", name="Stop panel-web")
    stop.hover()
    expect(command).to_have_text("docker container stop panel-web")
    assert page_server.docker("inspect", "-f", "{{.State.Running}}", "panel-web").stdout == "true\n"
    stop.focus()
    notebook.page.keyboard.press("Enter")
    expect(outcome).to_contain_text("✓ done")
    expect(web).to_contain_text("exited (")
    expect(web.get_by_role("button", name="Terminal")).to_be_disabled()
    expect(web.get_by_role("button", name="Start panel-web")).to_be_focused()
    expect(panel.locator(".pd-lab-sr")).to_contain_text("panel-web: exited (")
    assert page_server.docker("inspect", "-f", "{{.State.Running}}", "panel-web").stdout == "false\n"

    notebook.page.keyboard.press("Enter")
    expect(web).to_contain_text("running")
    expect(command).to_have_text("docker container start panel-web")
    keep(panel, notebook, "panel")

    panel.get_by_role("button", name="Put the command into a new cell").click()
    expect(notebook.cell("%container start panel-web")).to_be_visible()
    assert "already" not in notebook.run("%container start panel-web").locator(".jp-OutputArea").inner_text()


def test_removing_asks_first(notebook: Notebook, page_server: Daemon) -> None:
    panel, dialog = panel_of(notebook), notebook.page.locator(".jp-Dialog")
    row(panel, "panel-net").get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(panel.locator(".pd-lab-outcome")).to_contain_text("✗ failed")
    expect(panel.locator(".pd-lab-outcome")).to_contain_text("has active endpoints")
    keep(panel, notebook, "panel-failed")

    remove = row(panel, "panel-web").get_by_role("button", name="Remove")
    remove.click()
    expect(dialog).to_contain_text("docker container rm -f panel-web")
    expect(dialog).to_contain_text("Its writable layer goes with it")
    keep(panel, notebook, "panel-remove")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row(panel, "panel-web")).to_contain_text("running")
    remove.click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row(panel, "panel-web")).to_have_count(0)
    assert "panel-web" not in page_server.docker("ps", "-a").stdout

    for name in ("panel-data", "panel-net"):
        row(panel, name).get_by_role("button", name="Remove").click()
        dialog.get_by_role("button", name="Remove").click()
        expect(row(panel, name)).to_have_count(0)

    assert page_server.docker("run", "-d", "--name", "panel-late", "busybox", "sleep", "60").returncode == 0
    expect(row(panel, "panel-late")).to_contain_text("running")  # what others do arrives by itself
    page_server.docker("pause", "panel-late")
    expect(row(panel, "panel-late")).to_contain_text("paused")
    row(panel, "panel-late").get_by_role("button", name="Go on").click()
    expect(row(panel, "panel-late")).to_contain_text("running")


def test_logs_terminal_and_port(notebook: Notebook, jupyter: Lab, page_server: Daemon) -> None:
    panel, page = panel_of(notebook), notebook.page
    web = row(panel, "panel-web")
    web.get_by_role("button", name="Logs").click()
    log = page.get_by_role("log", name="Logs of panel-web")
    expect(log).to_contain_text("ready")
    expect(panel.locator(".pd-lab-line code")).to_have_text("docker container logs -f --tail 500 panel-web")
    panel.get_by_role("button", name="Put the command into a new cell").click()  # there it ends
    assert "ready" in notebook.run("%container logs --tail 500 panel-web").locator(".jp-OutputArea").inner_text()

    link = web.get_by_role("link")
    assert link.get_attribute("href").startswith(f"{jupyter.url}/proxy/")
    with page.context.expect_page() as opened:
        link.click()
    expect(opened.value.locator("h1")).to_have_text("from a container")
    opened.value.close()
    expect(log).to_contain_text("response:200")  # the server has logged it, and the log follows

    web.get_by_role("button", name="Terminal").click()
    terminal = page.locator(".jp-Terminal-body")
    expect(page.get_by_role("tab", name="Shell in panel-web")).to_be_visible()
    terminal.locator("textarea").focus()  # its screen is a canvas: what the shell did is seen in the container
    page.keyboard.type("hostname > /data/seen; exit\n")
    expect(terminal).to_have_count(0)
    container = page_server.docker("inspect", "-f", "{{.Config.Hostname}}", "panel-web").stdout
    assert page_server.docker("exec", "panel-web", "cat", "/data/seen").stdout == container

    page_server.docker("exec", "panel-web", "sh", "-c", FLOOD)
    expect(log).to_contain_text("the-end")
    assert len(log.inner_text()) < 410_000
    keep(panel, notebook, "panel-logs")
    page_server.docker("stop", "-t", "0", "panel-web")
    expect(page.locator(".pd-lab-logs-foot")).to_contain_text("○ ended")


def test_the_panel_outlives_a_reload_and_waits_for_its_engine(
    notebook: Notebook, jupyter: Lab, page_server: Daemon
) -> None:
    page, panel = notebook.page, panel_of(notebook)
    expect(row(panel, "panel-web")).to_contain_text("running")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(1500)  # JupyterLab saves its layout a second after it has changed
    page.goto(f"{jupyter.url}/lab")
    page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)", timeout=180_000)
    expect(row(panel, "panel-web")).to_contain_text("running")

    page_server.stop()
    expect(panel.get_by_role("alert")).to_be_visible()
    assert_everybody_can_use(panel)
    keep(panel, notebook, "panel-lost")
    expect(panel.get_by_role("button", name="Try again")).to_be_enabled()
    page_server.process = start_daemon(page_server.root).process
    expect(row(panel, "panel-web")).to_contain_text("exited")  # it has looked again by itself
    assert panel.bounding_box()["width"] == 250  # the least that JupyterLab gives a side bar
    assert panel.locator(".pd-lab-lists").evaluate("lists => lists.scrollWidth <= lists.clientWidth")
    notebook.page.set_viewport_size({"width": 600, "height": 900})
    keep(panel, notebook, "panel-narrow")


def assert_everybody_can_use(panel: Locator) -> None:
    options = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = Axe().run(panel.page, context=".pd-lab-panel", options=options).response["violations"]
    assert not found, json.dumps(found, indent=1)
