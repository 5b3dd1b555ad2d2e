"""A terminal in the cell's output: xterm.js, and the messages between it and the kernel.

The page acknowledges what it has drawn; whoever feeds this widget can tell how
far the page is behind. Packets carry numbers, so that a page that has missed
one (it was reloaded, or opened twice) asks for the screen anew. What is typed
carries numbers too: JupyterLab and ipykernel 7 may send one comm's messages
through the kernel's main shell and through a subshell, each in a thread of its own.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_HERE = Path(__file__).parent
_REPLAYED = 128 * 1024
_LOST_S = 2.0

Typed = Callable[[bytes], None]
Resized = Callable[[int, int], None]


class TerminalWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """One terminal.

    Args:
        label: What runs in it.
        typed: Called with what was typed or pasted.
        answered: Called with what the terminal itself says: where the cursor is, when the process asks.
        resized: Called with rows and columns, at the start and whenever they change.

    Attributes:
        drawn: The number of the last packet that a page has drawn.
        moved: Notified when `drawn` has changed.
    """

    _esm = "".join((_HERE / name).read_text("utf-8") for name in ("vendor/xterm.js", "elements.js", "terminal.js"))
    _css = "".join(
        path.read_text("utf-8")
        for path in (_HERE.parent / "theme.css", _HERE / "vendor" / "xterm.css", _HERE / "terminal.css")
    )

    label = traitlets.Unicode().tag(sync=True)
    state = traitlets.Unicode("running").tag(sync=True)

    def __init__(self, label: str, typed: Typed, answered: Typed, resized: Resized) -> None:
        super().__init__(label=label)
        self.drawn = 0
        self.moved = threading.Condition()
        self._typed = typed
        self._answered = answered
        self._resized = resized
        self._sent = 0
        self._past: deque[bytes] = deque()
        self._past_size = 0
        self._arriving = InOrder()
        self.on_msg(self._hear)

    def write(self, data: bytes) -> int:
        """Send output to the page; return the packet's number."""
        with self.moved:
            self._sent += 1
            self._past.append(data)
            self._past_size += len(data)
            while self._past_size > _REPLAYED and len(self._past) > 1:
                self._past_size -= len(self._past.popleft())
            number = self._sent
        self.send({"type": "out", "packet": number}, [data])
        return number

    def end(self, text: str) -> None:
        """Say that nothing more will come."""
        self.state = text

    def _hear(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        kind = message.get("type")
        if kind in ("in", "answer"):
            said = str(message["data"]).encode("utf-8", "surrogatepass")
            act = self._typed if kind == "in" else self._answered
            self._arriving.take(str(message["page"]), int(message["number"]), lambda: act(said))
        elif kind == "ack":
            self._note(int(message["packet"]))
        elif kind == "size":
            rows, columns = int(message["rows"]), int(message["columns"])
            self._arriving.take(str(message["page"]), int(message["number"]), lambda: self._resized(rows, columns))
        elif kind == "watch":
            self.send({"type": "alive"})
        elif kind == "ready":  # a page that is new, or has missed something
            self.send(*self._screen())

    def _screen(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the message that draws all anew, what was drawn before apart: its questions have been answered."""
        with self.moved:
            past, number = list(self._past), self._sent
            seen = max(0, len(past) - (number - self.drawn))
        return {"type": "screen", "packet": number}, [b"".join(past[:seen]), b"".join(past[seen:])]

    def _note(self, packet: int) -> None:
        with self.moved:
            self.drawn = max(self.drawn, packet)
            self.moved.notify_all()


@dataclass
class _Page:
    due: int = 1
    early: dict[int, Callable[[], None]] = field(default_factory=dict)
    patience: threading.Timer | None = None


class InOrder:
    """Acts upon what pages send in the order in which each sent it, from whichever thread it arrives.

    Args:
        lost_s: How long what has arrived waits for what was sent before; then that is lost, with a connection
            or a comm that was not there yet, and typing must not end with it.
    """

    def __init__(self, lost_s: float = _LOST_S) -> None:
        self._lost_s = lost_s
        self._lock = threading.Lock()
        self._pages: defaultdict[str, _Page] = defaultdict(_Page)

    def take(self, sender: str, number: int, act: Callable[[], None]) -> None:
        """Act when all that the page sent before has arrived.

        Args:
            sender: Names the page.
            number: From 1, of this message among the page's own.
            act: Must not wait: others wait meanwhile.
        """
        with self._lock:
            page = self._pages[sender]
            if number < page.due:  # given up already
                act()
                return
            page.early[number] = act
            self._act(page)

    def _act(self, page: _Page) -> None:
        """Act upon what is due; be patient with the rest."""
        before = page.due
        while (turn := page.early.pop(page.due, None)) is not None:
            turn()
            page.due += 1
        if page.patience is not None and (page.due > before or not page.early):
            page.patience.cancel()
            page.patience = None
        if page.early and page.patience is None:
            page.patience = threading.Timer(self._lost_s, self._give_up, (page, page.due))
            page.patience.daemon = True
            page.patience.start()

    def _give_up(self, page: _Page, due: int) -> None:
        """Go on without what has not come."""
        with self._lock:
            if page.due == due and page.early:
                page.patience = None
                page.due = min(page.early)
                self._act(page)
