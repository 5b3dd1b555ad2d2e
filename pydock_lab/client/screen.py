"""What commands show on a terminal or into a pipe: the `Output` of `pydock`."""

from __future__ import annotations

import sys
from typing import BinaryIO

from pydock_lab.client.commands.session import BuildEvent, Progress, Stream, Terminal
from pydock_lab.client.commands.text import humanize

_BAR = 25
_HOME = "\x1b[2J\x1b[H"
_UP, _DOWN, _CLEAR = "\x1b[{}A", "\x1b[{}B", "\x1b[2K\r"


class Screen:
    """Standard output and standard error of this process.

    Args:
        stdout, stderr: Binary files.
    """

    def __init__(self, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self._streams = {"stdout": stdout, "stderr": stderr}
        self._lines: dict[str, int] = {}

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Write at once."""
        self._lines.clear()
        target = self._streams[stream]
        target.write(data.encode() if isinstance(data, str) else data)
        target.flush()

    def redraw(self, text: str) -> None:
        """Show a text from the top of the screen, as `docker stats` does."""
        self.write("stdout", f"{_HOME}{text}\n")

    def progress(self, event: Progress) -> None:
        """Show a transfer: each layer's line redrawn in place on a terminal, plain lines elsewhere."""
        stream: Stream = "stderr" if event.aside else "stdout"
        bar = _bar(event)
        if not self._streams[stream].isatty():
            if not bar:  # a pipe gets what happened, not how far it is
                self._plain(stream, event)
        elif not event.id:
            self.write(stream, f"{event.status}\n")
        else:
            self._redraw(stream, event.id, f"{event.id}: {event.status} {bar}".rstrip())

    def build(self, event: BuildEvent) -> None:
        """Show a build as the docker CLI does: the stream's own text."""
        if event.kind != "error":
            self.write("stdout", event.raw)

    def terminal(self) -> Terminal | None:
        """Return the terminal where stdin and stdout both are one."""
        if not (sys.stdin is not None and sys.stdin.isatty() and self._streams["stdout"].isatty()):
            return None
        from pydock_lab.client.terminal import LocalTerminal

        return LocalTerminal()

    def _plain(self, stream: Stream, event: Progress) -> None:
        self.write(stream, f"{event.id}: {event.status}\n" if event.id else f"{event.status}\n")

    def _redraw(self, stream: Stream, identifier: str, line: str) -> None:
        target = self._streams[stream]
        if identifier not in self._lines:
            self._lines[identifier] = len(self._lines)
            target.write(f"{line}\n".encode())
        else:
            up = len(self._lines) - self._lines[identifier]
            target.write((_UP.format(up) + _CLEAR + line + _DOWN.format(up) + "\r").encode())
        target.flush()


def _bar(event: Progress) -> str:
    """`[====>      ]  1.2MB/7.8MB`, or "" where there is nothing to measure."""
    if not event.current:
        return ""
    if not event.total:
        return humanize.size(event.current)
    done = min(event.current * _BAR // event.total, _BAR)
    drawn = ("=" * done + ">")[:_BAR].ljust(_BAR)
    return f"[{drawn}]  {humanize.size(event.current)}/{humanize.size(event.total)}"
