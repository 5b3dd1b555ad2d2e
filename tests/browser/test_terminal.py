"""A terminal in a cell: a real shell, typed to from a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.jupyter import NARROW, WIDE, Notebook
from tests.browser.test_build import count_updates
from tests.conftest import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

RUN = "%container run -it --rm --name term-shell busybox sh"
ATTACH = "%container attach term-shell"
EXEC = "%container exec -it term-shell sh"
LOOK = "%container ls --filter name=term-shell"
DETACHED = "○ detached: the container runs on"
ANSWER = re.compile(r"\^\[\[\d+;\d+R")  # where the cursor is, as a terminal's own echo shows it


@pytest.fixture
def notebook(open_notebook: Open, daemon: Daemon, busybox: str) -> Iterator[Notebook]:
    notebook = open_notebook("terminal.ipynb", "%load_ext pydock_lab", RUN, LOOK, ATTACH, EXEC)
    notebook.run("%load_ext")
    yield notebook
    daemon.docker("rm", "-f", "term-shell")


def open_terminal(notebook: Notebook, source: str) -> Locator:
    """Run a cell that opens a terminal; the cell ends, the terminal stays."""
    terminal = notebook.run(source).locator(".pd-terminal")
    expect(terminal.locator(".pd-terminal-state")).to_have_text("● live")
    return terminal


def enter(terminal: Locator, line: str) -> None:
    terminal.locator("textarea").focus()
    terminal.page.keyboard.type(f"{line}\n")


def detach(terminal: Locator) -> None:
    terminal.page.keyboard.press("Control+P")
    terminal.page.keyboard.press("Control+Q")
    expect(terminal.locator(".pd-terminal-state")).to_have_text(DETACHED)


def test_a_shell_in_a_cell(notebook: Notebook, daemon: Daemon) -> None:
    terminal = open_terminal(notebook, RUN)
    rows = terminal.locator(".xterm-rows")
    expect(rows).to_contain_text("/ #")
    enter(terminal, "echo grüße-$((6 * 7))-世界")
    expect(rows).to_contain_text("grüße-42-世界")

    # Keys that belong to the shell do not reach JupyterLab, and the other cells are free meanwhile.
    enter(terminal, "# dd x a b")
    expect(notebook.run(LOOK)).to_contain_text("term-shell")
    terminal.page.keyboard.press("Escape")

    # The shell's window is the page's, also when the page becomes narrow.
    columns = "stty size | cut -d' ' -f2"
    notebook.desk.set_width(NARROW)
    enter(terminal, f"clear; {columns} > /c; echo $(test $(cat /c) -lt 80 && echo narrow)")
    expect(rows).to_contain_text("narrow")
    notebook.desk.set_width(WIDE)

    # What is pasted arrives whole; a letter whose bytes come apart is drawn when it is whole.
    terminal.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    terminal.page.evaluate("text => navigator.clipboard.writeText(text)", "clear\necho pasted-$((6 * 7))\n# dd\n")
    terminal.locator("textarea").press("Control+v")
    expect(rows).to_contain_text("pasted-42")
    enter(terminal, r"clear; printf 'gr\303'; sleep 0.5; printf '\274n\n'")
    expect(rows).to_contain_text("grün")

    # What never ends is sent as fast as it is drawn, in few messages, and can be interrupted.
    sent = count_updates(terminal.page)
    enter(terminal, "clear; yes")
    expect(rows).to_contain_text(re.compile(r"(y\s*){20}"))
    expect(notebook.run(LOOK)).to_contain_text("term-shell")
    terminal.locator("textarea").focus()
    terminal.page.keyboard.press("Control+c")
    enter(terminal, "clear; echo inter-$((6 * 7))-rupted")
    expect(rows).to_contain_text("inter-42-rupted")
    _, messages, span_s = sent()
    assert messages <= 10 * span_s + 10

    # A flood is shown, and its end arrives; the page goes on.
    enter(terminal, "clear; yes | head -c 3000000 | tail -n 300000; echo the-$((40 + 2))-end")
    expect(rows).to_contain_text("the-42-end", timeout=30_000)
    notebook.keep(terminal, "terminal", widths=(WIDE, NARROW))


def test_what_the_process_asks_the_terminal(notebook: Notebook, daemon: Daemon) -> None:
    terminal = open_terminal(notebook, RUN)
    rows = terminal.locator(".xterm-rows")
    expect(rows).to_contain_text("/ #")
    enter(terminal, "echo cat-$((6 * 7)); cat")
    expect(rows).to_contain_text("cat-42")
    enter(terminal, "line")
    expect(rows).to_contain_text(re.compile(r"line\s*line"))

    # The answer is passed on, but nobody typed it: it may come between two keys that belong together.
    terminal.page.keyboard.press("Control+P")
    asked = daemon.docker("exec", "term-shell", "sh", "-c", r"printf 'where? \033[6n' > /proc/1/fd/1")
    assert asked.returncode == 0, asked.stderr
    expect(rows).to_contain_text(ANSWER)
    terminal.page.keyboard.press("Control+Q")
    expect(terminal.locator(".pd-terminal-state")).to_have_text(DETACHED)


def test_what_was_answered_once(notebook: Notebook) -> None:
    """A page that is loaded again draws the old questions, too: to answer them again would be to type."""
    terminal = open_terminal(notebook, RUN)
    rows = terminal.locator(".xterm-rows")
    expect(rows).to_contain_text("/ #")
    enter(terminal, r"printf 'where? \033[6n'; cat")
    expect(rows).to_contain_text(ANSWER)
    notebook.reload()
    expect(rows).to_contain_text(ANSWER)
    enter(terminal, "line")
    expect(rows).to_contain_text(re.compile(r"line\s*line"))
    assert len(ANSWER.findall(rows.text_content() or "")) == 1


def test_leaving_detaching_coming_back_and_ending(notebook: Notebook, daemon: Daemon) -> None:
    terminal = open_terminal(notebook, RUN)
    enter(terminal, "left=here")
    terminal.page.keyboard.press("Shift+Escape")
    expect(terminal.get_by_role("button", name="Type here")).to_be_focused()
    terminal.page.keyboard.press("Enter")
    expect(terminal.locator("textarea")).to_be_focused()
    detach(terminal)
    assert daemon.docker("ps", "-q", "--filter", "name=term-shell").stdout

    beside = open_terminal(notebook, EXEC)
    enter(beside, "exit")
    expect(beside.locator(".pd-terminal-state")).to_have_text("○ ended")

    again = open_terminal(notebook, ATTACH)
    enter(again, "echo $left-again")
    expect(again.locator(".xterm-rows")).to_contain_text("here-again")
    enter(again, "exit")
    expect(again.locator(".pd-terminal-state")).to_have_text("○ ended")
    assert not daemon.docker("ps", "-aq", "--filter", "name=term-shell").stdout
