"""Checks and predictions in a real IPython shell against a real engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from pydock_lab.notebook.failure import CommandFailed
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def work(daemon: Daemon, busybox: str) -> Iterator[None]:
    """A learner's work: one container that runs, one that failed, one that was never started."""
    run = ("run", "--name")
    assert daemon.docker(*run, "grade-web", "-d", "-v", "grade-data:/data", busybox, "sleep", "600").returncode == 0
    assert daemon.docker("exec", "grade-web", "sh", "-c", "echo Ada > /note").returncode == 0
    assert daemon.docker(*run, "grade-failed", busybox, "sh", "-c", "exit 3").returncode == 3
    assert daemon.docker("create", "--name", "grade-idle", busybox).returncode == 0
    yield
    daemon.docker("rm", "-f", "grade-web", "grade-failed", "grade-idle")
    daemon.docker("volume", "rm", "grade-data")


@pytest.fixture
def shell(daemon: Daemon, work: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("IPYTHONDIR", "/nowhere")
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "pydock_lab")
    yield shell
    shell.run_line_magic("unload_ext", "pydock_lab")
    shell.history_manager.end_session()


def said(shell: InteractiveShell, cell: str) -> tuple[str, BaseException | None]:
    """Run a cell; return what it shows as text, and how it failed."""
    shown: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle["text/plain"]))
        error = shell.run_cell(cell).error_in_exec
    return "\n".join(shown), error


HOLD = """%%check
# what the learner made
container grade-web runs
container grade-web exists
container grade-web wrote /note
container grade-web mounts grade-data at /data
container grade-failed exited
container grade-failed exited with 3
image busybox exists
volume grade-data exists
nothing named nobody-*
docker exec grade-web grep -q Ada /note
docker container inspect -f {{.State.ExitCode}} grade-failed gives 3
"""


def test_what_is_so_passes(shell: InteractiveShell) -> None:
    text, error = said(shell, HOLD)
    assert error is None
    assert "✕" not in text
    assert text.endswith("All is as it should be.")


@pytest.mark.parametrize(
    ("question", "feedback"),
    [
        ("container grade-nobody runs", "there is no container grade-nobody"),
        ("container grade-failed runs", "grade-failed has exited with status 3"),
        ("container grade-idle runs", "grade-idle was created but never started"),
        ("container grade-web exited", "grade-web runs"),
        ("container grade-failed exited with 0", "grade-failed has exited with status 3"),
        ("container grade-failed wrote /note", "grade-failed has not written /note"),
        ("container grade-web mounts other at /data", "grade-web has the volume grade-data at /data"),
        ("container grade-web mounts grade-data at /", "grade-web has nothing mounted at /"),
        ("image no/such:1 exists", "there is no image no/such:1"),
        ("volume grade-nothing exists", "there is no volume grade-nothing"),
        ("network grade-nothing exists", "there is no network grade-nothing"),
        ("nothing named grade-d*", "still there: the volume grade-data"),
        ("docker exec grade-web cat /nothing", "No such file"),
        ("docker exec grade-idle true", "is not running"),
        ("docker container inspect -f {{.Name}} grade-web gives x", "it gives /grade-web"),
    ],
)
def test_what_is_not_so_fails_and_says_what_is(shell: InteractiveShell, question: str, feedback: str) -> None:
    text, error = said(shell, f"%check {question}  # look again")
    assert isinstance(error, CommandFailed)
    assert text.startswith("✕ ")
    assert feedback in text
    assert "look again" in text


def test_a_page_that_nobody_serves(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydock_lab.client.grading.phrases.PAGE_PATIENCE_S", 0.2)
    text, error = said(shell, "%check page http://127.0.0.1:1/ says Ada")
    assert isinstance(error, CommandFailed)
    assert "nobody answers at http://127.0.0.1:1/" in text


def test_a_page_that_is_served(shell: InteractiveShell, daemon: Daemon) -> None:
    serve = "mkdir /www && echo Ada > /www/index.html && httpd -f -p 80 -h /www"
    run = ("run", "-d", "--rm", "--name", "grade-page", "-p", "127.0.0.1::80", "busybox", "sh", "-c", serve)
    assert daemon.docker(*run).returncode == 0
    try:
        shell.user_ns["address"] = "http://" + daemon.docker("port", "grade-page", "80").stdout.strip()
        text, error = said(shell, "%check page $address says Ada")
        assert error is None, text
        text, error = said(shell, "%check page $address says Bob")
        assert "answers, but does not say “Bob”" in text
        text, error = said(shell, "%check page $address/none says Bob")
        assert "answers with status 404" in text
    finally:
        daemon.docker("rm", "-f", "grade-page")


def test_a_prediction_is_scored_by_what_really_is(shell: InteractiveShell) -> None:
    shell.user_ns["counted"] = 7
    assert said(shell, "%%predict note\nweb has it: yes\nidle is there: no\nvolume is gone: no\ncount: 6")[1] is None
    text, error = said(
        shell,
        "%%reveal note\nweb has it: docker exec grade-web test -e /note\nidle is there: container grade-idle exists\n"
        "volume is gone: nothing named grade-data\ncount: $counted",
    )
    assert error is None
    assert text.splitlines() == [
        "✓ web has it: you said yes; the engine says yes",
        "✕ idle is there: you said no; the engine says yes",
        "✓ volume is gone: you said no; the engine says no",
        "✕ count: you said 6; the engine says 7",
        "2 of 4 as you predicted.",
    ]


def test_a_missing_object_is_a_no_and_what_can_not_be_found_out_fails(shell: InteractiveShell) -> None:
    said(shell, "%%predict gone\nis it there: yes")
    text, error = said(shell, "%%reveal gone\nis it there: docker container inspect -f x grade-nobody")
    assert error is None
    assert "you said yes; the engine says no" in text
    text, error = said(shell, "%%reveal gone\nis it there: docker exec grade-idle test -e /x")
    assert isinstance(error, CommandFailed)
    assert "is not running" in error.message


def test_nothing_is_revealed_before_it_is_predicted(shell: InteractiveShell) -> None:
    _, error = said(shell, "%%reveal never\na: yes")
    assert isinstance(error, CommandFailed)
    assert error.hint == "run the cell with `%%predict` first"


def test_points_as_nbgrader_reads_them(daemon: Daemon, work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partial work is an execute_result that is a number, no work an error, and nothing is on stderr."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    one, other = "container grade-web runs", "container grade-nobody runs"
    cells = ["%load_ext pydock_lab", f"%%check --points 2\n{one}\n{other}", f"%%check --points 2\n{one}"]
    cells.append(f"%%check --points 2\n{other}")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert not any(each.get("name") == "stderr" for cell in outputs for each in cell)
    half, full, none = (cell[-1] for cell in outputs[1:])
    assert (half.output_type, float(half.data["text/plain"])) == ("execute_result", 1.0)
    assert (full.output_type, float(full.data["text/plain"])) == ("execute_result", 2.0)
    assert none.output_type == "error"


def test_the_same_check_from_a_terminal(daemon: Daemon, work: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("check") / "work.txt"
    file.write_text("container grade-web runs\ncontainer grade-failed runs  # start it\n")
    command = [sys.executable, "-m", "pydock_lab.client.cli", "-H", daemon.host, "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert json.dumps(done.stdout.splitlines(), ensure_ascii=False) == json.dumps(
        [
            "✓ grade-web runs",
            "✕ grade-failed has exited with status 3",
            "    start it",
            "1 of 2 are as they should be.",
        ],
        ensure_ascii=False,
    )
