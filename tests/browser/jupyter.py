"""A JupyterLab of one's own, and a page of it in Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page

_START_TIMEOUT_S = 180
_KERNEL_TIMEOUT_MS = 180_000  # both cores may be busy with somebody else's work
ARTIFACTS = Path(__file__).parent.parent.parent / ".artifacts"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab server.

    Attributes:
        url: `http://127.0.0.1:PORT`, with the server's base path.
        token: Lets a browser in.
        notebooks: The directory it shows.
    """

    url: str
    token: str
    notebooks: Path


@contextlib.contextmanager
def jupyterlab(notebooks: Path, scratch: Path, environment: dict[str, str], *, base: str = "") -> Iterator[Lab]:
    """Start JupyterLab with its configuration, state and runtime files below `scratch`.

    Args:
        notebooks: What it shows.
        scratch: An empty directory.
        environment: Added to this process's; kernels inherit it.
        base: Path below which everything is, as on a hub: `/user/ada`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}{base}", secrets.token_hex(16), notebooks)
    own = {f"JUPYTER_{kind}_DIR": str(scratch / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "spaces")}
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={notebooks}", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"]
    command.append(f"--ServerApp.base_url={base}/")
    command += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command.append("--LabApp.expose_app_in_browser=True")  # to change the theme of an open page
    with (scratch / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | own | environment, stdout=log, stderr=log, cwd=scratch)
    try:
        _wait_until_it_answers(lab, server, scratch / "jupyter.log")
        yield lab
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_answers(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}").close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not start:\n{log.read_text()}")


def set_quiet(scratch: Path) -> None:
    """Keep JupyterLab from asking about news."""
    directory = scratch / "settings" / "@jupyterlab" / "apputils-extension"
    directory.mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (directory / "notification.jupyterlab-settings").write_text(json.dumps(quiet))


class Notebook:
    """One notebook open in a page.

    Args:
        page: A fresh page.
        lab: The server.
        name: Of the notebook, in the server's directory.
    """

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        self._url = f"{lab.url}/lab/tree/{name}?reset&token={lab.token}"
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self._open()

    def _open(self) -> None:
        self.page.goto(self._url)
        self.panel.locator(".jp-Notebook-cell").first.wait_for(timeout=_KERNEL_TIMEOUT_MS)
        self._wait_for_idle()

    def _wait_for_idle(self) -> None:
        # The status bar: the kernel has answered.
        self.page.get_by_text(re.compile(r"Python 3.* \| Idle")).wait_for(timeout=_KERNEL_TIMEOUT_MS)

    def reload(self) -> None:
        """Save the notebook and load the page again; its kernel goes on."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self._open()

    def restart_kernel(self) -> None:
        """Restart it, without asking."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self._wait_for_idle()

    def close(self) -> None:
        """End the kernel and the page."""
        self.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        self.page.close()

    def set_theme(self, theme: str) -> None:
        """Choose `Light` or `Dark`."""
        name = f"JupyterLab {theme}"
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")

    def set_width(self, width: int, height: int = 1400) -> None:
        """Make the window so wide; below some 700 pixels the side bar gives way, as it does for a reader."""
        self.page.set_viewport_size({"width": width, "height": height})

    def keep(self, view: Locator, name: str, *, widths: tuple[int, ...] = (1280,), height: int = 1400) -> None:
        """Keep pictures of a view, of the first width in both themes; .artifacts is for people to look at."""
        ARTIFACTS.mkdir(exist_ok=True)
        for width in widths:
            self.set_width(width, height)
            for theme in ("Dark", "Light") if width == widths[0] else ("Light",):
                self.set_theme(theme)
                view.evaluate("element => element.scrollIntoView({block: 'start'})")
                self.page.wait_for_timeout(250)  # transitions
                suffix = theme.lower() + ("" if width == 1280 else "-narrow")
                self.page.screenshot(path=ARTIFACTS / f"{name}-{suffix}.png")
        self.set_width(1280)

    def run_all(self, timeout_s: float = 120) -> None:
        """Restart the kernel, run every cell, and wait until the last one has its number."""
        page = self.page
        idle = self.panel.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('.lm-Menu-item[data-command="runmenu:restart-and-run-all"]').click()
        page.locator(".jp-Dialog .jp-mod-accept").click()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            page.wait_for_timeout(500)
            prompts = [text.strip() for text in self.panel.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()]
            if prompts and not any("*" in text or text == "[ ]:" for text in prompts) and idle.count():
                return
        raise TimeoutError("the notebook has not ended")

    def run(self, source: str, timeout_s: float = 60) -> Locator:
        """Run one cell, as Shift+Enter does, and wait for its end; return it."""
        cell = self.cell(source)
        cell.locator(".cm-content").click()
        before = cell.locator(".jp-InputPrompt").inner_text()
        self.page.keyboard.press("Shift+Enter")
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            prompt = cell.locator(".jp-InputPrompt").inner_text()
            if prompt != before and "*" not in prompt:
                return cell
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"the cell has not ended: {source}")

    def cell(self, source: str) -> Locator:
        """The code cell whose source contains a text, scrolled into view."""
        found = self.panel.locator(".jp-CodeCell").filter(has=self.page.locator(".cm-content", has_text=source)).first
        found.scroll_into_view_if_needed()
        return found
