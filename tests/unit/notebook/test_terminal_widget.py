"""What is typed reaches the shell in the order in which it was typed."""

from __future__ import annotations

import pytest

from pydock_lab.notebook.widgets import terminal
from pydock_lab.notebook.widgets.terminal import TerminalWidget


class Typing:
    """A terminal whose pages' messages arrive as the test says."""

    def __init__(self) -> None:
        self.heard = ""
        self.widget = TerminalWidget("sh", self._typed, lambda rows, columns: None)

    def _typed(self, data: bytes) -> None:
        self.heard += data.decode()

    def arrives(self, number: int, data: str, page: str = "a") -> None:
        self.widget._hear(None, {"type": "in", "data": data, "page": page, "number": number}, [])


def test_what_overtakes_waits() -> None:
    typing = Typing()
    for number, data in ((2, "r"), (4, "ß"), (1, "g"), (3, "ü"), (5, "e")):
        typing.arrives(number, data)
    assert typing.heard == "grüße"


def test_two_pages_count_for_themselves() -> None:
    typing = Typing()
    typing.arrives(1, "x", page="a")
    typing.arrives(1, "y", page="b")
    typing.arrives(2, "z", page="a")
    assert typing.heard == "xyz"


def test_a_lost_message_holds_nothing_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    typing, now = Typing(), [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    typing.arrives(1, "a")
    now[0] = 100.0  # nobody types for a while: that is no loss
    typing.arrives(3, "c")
    assert typing.heard == "a"
    now[0] = 103.0
    typing.arrives(4, "d")
    assert typing.heard == "acd"
    typing.arrives(2, "b")  # late after all
    typing.arrives(5, "e")
    assert typing.heard == "acdbe"
