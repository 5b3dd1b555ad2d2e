"""`-it` in a cell: the container's terminal goes on living in the cell's output, and the cell ends.

Other cells can then look at the container while its shell is open, and "run all
cells" does not wait for somebody to type `exit`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from pydock_lab.client.commands.session import ResizeCallback
from pydock_lab.client.detach import DetachKeys
from pydock_lab.client.hijack import HijackedStream
from pydock_lab.errors import LabError

_ROWS, _COLUMNS = 24, 80
_CHUNK = 65536
_WAITING = 4 * _CHUNK
_QUICK_S, _BUSY_S = 0.025, 0.1
_AHEAD = 8
_GONE_S = 10.0

ENDED = "ended"
DETACHED = "detached: the container runs on"


def somebody_can_type() -> bool:
    """Whether the cell that is running was started by a front end with a person at it."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    content = kernel.get_parent("shell").get("content") or {}
    return bool(content.get("allow_stdin"))  # nbclient and nbconvert say no


class CellTerminal:
    """The terminal of a cell; a `Terminal` of client/commands/session.py.

    Args:
        label: The command, for the reader.
        write: Shows output of a container that nobody can type to.
    """

    def __init__(self, label: str, write: Callable[[bytes], None]) -> None:
        self._label = label
        self._write = write

    def size(self) -> tuple[int, int]:
        """Return rows and columns to begin with; the page tells its own soon."""
        return _ROWS, _COLUMNS

    def attach(self, stream: HijackedStream, *, detach_keys: bytes, resized: ResizeCallback) -> bool:
        """Open the terminal on the page and leave the stream to it; without keys, show output to the end."""
        if not detach_keys:
            for data in iter(stream.read, b""):
                self._write(data)
            return False
        _Conversation(self._label, stream.handed_over(), detach_keys, resized).begin()
        return True  # as if detached: the command is over, the session is not


class _Conversation:
    """What goes on between one stream and one widget, in threads: reading, drawing, typing."""

    def __init__(self, label: str, stream: HijackedStream, detach_keys: bytes, resized: ResizeCallback) -> None:
        from pydock_lab.notebook.widgets.terminal import TerminalWidget

        self._stream = stream
        self._keys = DetachKeys(detach_keys)
        self._resized = resized
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._buffer = bytearray()
        self._change = threading.Condition()
        self._over = False
        self._outcome = ENDED
        self._widget = TerminalWidget(label, self._typed, self._answered, self._size_changed)

    def begin(self) -> None:
        """Show the terminal and start."""
        from IPython.display import display

        text = f"Terminal: {self._widget.label} (it lives where a kernel runs)"
        display(self._widget._repr_mimebundle_()[0] | {"text/plain": text}, raw=True)
        for act in (self._read, self._draw, self._obey):
            threading.Thread(target=act, name="pydock-terminal", daemon=True).start()

    def _typed(self, data: bytes) -> None:
        passed, detached = self._keys.feed(data)
        if passed:
            self._orders.put(lambda: self._stream.write(passed))
        if detached:
            self._outcome = DETACHED
            self._orders.put(self._stream.close)

    def _answered(self, data: bytes) -> None:
        """Pass on what nobody typed: a shell asks where the cursor is, and the answer may come between two keys."""
        self._orders.put(lambda: self._stream.write(data))

    def _size_changed(self, rows: int, columns: int) -> None:
        self._orders.put(lambda: self._resized(rows, columns))

    def _obey(self) -> None:
        """Write and resize in a thread: a process that does not read must not keep messages waiting."""
        while (order := self._orders.get()) is not None:
            try:
                order()
            except (OSError, LabError):  # the process has ended meanwhile, and its terminal with it
                continue

    def _read(self) -> None:
        """Take output while the page keeps up; the container has to wait when it does not."""
        while True:
            try:
                data = self._stream.read(_CHUNK)
            except OSError:  # closed by detaching
                data = b""
            with self._change:
                if not data:
                    self._over = True
                    self._change.notify_all()
                    return
                self._buffer += data
                self._change.notify_all()
                self._change.wait_for(lambda: len(self._buffer) < _WAITING)

    def _draw(self) -> None:
        """Send what has come: soon after a silence, else ten times a second."""
        sent_at = 0.0
        while True:
            with self._change:
                self._change.wait_for(lambda: self._buffer or self._over)
                if not self._buffer:
                    break
            time.sleep(_QUICK_S if time.monotonic() - sent_at > _BUSY_S else _BUSY_S)
            with self._change:
                data = bytes(self._buffer[:_CHUNK])
                del self._buffer[:_CHUNK]
                self._change.notify_all()
            self._wait_for_the_page(self._widget.write(data))
            sent_at = time.monotonic()
        self._orders.put(None)
        self._stream.close()
        self._widget.end(self._outcome)

    def _wait_for_the_page(self, packet: int) -> None:
        """Be a few packets ahead at most; a page that is silent for long is not looked at."""
        widget = self._widget
        with widget.moved:
            if not widget.moved.wait_for(lambda: widget.drawn >= packet - _AHEAD, timeout=_GONE_S):
                widget.drawn = packet
