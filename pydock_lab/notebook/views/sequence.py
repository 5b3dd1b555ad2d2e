"""A sequence diagram: who asks whom, top to bottom in time; client → engine → registry.

Pure drawing: views/requests.py says what was sent. Solid lines are requests,
dashed ones answers; the table below has every one in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydock_lab.notebook.html import Markup, tag

_WIDTH = 760
_MARGIN = 90
_TOP = 44
_ROW = 30
_SHOWN = 60
_LABEL = 44


@dataclass(frozen=True)
class Message:
    """One arrow.

    Attributes:
        at_ns: When, by the engine's monotonic clock.
        source, target: Places of the two among the parties.
        text: What it says.
        answer: Drawn dashed.
        bad: A refusal.
    """

    at_ns: int
    source: int
    target: int
    text: str
    answer: bool = False
    bad: bool = False


def draw(parties: Sequence[str], messages: Sequence[Message], label: str) -> Markup:
    """Draw the messages in order of time; of very many the first ones.

    Args:
        parties: From left to right.
        messages: In any order.
        label: What a screen reader calls it.
    """
    ordered = sorted(messages, key=lambda message: message.at_ns)
    left = len(ordered) - _SHOWN
    ordered = ordered[:_SHOWN]
    height = _TOP + _ROW * (len(ordered) + (left > 0)) + 16
    step = (_WIDTH - 2 * _MARGIN) / max(len(parties) - 1, 1)
    xs = [_MARGIN + step * place for place in range(len(parties))]
    parts = [_party(name, x, height) for name, x in zip(parties, xs, strict=True)]
    parts += [_arrow(message, xs, _TOP + _ROW * (row + 1)) for row, message in enumerate(ordered)]
    if left > 0:
        y = _TOP + _ROW * (len(ordered) + 1)
        parts.append(_text(_WIDTH / 2, y, f"and {left} more: see the table", "pd-label", "middle"))
    box = f"0 0 {_WIDTH} {height}"
    return tag("svg", *parts, viewBox=box, class_="pd-drawing pd-sequence", role="img", aria_label=label)


def _party(name: str, x: float, height: int) -> Markup:
    line = tag("line", x1=f"{x:.0f}", x2=f"{x:.0f}", y1=_TOP - 8, y2=height - 6, class_="pd-lane")
    width = max(84, 7 * len(name) + 20)
    box = tag("rect", x=f"{x - width / 2:.0f}", y=6, width=width, height=26, rx=5, class_="pd-box")
    return Markup(line + box + _text(x, 23, name, "pd-strong", "middle"))


def _arrow(message: Message, xs: list[float], y: int) -> Markup:
    start, end = xs[message.source], xs[message.target]
    way = 1 if end > start else -1
    tip = end - way
    classes = "pd-wire pd-answer" if message.answer else "pd-wire"
    style = "stroke-dasharray:4 3" if message.answer else None
    line = tag("line", x1=f"{start:.0f}", x2=f"{tip - 6 * way:.0f}", y1=y, y2=y, class_=classes, style=style)
    head = tag("path", d=f"M{tip:.0f} {y}l{-8 * way} -4v8z", class_="pd-head")
    text = message.text
    if len(text) > _LABEL:  # a path's end tells more than its middle
        text = f"{text[: _LABEL // 2]}…{text[1 - _LABEL // 2 :]}"
    kind = "pd-label pd-bad" if message.bad else "pd-label"
    return Markup(line + head + _text((start + end) / 2, y - 5, text, kind, "middle"))


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:.0f}", y=f"{y:.0f}", class_=kind, text_anchor=anchor)
