"""A JupyterLab of one's own, and a page of it in Chromium."""

from __future__ import annotations

import contextlib
import json
import os
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

from playwright.sync_api import Error, Locator, Page, TimeoutError

_START_TIMEOUT_S = 180
_KERNEL_TIMEOUT_MS = 180_000  # both cores may be busy with somebody else's work
ARTIFACTS = Path(__file__).parent.parent.parent / ".artifacts"
WIDE, NARROW, TALL = 1280, 420, 1400
_KERNEL = "window.jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel"


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

    def start_kernel(self, name: str) -> None:
        """Start the kernel of a notebook; the page finds it when it opens the notebook.

        Left to the page, it was now and then never started on a busy machine.
        """
        session = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/sessions", json.dumps(session).encode(), headers)
        urllib.request.urlopen(request).close()


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
    own["JUPYTER_CONFIG_PATH"] = str(
        Path(__file__).parents[2] / "tools" / "jupyter"
    )  # as `make lab`: asks about no news
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


class Desk:
    """A page with JupyterLab in it, in which one notebook after the other is opened: loading it costs seconds.

    Args:
        page: A fresh page.
        lab: The server.
    """

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        self.errors: list[str] = []
        page.on("pageerror", self._on_error)
        self.load()

    def _on_error(self, error: Error) -> None:
        # JupyterLab itself takes its splash screen away twice where it was shown twice within 200 ms.
        if not ("removeChild" in error.message and "/static/lab/jlab_core." in (error.stack or "")):
            self.errors.append(f"{error}\n{error.stack}")

    def load(self, query: str = "reset") -> None:
        """Load JupyterLab: with an empty layout, or with the one it has kept."""
        self.page.goto(f"{self.lab.url}/lab?{query}&token={self.lab.token}")
        self.page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)", timeout=_KERNEL_TIMEOUT_MS)
        # The list of files would take half of a narrow window, where a reader folds it.
        self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")

    def open(self, name: str) -> Notebook:
        """Open a notebook, and wait until its kernel has answered."""
        self.set_width(WIDE)
        self.lab.start_kernel(name)
        notebook = Notebook(self, name)
        notebook.open()
        return notebook

    def set_theme(self, theme: str) -> None:
        """Choose `Light` or `Dark`."""
        name = f"JupyterLab {theme}"
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")

    def set_width(self, width: int, height: int = TALL) -> None:
        """Make the window so wide."""
        self.page.set_viewport_size({"width": width, "height": height})

    def keep(self, views: dict[str, Locator], *, widths: tuple[int, ...] = (WIDE,), height: int = TALL) -> None:
        """Keep pictures for people to look at, of the first width in both themes.

        Args:
            views: By the picture's name what is to be in sight.
            widths: Of the window.
            height: Of the window.
        """
        ARTIFACTS.mkdir(exist_ok=True)
        looks = [(widths[0], "Dark"), *((width, "Light") for width in widths)]
        for width, theme in looks:  # another look is dear, another picture is not
            self.set_width(width, height)
            self.set_theme(theme)
            for name, view in views.items():
                view.evaluate("element => element.scrollIntoView({block: 'start'})")
                suffix = theme.lower() + ("" if width == widths[0] else "-narrow")
                self.page.screenshot(path=ARTIFACTS / f"{name}-{suffix}.png", animations="disabled")
        self.set_width(WIDE)


class Notebook:
    """One notebook, open in JupyterLab.

    Args:
        desk: Where.
        name: In the server's directory.
    """

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.page = desk.page
        self.name = name
        self._before: str | None = None
        self.panel = desk.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def open(self) -> None:
        """Open it, or find it open; its kernel has answered then."""
        script = "path => window.jupyterapp.commands.execute('docmanager:open', {path}).then(() => null)"
        self.page.evaluate(script, self.name)
        self.panel.locator(".jp-Notebook-cell").first.wait_for(timeout=_KERNEL_TIMEOUT_MS)
        self._wait_for_idle()

    def _wait_for_idle(self) -> None:
        try:
            self.page.wait_for_function(f"() => {_KERNEL}?.status === 'idle'", timeout=_KERNEL_TIMEOUT_MS)
        except TimeoutError as error:
            self.page.screenshot(path=ARTIFACTS / "stuck.png")
            state = self.page.evaluate(f"() => `${{{_KERNEL}?.status}}, ${{{_KERNEL}?.connectionStatus}}`")
            raise TimeoutError(f"the kernel of {self.name} does not come to rest ({state}): see stuck.png") from error

    def reload(self) -> None:
        """Save the notebook and load the page again; its kernel goes on."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.desk.load()
        self.open()

    def restart_kernel(self) -> None:
        """Restart it, without asking."""
        self.page.evaluate(f"() => {_KERNEL}.restart()")
        self._wait_for_idle()

    def close(self) -> None:
        """End the kernel and put the notebook away, unsaved."""
        self.page.evaluate(
            """async path => {
                const { shell } = window.jupyterapp;
                for (const widget of [...shell.widgets('main')]) {
                    if (widget.context?.path !== path) continue;
                    await widget.context.sessionContext.shutdown();
                    widget.dispose();
                }
            }""",
            self.name,
        )

    def keep(self, view: Locator, name: str, *, widths: tuple[int, ...] = (WIDE,), height: int = TALL) -> None:
        """Keep pictures of one view; see `Desk.keep`."""
        self.desk.keep({name: view}, widths=widths, height=height)

    def run_all(self, timeout_s: float = 120) -> None:
        """Run every cell, and wait until the last one has ended; one that fails ends all."""
        self.page.evaluate(
            """() => {
                window.allHaveRun = false;
                const run = window.jupyterapp.commands.execute('notebook:run-all-cells');
                run.finally(() => { window.allHaveRun = true; });
            }"""
        )
        self.page.wait_for_function("() => window.allHaveRun", timeout=1000 * timeout_s)

    def run(self, source: str, timeout_s: float = 60) -> Locator:
        """Run one cell, as Shift+Enter does, and wait for its end; return it."""
        cell = self.start(source)
        prompt = cell.locator(".jp-InputPrompt").element_handle()
        ended = "([prompt, before]) => prompt.textContent !== before && !prompt.textContent.includes('*')"
        self.page.wait_for_function(ended, arg=[prompt, self._before], timeout=1000 * timeout_s)
        return cell

    def start(self, source: str) -> Locator:
        """Run one cell without waiting for its end; return it."""
        cell = self.cell(source)
        cell.locator(".cm-content").click()
        self._before = cell.locator(".jp-InputPrompt").text_content()
        self.page.keyboard.press("Shift+Enter")
        return cell

    def cell(self, source: str) -> Locator:
        """The code cell whose source contains a text, scrolled into view."""
        found = self.panel.locator(".jp-CodeCell").filter(has=self.page.locator(".cm-content", has_text=source)).first
        found.scroll_into_view_if_needed()
        return found
