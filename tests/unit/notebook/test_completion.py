"""Tab and `?` in a cell, through IPython's own completer; the words themselves are the client's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
    provisionalcompleter,
)
from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.client.commands.grammar import load
from pydock_lab.notebook.magics import NOUNS


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


def pressed(shell: InteractiveShell, cell: str) -> set[str]:
    """What the cell may become, with the cursor at its end."""
    with provisionalcompleter():
        return {cell[: found.start] + found.text for found in shell.Completer.completions(cell, len(cell))}


@pytest.mark.parametrize(
    ("cell", "becomes"),
    [
        ("%container ru", "%container run"),
        ("%container run --publ", "%container run --publish"),
        ("%docker container run --restart=on", "%docker container run --restart=on-failure"),
        ("web = %container ru", "web = %container run"),
        ("!docker image in", "!docker image inspect"),
        ("%lab pro", "%lab processes"),
        ("%registry u", "%registry up"),
        ("%registry gc --dr", "%registry gc --dry-run"),
        ("%%dockerfile --no-c", "%%dockerfile --no-cache"),
        ("%%dockerfile -t x\nFROM alpine AS base\nWORKD", "%%dockerfile -t x\nFROM alpine AS base\nWORKDIR"),
        (
            "%%dockerfile -t x\nFROM alpine AS base\nFROM x\nCOPY --from=ba",
            "%%dockerfile -t x\nFROM alpine AS base\nFROM x\nCOPY --from=base",
        ),
        ("%%compose up\nserv", "%%compose up\nservices:"),
    ],
)
def test_tab(shell: InteractiveShell, cell: str, becomes: str) -> None:
    assert becomes in pressed(shell, cell)


@pytest.mark.parametrize(
    "cell", ["%container stop ", "%container stop xyz", "%%compose up\nservices:\n  web:\n    ports: 8"]
)
def test_where_nothing_fits_python_is_not_asked(shell: InteractiveShell, cell: str) -> None:
    shell.Completer.custom_matchers.append(python_is_asked)
    try:
        assert pressed(shell, cell) == {cell}
        assert pressed(shell, "%container run {sorte") != {"%container run {sorte"}  # the notebook's own variables
    finally:
        shell.Completer.custom_matchers.remove(python_is_asked)


@pytest.mark.parametrize("begun", ["$", "${", "{", "prefix-$", "--name="])
def test_variables_of_the_notebook_are_known_without_python(shell: InteractiveShell, begun: str) -> None:
    assert shell.run_cell("image_of_mine, _hidden = 'busybox', 1").success
    shell.Completer.custom_matchers.append(python_is_asked)
    try:
        cell = f"%container run {begun}" + ("$" if begun.endswith("=") else "")
        assert pressed(shell, f"{cell}ima") == {f"{cell}image_of_mine"}
        assert pressed(shell, f"{cell}_hid") != {f"{cell}_hidden"}
    finally:
        shell.Completer.custom_matchers.remove(python_is_asked)


@context_matcher(identifier="python")
def python_is_asked(context: CompletionContext) -> SimpleMatcherResult:
    return SimpleMatcherResult(completions=[SimpleCompletion("python-was-asked")], matched_fragment="")


def test_python_completes_as_before(shell: InteractiveShell) -> None:
    assert any(text.endswith("sorted") for text in pressed(shell, "x = sorte"))
    shell.run_line_magic("unload_ext", "pydock_lab")
    assert "%container run" not in pressed(shell, "%container ru")
    shell.run_line_magic("load_ext", "pydock_lab")


def test_a_question_mark_shows_the_help_page(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell("%container run?").success
    assert "Create and run a new container from an image" in capsys.readouterr().out


def test_every_noun_is_a_magic() -> None:
    of_a_swarm = {"config", "node", "secret", "service", "stack", "swarm"}  # `%docker stack …`; %config is IPython's
    assert set(load().nouns) - of_a_swarm <= set(NOUNS)
