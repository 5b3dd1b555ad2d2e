"""The magics in a real IPython shell against a real daemon."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import pytest
from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.client.docker_command import BIN
from pydock_lab.notebook.failure import CommandFailed
from pydock_lab.notebook.screen import LIMIT, TAIL
from tests.api.wire import eventually
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def shell(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("IPYTHONDIR", "/nowhere")
    monkeypatch.chdir(tmp_path)  # which builds send as their context
    assert daemon.docker("pull", "busybox").returncode == 0
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "pydock_lab")
    yield shell
    daemon.docker("rm", "-f", "magic")
    shell.run_line_magic("unload_ext", "pydock_lab")
    shell.history_manager.end_session()


def test_a_run_streams_to_stdout_and_nothing_is_on_stderr(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run_cell("%docker run --rm busybox sh -c 'echo out; echo err >&2'").success
    printed = capsys.readouterr()
    assert set(printed.out.split()) >= {"out", "err"}
    assert printed.err == ""


def test_the_cell_is_the_standard_input(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell("%%container run --rm -i busybox sh\necho $((6 * 7))\n").success
    assert "42" in capsys.readouterr().out


def test_an_assigned_result_is_quiet_and_names_its_container(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run_cell("web = %container run -d --name magic busybox sleep 60").success
    assert shell.run_cell("said = %container exec $web sh -c 'echo $HOSTNAME'").success
    assert capsys.readouterr().out == ""
    container_id = shell.user_ns["web"].container_id
    assert str(shell.user_ns["web"]) == container_id
    assert str(shell.user_ns["said"]) == container_id[:12]
    assert shell.run_cell("%docker rm -f $(docker ps -q --filter name=magic)").success
    assert shell.run_cell("left = %container ls -a --filter name=magic").success
    assert list(shell.user_ns["left"]) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-q", "{id}"),
        ("--format '{{{{.Names}}}}: {{{{.State}}}}'", "magic: created"),
        ("--format 'table {{{{.Names}}}}\\t{{{{.State}}}}'", "NAMES     STATE\nmagic     created"),
    ],
)
def test_the_form_that_was_asked_for_is_what_is_shown(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], flags: str, said: str
) -> None:
    assert shell.run_cell("web = %container create --name magic busybox").success
    listing = f"%container ls -a --filter name=magic {flags.format()}"
    assert shell.run_cell(f"{listing}\nfound = {listing}").success
    assert capsys.readouterr().out == said.format(id=str(shell.user_ns["web"])[:12]) + "\n"
    assert [row["NAMES"] for row in shell.user_ns["found"]] == ["magic"]


def test_results_are_what_pandas_takes(shell: InteractiveShell, daemon: Daemon) -> None:
    assert shell.run_cell("web = %container run -d --name magic busybox sleep 60").success
    assert shell.run_cell("rows = %container ls --filter name=magic\nfound = %container inspect magic").success
    table, run, inspected = (pandas.DataFrame(shell.user_ns[name]) for name in ("rows", "web", "found"))
    assert list(table["NAMES"]) == ["magic"]
    assert list(table["CONTAINER ID"]) == list(run["CONTAINER ID"])
    assert list(inspected["Id"]) == [str(shell.user_ns["web"])]
    assert list(pandas.json_normalize(list(shell.user_ns["found"]))["State.Status"]) == ["running"]
    assert shell.run_cell("none = %container ls --filter name=nobody").success
    assert pandas.DataFrame(shell.user_ns["none"]).empty


def test_a_cell_builds_its_text_word_for_word(shell: InteractiveShell, daemon: Daemon) -> None:
    cell = "%%dockerfile -t magic:1\nFROM busybox\nENV A={tag} B=$tag\nENV tag=late\n"
    assert shell.run_cell("tag = 'python'").success
    assert shell.run_cell(cell).success
    said = daemon.docker("image", "inspect", "-f", "{{.Config.Env}}", "magic:1").stdout
    daemon.docker("image", "rm", "magic:1")
    assert "A={tag}" in said
    assert "python" not in said


def test_output_is_bounded(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell(f"%docker run --rm busybox sh -c 'yes | head -c {10 * LIMIT}'").success
    printed = capsys.readouterr().out
    assert len(printed) < LIMIT + TAIL + 1000
    assert "characters are left out here; run without --rm, `%container logs` has them" in printed


def test_the_end_of_much_output_is_shown(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell(f"%docker run --rm busybox sh -c 'yes | head -c {2 * LIMIT}; echo the end'").success
    assert "the end\n" in capsys.readouterr().out


def command_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


@contextlib.contextmanager
def interrupt_when(ready: Callable[[], bool]) -> Iterator[None]:
    """Press the stop button as soon as something is so."""

    def press() -> None:
        for _ in range(600):
            if ready():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    presser = threading.Thread(target=press)
    presser.start()
    yield
    presser.join()


def test_an_interrupt_is_the_containers_and_its_last_words_are_shown(
    shell: InteractiveShell, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    script = 'trap "echo bye; exit 7" INT; echo ready; while :; do sleep 0.1; done'
    with interrupt_when(lambda: "ready" in daemon.docker("logs", "magic").stdout):
        error = shell.run_cell(f"%container run --name magic busybox sh -c '{script}'").error_in_exec
    assert isinstance(error, CommandFailed)
    assert (error.message, error.hint) == ("interrupted", None)
    assert "bye" in capsys.readouterr().out
    assert daemon.docker("inspect", "-f", "{{.State.ExitCode}}", "magic").stdout == "7\n"


@pytest.mark.parametrize("flag", ["", "--rm"])
def test_an_interrupt_ends_a_container_that_takes_no_notice(shell: InteractiveShell, daemon: Daemon, flag: str) -> None:
    with interrupt_when(lambda: bool(daemon.docker("ps", "-q", "--filter", "name=magic").stdout)):
        error = shell.run_cell(f"%container run {flag} --name magic busybox sleep 60").error_in_exec
    assert isinstance(error, CommandFailed)
    assert error.message == "interrupted"
    assert "`--init`" in str(error.hint)
    left = daemon.docker("ps", "-a", "--filter", "name=magic", "--format", "{{.Status}}").stdout
    assert left == "" if flag else left.startswith("Exited (137)")


def test_what_others_may_need_runs_on_after_an_interrupt(shell: InteractiveShell, daemon: Daemon) -> None:
    assert shell.run_cell("up = %container run -d --name magic busybox sleep 60").success
    with interrupt_when(lambda: "sleep 50" in daemon.docker("top", "magic").stdout):
        error = shell.run_cell("%container exec magic sleep 50").error_in_exec
    assert "goes on in the container" in str(getattr(error, "hint", ""))
    assert "sleep 50" in daemon.docker("top", "magic").stdout


def test_an_interrupted_build_leaves_no_container_and_says_so(
    shell: InteractiveShell, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    nap = str(60 + secrets.randbelow(10**6) / 10**6)

    def building() -> bool:
        commands = [command_of(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
        return f"sleep\0{nap}\0".encode() in commands

    with interrupt_when(building):
        error = shell.run_cell(f"%%dockerfile -t magic:slow\nFROM busybox\nRUN exec sleep {nap}\n").error_in_exec
    assert isinstance(error, CommandFailed)
    last = capsys.readouterr().out
    assert "canceled RUN exec sleep" in last
    assert "The build was interrupted" in last
    eventually(lambda: not building())
    assert daemon.docker("ps", "-aq").stdout == ""
    assert daemon.docker("images", "-q", "magic").stdout == ""


def test_what_surprises_is_said_once(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    run = "%docker run --rm -v /tmp:/app busybox true"
    assert shell.run_cell(run).success
    assert "with a path this is a bind mount" in capsys.readouterr().out
    assert shell.run_cell(run).success
    assert "bind mount" not in capsys.readouterr().out
    assert shell.run_cell("quiet = %docker run --rm -v /var:/app busybox true").success
    assert capsys.readouterr().out == ""
    assert "with a path this is a bind mount" in shell.user_ns["quiet"].notes[0]


def test_a_dockerfile_cell_tells_what_learners_take_for_granted(
    shell: InteractiveShell, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run_cell("%%dockerfile -t magic:2\nFROM busybox\nLABEL mantainer=me\n").success
    daemon.docker("image", "rm", "magic:2")
    assert "did you mean `maintainer`?" in capsys.readouterr().out


@pytest.mark.parametrize("real", [True, False])
def test_docker_in_a_shell_is_the_real_cli_or_ours(
    shell: InteractiveShell, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, real: bool
) -> None:
    if not real:
        entries = os.environ["PATH"].split(os.pathsep)
        without = [entry for entry in entries if entry == str(BIN) or not (Path(entry) / "docker").exists()]
        monkeypatch.setenv("PATH", os.pathsep.join(without))
    assert shell.run_cell("said = !docker run --name magic busybox echo 'from a  shell'; docker ps -aq | wc -l").success
    assert next(iter(shell.user_ns["said"])) == "from a  shell"
    shell.run_cell("said = !docker logs magic && docker rm magic")
    assert list(shell.user_ns["said"]) == ["from a  shell", "magic"]
    shell.run_cell("said = !docker container log")
    assert "docker" in shell.user_ns["said"][0]
    assert "pydock" not in "".join(shell.user_ns["said"])
