"""The magics: the docker command line in cells.

`%container run …` is `docker container run …`; `%docker …` takes a whole line as
the notes write it; `%%dockerfile -t TAG` builds the cell; `%lab` is what the lab
adds; `%%predict`, `%%reveal` and `%check` ask the engine about a learner's
answers and work. The grammar is the client's (client/commands); here are only a cell's way
in (words, variables, the cell's text) and its way out (pictures, errors).
"""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand

from pydock_lab.errors import InvalidParameter, LabError
from pydock_lab.notebook.failure import CommandFailed
from pydock_lab.notebook.grading_magics import Desk
from pydock_lab.notebook.statement import value_is_used, visible_names
from pydock_lab.notebook.words import quote, split

if TYPE_CHECKING:
    from pydock_lab.client.commands.session import Output, Result, Session
    from pydock_lab.client.connection import Connection
    from pydock_lab.notebook.machine import Machine
    from pydock_lab.notebook.shown import Shown
    from pydock_lab.notebook.steady import Steady

NOUNS = ("container", "image", "volume", "network", "system", "builder", "context", "compose")
LINE_MAGICS = ("docker", *NOUNS, "lab", "registry", "check")
CELL_MAGICS = ("dockerfile", "docker", "container", "compose", "predict", "reveal", "check")

_GRACE_S = 2.0
_RUNS_ON = {
    "attach": "the container got the interrupt too; if it ignores it, it runs on: `%container stop` ends it",
    "start": "the container got the interrupt too; if it ignores it, it runs on: `%container stop` ends it",
    "exec": "Docker can't signal a process of exec: it goes on in the container, as `%container top` shows",
}

Magic = Callable[..., Any]
F = TypeVar("F", bound=Magic)
T = TypeVar("T")


def _own_words(function: F) -> F:
    """Keep IPython from expanding `$` and braces before words.py reads the line."""
    return cast(F, no_var_expand(function))


