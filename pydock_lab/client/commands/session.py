"""What a command works with and what it returns: the contract between commands and their two front ends.

A command gets a `Session` (a connection and a place for output) and returns a
`Result`. The terminal and the notebook differ only in the `Output` they put in:
commands never print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

if TYPE_CHECKING:
    import docker

    from pydock_lab.client.connection import Connection
    from pydock_lab.client.hijack import HijackedStream

Stream = Literal["stdout", "stderr"]
Change = Callable[[Any], Any]
"""Takes rows or a document, returns the same with other values."""


@dataclass(frozen=True)
class Progress:
    """One line of a pull, push, load or import.

    Attributes:
        status: `Pulling fs layer`, `Downloading`, `Status: Downloaded newer image for …`.
        id: The layer (12 digits) or tag it is about, or "" for a line of its own.
        current, total: Bytes, 0 where unknown.
        aside: It is not what the command was asked for (a `run` that has to pull first): a
            terminal shows it on stderr, as Docker does, so that stdout stays the container's.
    """

    status: str
    id: str = ""
    current: int = 0
    total: int = 0
    aside: bool = False


@dataclass(frozen=True)
class BuildEvent:
    """Something a build said.

    Attributes:
        kind: `begun` (build `id`, where the engine keeps a record of it), `step` (an instruction begins),
            `reason` (why it is in the cache or not), `cached`, `running` (in container `id`), `output`
            (of the instruction), `committed` (as `id`), `removed` (container `id`), `notice`,
            `built` (image `id`), `tagged`, `error`.
        step, steps: 1-based number of the current instruction and how many there are; 0 before the first.
        text: The instruction, a piece of output (with its newlines), a tag or a message.
        id: An image or container id as the stream gave it, or "".
        raw: The stream's own text, as the docker CLI prints it.
    """

    kind: Literal[
        "begun",
        "step",
        "reason",
        "cached",
        "running",
        "output",
        "committed",
        "removed",
        "notice",
        "built",
        "tagged",
        "error",
    ]
    step: int
    steps: int
    text: str
    id: str = ""
    raw: str = ""


class Terminal(Protocol):
    """A terminal on the learner's side, for `-it`."""

    def size(self) -> tuple[int, int]:
        """Return rows and columns."""

    def attach(self, stream: HijackedStream, *, detach_keys: bytes, resized: ResizeCallback) -> bool:
        """Carry bytes both ways until the stream ends; return whether the user detached instead.

        Args:
            stream: A raw stream (the container has a tty).
            detach_keys: The bytes that end the session and leave the container running.
            resized: Called with rows and columns at the start and whenever the window changes.
        """


class ResizeCallback(Protocol):
    """Tell the engine the size of the window."""

    def __call__(self, rows: int, columns: int) -> None:
        """Set the size of the container's tty."""


class Output(Protocol):
    """Where a command's output goes while it runs."""

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Write output; bytes are a container's own, text is the command's."""

    def redraw(self, text: str) -> None:
        """Show a text in place of the one that was shown so before (`stats`)."""

    def progress(self, event: Progress) -> None:
        """Show a step of a transfer."""

    def build(self, event: BuildEvent) -> None:
        """Show a step of a build."""

    def terminal(self) -> Terminal | None:
        """Return the learner's terminal, or None where there is none."""


@dataclass
class Session:
    """What commands share: the connection, the output, and where the user stands.

    Attributes:
        connection: Connects on first use.
        output: Of the front end.
        stdin: What `-i`, `load`, `import -` and `build -` read, or None for nothing.
        directory: The user's working directory (build contexts, `cp`, relative binds); absolute.
        environment: For `-e NAME` without a value.
        grace_s: Seconds that the container of a `run` in the foreground has to end after an interrupt, before
            it is killed: a cell that is stopped leaves nothing running. None: as with Docker's CLI the container
            gets each interrupt, and at the third the command gives up waiting.
    """

    connection: Connection
    output: Output
    stdin: BinaryIO | None = None
    directory: Path = field(default_factory=Path.cwd)
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float | None = None

    @property
    def client(self) -> docker.DockerClient:
        """docker-py's client of the engine; starts the user's daemon if there is none."""
        return self.connection.client

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Ask for the document of one object.

        Args:
            kind: `containers`, `images`, `volumes` or `networks`.
            name: Its name or id.

        Raises:
            EngineError: there is none.
        """
        path = f"/{kind}/{name}" + ("/json" if kind in ("containers", "images") else "")
        document: dict[str, Any] = self.connection.request("GET", path).json()
        return document

    def path(self, text: str) -> Path:
        """Resolve a path as the user wrote it."""
        return (self.directory / Path(text).expanduser()).absolute()

    def say(self, text: str, stream: Stream = "stdout") -> None:
        """Write one line of the command's own."""
        self.output.write(stream, f"{text}\n")

    def interruptible(self) -> AbstractContextManager[None]:
        """Mark where Ctrl-C ends a wait quietly (following logs, events, stats)."""
        import contextlib

        return contextlib.suppress(KeyboardInterrupt)


@dataclass
class Result(Sequence[Mapping[str, str]]):
    """What a command came to; a sequence of its table's rows.

    Attributes:
        exit_code: Docker's exit status.
        text: What is left to show, as Docker prints it, without a newline at the end; streamed
            output and names already shown with `say` are not repeated here.
        columns: Headings of the table: `("CONTAINER ID", "IMAGE", …)`; empty if it is no table.
        rows: The table's cells by heading, untruncated where truncation hides something.
        documents: What the engine answered, where the command shows documents (inspect, version, info).
        container_id, image_id: Full ids where the command made or ran one.
        names: What the command acted on, as named by the user (stop, rm, volume create, …).
        notes: What surprises learners about a command that worked; no part of its output.
        as_text: The user has chosen the form of the text (`--format`, `--quiet`): no front end shows a table instead.
        layout: Makes `text` again, of the rows or documents that a function has changed; None for other texts.
    """

    exit_code: int = 0
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: list[dict[str, str]] = field(default_factory=list)
    documents: list[Any] = field(default_factory=list)
    container_id: str = ""
    image_id: str = ""
    names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    as_text: bool = False
    layout: Callable[[Change], str] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return self.exit_code == 0

    def __str__(self) -> str:
        return self.text
