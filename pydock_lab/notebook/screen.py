"""Where a command's output goes in a notebook: streams, live pictures of builds and transfers.

Everything goes to the cell's stdout, a container's stderr too: in a notebook
the stderr stream means "something is wrong with this cell" (it is red, and
nbgrader counts it as a failure), while servers log there in good health.
The page gets at most ten messages a second whatever a container prints, and the
total is bounded: a talkative container can't fill the notebook's file.
"""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING

from pydock_lab.client.commands.session import BuildEvent, Progress, Stream, Terminal
from pydock_lab.notebook.live import Live
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.views.build import BuildView, ReadRecord
from pydock_lab.notebook.views.transfer import TransferView

if TYPE_CHECKING:
    from pydock_lab.notebook.moving import Moving

LIMIT = 200_000
"""Characters of streamed output that one command may leave in the notebook."""
TAIL = 2_000
"""Characters of the end that are shown where something was left out before them."""


class Screen:
    """The output of one command; an `Output` of client/commands/session.py.

    Args:
        steady: Makes ids and times stable where outputs are compared.
        quiet: Keep what the command prints without showing it: its value is assigned.
        limit: Characters kept of what is streamed.
        terminal: What to call a terminal in the cell; "" where the command is to have none.
        read_build: Asks the engine for the record of a build; see views/build.py.

    Attributes:
        text: What the command wrote to stdout, up to the limit.
    """

    def __init__(
        self,
        steady: Steady,
        *,
        quiet: bool = False,
        limit: int = LIMIT,
        terminal: str = "",
        read_build: ReadRecord | None = None,
    ) -> None:
        self.text = ""
        self._terminal = terminal
        self._quiet = quiet
        self._steady = steady
        self._left = limit
        self._dropped = 0
        self._tail = ""
        self._line = ""  # begun, and not ended yet
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self._build: BuildView | None = None
        self._transfer: TransferView | None = None
        self._live: Live | Moving | None = None
        self._read_build = read_build

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Show a piece of output at once."""
        text = data if isinstance(data, str) else self._decoders[stream].decode(data)
        shown, rest = text[: self._left], text[self._left :]
        self._left -= len(shown)
        if rest:
            self._dropped += len(rest)
            self._tail = (self._tail + rest)[-TAIL:]
        if shown and stream == "stdout":
            self.text += shown
        if shown and not self._quiet:
            self._print(shown)

    def redraw(self, text: str) -> None:
        """Show a text in place of the output so far; only the last one is kept."""
        if not self._quiet:
            from IPython.display import clear_output

            clear_output(wait=True)
            self._print(f"{text}\n")
        self.text = f"{text}\n"

    def progress(self, event: Progress) -> None:
        """Show a step of a transfer; a build's own pull is part of its picture."""
        if self._build is not None:
            self._build.add_transfer(event)
            self._changed()
            return
        if self._transfer is None:
            self._transfer = TransferView()
            self._live = Live(self._transfer.bundle, self._steady)
        self._transfer.add(event)
        self._changed()

    def build(self, event: BuildEvent) -> None:
        """Show a step of a build."""
        if self._build is None:
            self._build = BuildView(self._steady, self._read_build)
            self._live = self._moving(self._build)
        self._build.add(event)
        self._changed()

    def terminal(self) -> Terminal | None:
        """One in the cell's output, where somebody is there to type."""
        from pydock_lab.notebook.terminal import CellTerminal, somebody_can_type

        if not self._terminal or not somebody_can_type():
            return None
        return CellTerminal(self._terminal, lambda data: self.write("stdout", data))

    def end(self, error: str = "", *, rest: str = "") -> None:
        """Let the last picture stand, and say what did not fit.

        Args:
            error: How the command failed, or "".
            rest: Where to read what did not fit.
        """
        if self._build is not None and error:
            self._build.fail(error)
        if self._live is not None:
            self._live.settle()
        self._print("", last=True)
        if self._dropped:
            end = "" if self._quiet else self._tail.partition("\n")[2] or self._tail
            left_out = self._dropped - len(end)
            note = f"\n… {left_out:,} characters are left out here{rest and f'; {rest}'} …\n"
            sys.stdout.write(self._steady.text((note if left_out else "") + end))

    def _print(self, text: str, *, last: bool = False) -> None:
        """Write to the cell; where outputs are compared only whole lines, so that no id is cut in two."""
        if self._steady:
            lines, end, begun = (self._line + text).rpartition("\n")
            self._line = "" if last else begun
            text = self._steady.text(lines + end + (begun if last else ""))
        if text:
            sys.stdout.write(text)
            _flush()

    def _moving(self, build: BuildView) -> Moving:
        from pydock_lab.notebook.moving import Moving
        from pydock_lab.notebook.terminal import somebody_can_type

        return Moving(build.look, build.picture, self._steady, on_page=somebody_can_type())

    def _changed(self) -> None:
        if self._live is not None:
            self._live.changed()


def _flush() -> None:
    """Show what was written; a kernel's stdout does so by itself, five times a second (ipykernel iostream.py)."""
    if not hasattr(sys.stdout, "flush_interval"):
        sys.stdout.flush()


class Capture:
    """The output of a command inside `$(…)`: kept, not shown."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """What was written to stdout."""
        return "".join(self._parts)

    def write(self, stream: Stream, data: str | bytes) -> None:
        """Keep what goes to stdout."""
        if stream == "stdout":
            self._parts.append(data if isinstance(data, str) else data.decode(errors="replace"))

    def redraw(self, text: str) -> None:
        """Keep the last one."""
        self._parts = [f"{text}\n"]

    def progress(self, event: Progress) -> None:
        """A transfer is not part of what a command prints."""

    def build(self, event: BuildEvent) -> None:
        """Keep what the docker CLI prints."""
        self._parts.append(event.raw)

    def terminal(self) -> Terminal | None:
        """There is none."""
        return None