class LabMagics:
    """The magics of one shell, with one connection to one engine.

    Args:
        shell: The running IPython shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._connection: Connection | None = None
        self._connected_to: str | None = None
        self._steady: Steady | None = None
        self._seen: dict[str, dict[str, Any]] = {}
        self._machine: Machine | None = None
        self._said: set[str] = set()
        self._desk = Desk(self._words)
        # The notebook's path, as Jupyter Server tells its kernels: it goes on where a restarted kernel stopped.
        self.lesson = os.environ.get("JPY_SESSION_NAME") or f"kernel {os.getpid()}, {time.time():.0f}"

    @property
    def connection(self) -> Connection:
        """The engine of this notebook; follows a changed DOCKER_HOST."""
        from pydock_lab.client.connection import Connection

        host = os.environ.get("DOCKER_HOST")
        if self._connection is None or self._connected_to != host:
            self._connection, self._connected_to = Connection(lesson=self.lesson), host
        return self._connection

    @property
    def steady(self) -> Steady:
        """The filter that makes outputs comparable, off unless PYDOCK_SEED is set."""
        from pydock_lab.notebook.steady import Steady

        if self._steady is None:
            self._steady = Steady.from_environment(typed=self._was_typed)
        return self._steady

    @property
    def machine(self) -> Machine:
        """The virtual machine of this notebook; not booted before it is asked for."""
        from pydock_lab.notebook.machine import Machine

        if self._machine is None:
            self._machine = Machine()
        return self._machine

    def variables(self) -> list[str]:
        """The names that the learner has made."""
        hidden = self.shell.user_ns_hidden
        return [name for name in self.shell.user_ns if name not in hidden and not name.startswith("_")]

    def _was_typed(self, text: str) -> bool:
        return any(text in cell for cell in self.shell.user_ns.get("In", ()))

    def line_functions(self) -> dict[str, Magic]:
        """The line magics by name."""

        def of_noun(noun: str) -> Magic:
            @_own_words
            def magic(line: str) -> Shown:
                return self._explained([noun, *self._words(line)])

            magic.__doc__ = f"`docker {noun} …`; `%{noun} --help` lists the commands."
            return magic

        functions: dict[str, Magic] = {noun: of_noun(noun) for noun in NOUNS}
        return functions | {"docker": self.docker, "lab": self.lab, "registry": self.registry, "check": self.check}

    def cell_functions(self) -> dict[str, Magic]:
        """The cell magics by name."""

        @_own_words
        def container(line: str, cell: str) -> Shown:
            """`docker container …` with the cell's text as its standard input."""
            return self._command(["container", *self._words(line)], stdin=cell)

        @_own_words
        def compose(line: str, cell: str) -> Shown:
            """`docker compose …` with the cell's text as the Compose file: `%%compose up -d`."""
            from pydock_lab.client.commands.advice import compose_notes

            return self._noted(["compose", "--file", "-", *self._words(line)], cell, compose_notes(cell))

        docker = {"dockerfile": self.dockerfile, "docker": self.docker, "container": container, "compose": compose}
        return docker | {"predict": self.predict, "reveal": self.reveal, "check": self.check}

    @_own_words
    def docker(self, line: str, cell: str | None = None) -> Shown:
        """Run a whole docker command line: `%docker run --rm alpine true`.

        As `%%docker`, the cell's text is the command's standard input.
        """
        words = self._words(line)
        return self._explained(words[1:] if words[:1] == ["docker"] else words, stdin=cell)

    @_own_words
    def dockerfile(self, line: str, cell: str) -> Shown:
        """Build the cell: `%%dockerfile -t TAG [--context DIR] [flags of docker build]`.

        The cell's text is the Dockerfile, word for word; the context is the notebook's directory
        unless --context names another.
        """
        from pydock_lab.client.commands.advice import dockerfile_notes

        words = self._words(line)
        context = _take_option(words, "--context") or "."
        return self._noted(["image", "build", "--file", "-", *words, context], cell, dockerfile_notes(cell))

    @_own_words
    def lab(self, line: str) -> Any:
        """What the lab adds to Docker, for example `%lab layers IMAGE`; `%lab --help` lists the commands."""
        from pydock_lab.notebook.lab_commands import Lab, run

        lab = Lab(self.connection, self.steady, self._seen, self.machine, self._command)
        return self._guarded(lambda: run(self._words(line), lab))

    @_own_words
    def registry(self, line: str) -> Shown:
        """A registry of your own: `%registry up`, then push to it; `%registry --help` lists the commands."""
        from pydock_lab.client.registry import ask
        from pydock_lab.notebook.screen import Screen
        from pydock_lab.notebook.shown import Shown

        session = self._session(Screen(self.steady, quiet=True))
        result = self._guarded(lambda: ask(self._words(line), session, program="%registry"))
        shown = Shown.of(result, self.steady)
        if not value_is_used():
            shown.show()
            shown.displayed = True
        return shown

    @_own_words
    def predict(self, line: str, cell: str) -> None:
        """Commit to answers before you run: `%%predict NAME`, then `question: answer` on each line."""
        self._guarded(lambda: self._desk.predict(line, cell))

    @_own_words
    def reveal(self, line: str, cell: str) -> None:
        """Let the engine score a prediction: `%%reveal NAME`, then `question: how to find out` on each line."""
        self._guarded(lambda: self._desk.reveal(line, cell, self.connection, self.steady))

    @_own_words
    def check(self, line: str, cell: str | None = None) -> Any:
        """Check your work: `%check container web runs`, or `%%check` with a question on each line."""
        return self._guarded(lambda: self._desk.check(line, cell, self.connection, self.steady))

    def _words(self, line: str) -> list[str]:
        try:
            return split(line, visible_names(self.shell.user_ns), self._substitute)
        except InvalidParameter as error:
            raise CommandFailed.of(error) from None

    def _substitute(self, command: str) -> str:
        """Run the command of a `$(…)`: ours if it is docker's, the shell's otherwise."""
        from pydock_lab.notebook.screen import Capture

        words = command.split(maxsplit=1)
        if not words or words[0] != "docker":
            done = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, check=False)
            return done.stdout
        capture = Capture()
        result = self._guarded(lambda: self._run(self._words(command)[1:], capture))
        return capture.text + result.text

    def _explained(self, argv: list[str], *, stdin: str | None = None) -> Shown:
        """Run a command line; `run --explain …` shows afterwards how the container was started."""
        at = argv.index("run") + 1 if "run" in argv[:2] else 0
        if not at or argv[at : at + 1] != ["--explain"]:
            return self._command(argv, stdin=stdin)
        from pydock_lab.notebook.lab_commands import explain

        shown = self._command(argv[:at] + argv[at + 1 :], stdin=stdin)
        name = argv[argv.index("--name") + 1] if "--name" in argv[:-1] else shown.container_id[:12]
        self._guarded(lambda: explain(name, shown.container_id, self.connection, self.steady))
        return shown

    def _noted(self, argv: list[str], cell: str, notes: list[str]) -> Shown:
        """Run a command on the cell's text, and say what there is to say about the text."""
        shown = self._command(argv, stdin=cell)
        fresh = [note for note in notes if note not in shown.notes]
        shown.notes += fresh
        if not value_is_used():
            self._say(fresh)
        return shown

    def _command(self, argv: list[str], *, stdin: str | None = None) -> Shown:
        """Run a docker command line and show what it comes to."""
        from pydock_lab.notebook.screen import Screen
        from pydock_lab.notebook.shown import Shown

        quiet = value_is_used()
        label = "" if stdin is not None else f"docker {quote(argv)}"
        screen = Screen(self.steady, quiet=quiet, terminal=label, read_build=self._build_record)
        error, container_id = "interrupted", ""
        try:
            hint = next((_RUNS_ON[word] for word in argv[:2] if word in _RUNS_ON), None)
            result = self._guarded(lambda: self._run(argv, screen, stdin), hint=hint)
            error, container_id = "", result.container_id
        except CommandFailed as failure:
            error = failure.message
            raise
        finally:
            screen.end(error, rest=_where_the_rest_is(argv, container_id))
        shown = Shown.of(result, self.steady, output=screen.text)
        if not quiet:
            shown.show()
            shown.displayed = True
            self._say(shown.notes)
        return shown

    def _say(self, notes: list[str]) -> None:
        """Show what surprises learners about a command that worked; each once in a kernel's life."""
        from pydock_lab.notebook.shown import show_notes

        fresh = [note for note in notes if note not in self._said]
        self._said.update(fresh)
        if fresh:
            show_notes(fresh, self.steady)

    def _build_record(self, build_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.connection.lab(f"builds/{build_id}")
        return found

    def _run(self, argv: list[str], output: Output, stdin: str | None = None) -> Result:
        from pydock_lab.client.commands.execute import run_line

        return run_line(argv, self._session(output, stdin))

    def _session(self, output: Output, stdin: str | None = None) -> Session:
        from pydock_lab.client.commands.session import Session

        return Session(
            connection=self.connection,
            output=output,
            stdin=None if stdin is None else io.BytesIO(stdin.encode()),
            directory=Path.cwd(),
            environment=os.environ,
            grace_s=_GRACE_S,  # whoever presses the stop button wants the cell to stop
        )

    def _guarded(self, act: Callable[[], T], *, hint: str | None = None) -> T:
        """Turn what commands raise into what a learner reads; `hint` is for an interrupt."""
        try:
            return act()
        except LabError as error:
            raise self._failed(CommandFailed.of(error)) from None
        except KeyboardInterrupt:
            raise CommandFailed("interrupted", hint=hint, exit_code=130) from None

    def _failed(self, failure: CommandFailed) -> CommandFailed:
        hint = failure.hint and self.steady.text(failure.hint)
        return CommandFailed(self.steady.text(failure.message), hint=hint, exit_code=failure.exit_code)


def _where_the_rest_is(argv: list[str], container_id: str) -> str:
    """Say where output can be read that was too much for the notebook; "" where it can't."""
    if "logs" in argv[:2]:
        return "--tail 100 shows the end"
    if "run" not in argv[:2]:
        return ""
    if "--rm" in argv or not container_id:
        return "run without --rm, `%container logs` has them"
    return f"`%container logs --tail 100 {container_id[:12]}` has the end"


def _take_option(words: list[str], name: str) -> str | None:
    """Take `--name VALUE` or `--name=VALUE` out of the words."""
    for i, word in enumerate(words):
        if word.startswith(f"{name}="):
            return words.pop(i).partition("=")[2]
        if word == name:
            if i + 1 == len(words):
                raise CommandFailed(f"flag needs an argument: {name}", exit_code=125)
            value = words[i + 1]
            del words[i : i + 2]
            return value
    return None
