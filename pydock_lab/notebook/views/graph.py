"""A drawing of what needs what: boxes in columns, arrows from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydock_lab.notebook.html import Markup, scroll, tag

_BOX_W, _BOX_H, _GAP_X, _GAP_Y = 170, 58, 90, 22


@dataclass(frozen=True)
class Node:
    """One box.

    Attributes:
        name: Its first line; what `needs` of others refer to.
        lines: Two more lines.
        needs: Name of a node that stands to the left → what the arrow says.
        mood: A class for its last line: `pd-up`, `pd-D`, or "".
        faint: Drawn with a broken border.
    """

    name: str
    lines: tuple[str, str]
    needs: Mapping[str, str] = field(default_factory=dict)
    mood: str = ""
    faint: bool = False


def columns(nodes: Sequence[Node]) -> list[list[Node]]:
    """Sort nodes into columns: everything that one needs stands to the left of it."""
    known = {node.name: node for node in nodes}
    depths: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name not in depths:
            needs = [need for need in known[name].needs if need in known and need not in above]
            depths[name] = 1 + max((depth(need, (*above, name)) for need in needs), default=-1)
        return depths[name]

    found: dict[int, list[Node]] = {}
    for name in known:
        found.setdefault(depth(name), []).append(known[name])
    return [found[number] for number in sorted(found)]


def drawing(nodes: Sequence[Node], title: str, label: str) -> Markup:
    """Draw the graph.

    Args:
        nodes: At least one.
        title: What it shows.
        label: What a screen reader calls the box that it scrolls in.
    """
    laid_out = columns(nodes)
    places = {
        node.name: (column * (_BOX_W + _GAP_X) + 2, row * (_BOX_H + _GAP_Y) + 2)
        for column, stack in enumerate(laid_out)
        for row, node in enumerate(stack)
    }
    width = len(laid_out) * (_BOX_W + _GAP_X) - _GAP_X + 4
    height = max(map(len, laid_out)) * (_BOX_H + _GAP_Y) - _GAP_Y + 4
    arrows = [
        part
        for node in nodes
        for need, said in node.needs.items()
        if need in places
        for part in _arrow(places[need], places[node.name], said)
    ]
    svg = tag(
        "svg",
        tag("title", title),
        tag("desc", "The table below says the same."),
        *arrows,
        *(part for node in nodes for part in _box(node, *places[node.name])),
        viewBox=f"0 0 {width} {height}",
        role="img",
        class_="pd-drawing",
        style=f"min-width:{min(width, 560)}px;max-width:{width}px",
        xmlns="http://www.w3.org/2000/svg",
    )
    return scroll(svg, label)


def _arrow(start: tuple[int, int], end: tuple[int, int], said: str) -> tuple[Markup, ...]:
    (x, y), (from_x, from_y) = end, (start[0] + _BOX_W, start[1] + _BOX_H // 2)
    to_y, half = y + _BOX_H // 2, (from_x + x) // 2
    return (
        tag("path", d=f"M{from_x} {from_y}C{half} {from_y} {half} {to_y} {x - 7} {to_y}", class_="pd-wire"),
        tag("path", d=f"M{x} {to_y}l-8 -4v8z", class_="pd-head"),
        tag("text", said, x=half, y=(from_y + to_y) // 2 - 6, class_="pd-label pd-edge", text_anchor="middle"),
    )


def _box(node: Node, x: int, y: int) -> tuple[Markup, ...]:
    dashes = "4 3" if node.faint else None
    mood = f"pd-label {node.mood}".strip()
    return (
        tag("rect", x=x, y=y, width=_BOX_W, height=_BOX_H, rx=6, class_="pd-box", stroke_dasharray=dashes),
        tag("text", node.name[:22], x=x + 12, y=y + 22, class_="pd-strong"),
        tag("text", node.lines[0][:24], x=x + 12, y=y + 36, class_="pd-label"),
        tag("text", node.lines[1][:26], x=x + 12, y=y + 50, class_=mood),
    )
