"""What Compose says while it works: ` Container demo-web-1  Started`."""

from __future__ import annotations

import threading

from pydock_lab.client.commands.session import BuildEvent, Output, Progress, Session, Stream, Terminal


class Report:
    """Says what happens to what, from any thread; on stderr, as Compose does.

    Args:
        session: The session.
        quiet: Say no steps, only warnings and what was asked for.
        dry_run: Nothing is done, and each line says so.

    Attributes:
        dry_run: As given.
    """

    def __init__(self, session: Session, *, quiet: bool = False, dry_run: bool = False) -> None:
        self._session = session
        self._quiet = quiet
        self.dry_run = dry_run

    def did(self, kind: str, name: str, what: str) -> None:
        """Say one thing.

        Args:
            kind: `Container`, `Network`, `Volume`, `Image`.
            name: Its name.
            what: `Creating`, `Started`, …
        """
        self.step(f" {kind} {name}  {what}")

    def step(self, text: str) -> None:
        """Say a line about something that is done, or would be."""
        if not self._quiet:
            self.line(f" DRY-RUN MODE - {text}" if self.dry_run else text)

    def line(self, text: str) -> None:
        """Say a line."""
        self._session.say(text, "stderr")

    def warn(self, text: str) -> None:
        """Say a warning, as Compose's log writes it."""
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        self.line(f'level=warning msg="{escaped}"')


class OneAtATime:
    """An output that many threads write to.

    Args:
        output: Of the front end.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Write output."""
        with self._lock:
            self._output.write(stream, data)

    def redraw(self, text: str) -> None:
        """Show a text in place of the one before."""
        with self._lock:
            self._output.redraw(text)

    def progress(self, event: Progress) -> None:
        """Show a step of a transfer."""
        with self._lock:
            self._output.progress(event)

    def build(self, event: BuildEvent) -> None:
        """Show a step of a build."""
        with self._lock:
            self._output.build(event)

    def terminal(self) -> Terminal | None:
        """Return the learner's terminal."""
        return self._output.terminal()
