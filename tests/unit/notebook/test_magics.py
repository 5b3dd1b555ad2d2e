"""The magics in a real IPython shell, as far as they go without an engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.notebook.failure import CommandFailed
from pydock_lab.notebook.magics import CELL_MAGICS, LINE_MAGICS


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("IPYTHONDIR", "/nowhere")
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "pydock_lab")
    yield shell
    shell.run_line_magic("unload_ext", "pydock_lab")
    shell.history_manager.end_session()


def failure(shell: InteractiveShell, cell: str) -> CommandFailed:
    error = shell.run_cell(cell).error_in_exec
    assert isinstance(error, CommandFailed), error
    return error


def test_loading_registers_and_unloading_takes_away(shell: InteractiveShell) -> None:
    registered = shell.magics_manager.magics
    assert set(LINE_MAGICS) <= set(registered["line"])
    assert set(CELL_MAGICS) <= set(registered["cell"])
    shell.run_line_magic("unload_ext", "pydock_lab")
    assert not set(LINE_MAGICS) & set(registered["line"])
    assert not set(CELL_MAGICS) & set(registered["cell"])
    shell.run_line_magic("load_ext", "pydock_lab")


def test_a_mistake_fails_the_cell_with_dockers_words_and_no_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failure(shell, "%container run --nope alpine")
    assert error.message.startswith("unknown flag: --nope")
    assert error.exit_code == 125
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert "site-packages" not in printed.out + printed.err


def test_an_engine_that_is_not_there_is_named(shell: InteractiveShell) -> None:
    error = failure(shell, "%docker ps")
    assert error.message.startswith("Cannot connect to the Docker daemon at unix:///nowhere/docker.sock")
    assert error._render_traceback_()[-2].startswith("Hint: DOCKER_HOST or -H names this address")


def test_a_command_in_a_hint_is_not_broken_in_two() -> None:
    lines = CommandFailed("no", hint="so it goes " * 7 + "`docker run -d alpine sleep 60` works")._render_traceback_()
    assert len(lines) == 3
    assert lines[2].strip().startswith("`docker run -d alpine sleep 60`")


def test_a_substitution_that_fails_fails_the_cell(shell: InteractiveShell) -> None:
    assert "Cannot connect" in failure(shell, "%docker stop $(docker ps -a -q)").message


def test_a_dockerfile_cell_needs_a_value_behind_context(shell: InteractiveShell) -> None:
    error = failure(shell, "%%dockerfile -t x --context\nFROM alpine")
    assert error.message == "flag needs an argument: --context"


def test_every_line_shows_and_an_assignment_is_quiet(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run_cell("page = %image --help\nprint(len(page.text) > 100)").success
    assert capsys.readouterr().out == "True\n"
    assert shell.run_cell("%image --help\n%volume --help\nNone").success
    printed = capsys.readouterr().out
    assert printed.count("Manage images") == 1
    assert printed.count("Manage volumes") == 1


def test_python_variables_reach_the_command(shell: InteractiveShell) -> None:
    assert shell.run_cell("flag = '--nope'").success
    assert failure(shell, "%docker ps $flag").message.startswith("unknown flag: --nope")


def test_loading_is_light() -> None:
    heavy = {"docker", "requests", "anywidget", "ipywidgets", "aiohttp"}
    code = (
        "import sys, pydock_lab; from IPython.core.interactiveshell import InteractiveShell as Shell;"
        "before = set(sys.modules); pydock_lab.load_ipython_extension(Shell());"
        f"print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_magic_in_a_function_sees_its_variables(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell = "noun = 'volume'\ndef page(noun):\n    %docker $noun --help\npage('image')\n%docker $noun --help\n"
    assert shell.run_cell(cell).success
    printed = capsys.readouterr().out
    assert printed.index("Manage images") < printed.index("Manage volumes")
