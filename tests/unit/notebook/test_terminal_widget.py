"""What is typed reaches the shell in the order in which it was typed."""

from __future__ import annotations

from pydock_lab.notebook.widgets.terminal import InOrder, TerminalWidget
from tests.api.wire import eventually


class Typing:
    """A terminal whose pages' messages arrive as the test says."""

    def __init__(self) -> None:
        self.heard = ""
        self.answers = ""
        self.widget = TerminalWidget("sh", self._typed, self._answered, lambda rows, columns: None)

    def _typed(self, data: bytes) -> None:
        self.heard += data.decode()

    def _answered(self, data: bytes) -> None:
        self.answers += data.decode()

    def arrives(self, number: int, data: str, page: str = "a", kind: str = "in") -> None:
        self.widget._hear(None, {"type": kind, "data": data, "page": page, "number": number}, [])


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


def test_what_the_terminal_answers_was_not_typed() -> None:
    typing = Typing()
    for number, data, kind in ((2, "\x1b[7;5R", "answer"), (1, "\x10", "in"), (3, "\x11", "in")):
        typing.arrives(number, data, kind=kind)
    assert (typing.heard, typing.answers) == ("\x10\x11", "\x1b[7;5R")


def test_a_new_page_learns_what_was_drawn_before() -> None:
    """Its questions have been answered: to answer them again would be to type."""
    widget = Typing().widget
    assert widget._screen() == ({"type": "screen", "packet": 0}, [b"", b""])
    for data in (b"one", b"two", b"three"):
        widget.write(data)
    assert widget._screen() == ({"type": "screen", "packet": 3}, [b"", b"onetwothree"])
    widget._hear(None, {"type": "ack", "packet": 2}, [])
    assert widget._screen() == ({"type": "screen", "packet": 3}, [b"onetwo", b"three"])
    widget.write(bytes(1 << 20))  # more than is kept
    assert widget._screen() == ({"type": "screen", "packet": 4}, [b"", bytes(1 << 20)])
    widget._hear(None, {"type": "ack", "packet": 4}, [])
    assert widget._screen() == ({"type": "screen", "packet": 4}, [bytes(1 << 20), b""])


def test_a_lost_message_holds_nothing_up_for_ever() -> None:
    """Not even the last of what is typed: nothing comes after it that would set it free."""
    typing = Typing()
    typing.widget._arriving = InOrder(lost_s=0.05)
    for number, data in ((1, "a"), (3, "c"), (4, "d")):
        typing.arrives(number, data)
    eventually(lambda: typing.heard == "acd")
    typing.arrives(2, "b")  # late after all
    typing.arrives(5, "e")
    assert typing.heard == "acdbe"
    for number, data in ((7, "g"), (9, "i")):
        typing.arrives(number, data)
    eventually(lambda: typing.heard == "acdbegi")
