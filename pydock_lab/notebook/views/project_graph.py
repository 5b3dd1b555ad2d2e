"""The graph of a Compose project: services in columns, arrows from what each waits for, networks as numbers.

A box grows with what there is to say: ports, volumes. Arrows run behind boxes;
each ends in a place of its own on the box that waits.
"""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.notebook.html import Markup, join, scroll, tag

_BOX_W, _LINE_H, _GAP_X, _GAP_Y = 200, 15, 120, 22
_TONES = {"unhealthy": "pd-bad", "starting": "pd-warn"}


def drawing(services: list[dict[str, Any]], networks: list[dict[str, Any]]) -> Markup:
    """Draw services and the legend of the networks."""
    laid_out = columns(services)
    places: dict[str, tuple[int, int, int]] = {}
    for column, stack in enumerate(laid_out):
        y = 2
        for service in stack:
            height = _height(service)
            places[service["name"]] = (column * (_BOX_W + _GAP_X) + 2, y, height)
            y += height + _GAP_Y
    width = len(laid_out) * (_BOX_W + _GAP_X) - _GAP_X + 4
    bottom = max(y + height for _, y, height in places.values())
    numbers = {network["name"]: number for number, network in enumerate(networks, 1)}
    parts = [_arrows(service, places) for service in services]
    parts += [_box(service, places[service["name"]], numbers) for service in services]
    svg = tag(
        "svg",
        tag("title", "Services, and what each waits for"),
        tag("desc", "The table below says the same."),
        *parts,
        viewBox=f"0 0 {width} {bottom + 4}",
        role="img",
        class_="pd-drawing",
        style=f"min-width:{min(width, 720)}px;max-width:{width}px",
        xmlns="http://www.w3.org/2000/svg",
    )
    return join(scroll(svg, "Graph of the services"), _legend(networks, numbers))


def columns(services: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Sort services into columns: everything that one needs stands to the left of it."""
    known = {service["name"]: service for service in services}
    depths: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name not in depths:
            needs = [need for need in known[name]["needs"] if need in known and need not in above]
            depths[name] = 1 + max((depth(need, (*above, name)) for need in needs), default=-1)
        return depths[name]

    found: dict[int, list[dict[str, Any]]] = {}
    for name in known:
        found.setdefault(depth(name), []).append(known[name])
    return [found[number] for number in sorted(found)]


def states(service: dict[str, Any]) -> str:
    """`● 2 of 2 running, healthy`, `○ exited (1)`."""
    containers = service["containers"]
    running = [container for container in containers if container["state"] == "running"]
    if not running:
        return "○ " + ", ".join(sorted({_ended(container) for container in containers}))
    healths = {container["health"] for container in running} - {""}
    worst = next((one for one in ("unhealthy", "starting", "healthy") if one in healths), "")
    many = "running" if len(containers) == 1 else f"{len(running)} of {len(containers)} running"
    return f"● {many}" + (f", {worst}" if worst else "")


def _ended(container: dict[str, str]) -> str:
    code = re.match(r"Exited (\(\d+\))", container["status"])
    return f"exited {code[1]}" if code else container["state"]


def _height(service: dict[str, Any]) -> int:
    rows = 3 + len(service["ports"]) + len(service["volumes"])
    return max(rows * _LINE_H + 14, len(service["needs"]) * _LINE_H + 10)


def _arrows(service: dict[str, Any], places: dict[str, tuple[int, int, int]]) -> Markup:
    x, y, height = places[service["name"]]
    needs = [(places[need][1], need, how) for need, how in service["needs"].items() if need in places]
    parts = []
    for row, (_, need, condition) in enumerate(sorted(needs), 1):
        from_x, from_y, from_height = places[need]
        start_x, start_y, end_y = from_x + _BOX_W, from_y + from_height // 2, y + height * row // (len(needs) + 1)
        turn = x - 54  # the label stands over the straight end
        half = (start_x + turn) // 2
        path = f"M{start_x} {start_y}C{half} {start_y} {half} {end_y} {turn} {end_y}H{x - 7}"
        parts.append(tag("path", d=path, class_="pd-wire"))
        parts.append(tag("path", d=f"M{x} {end_y}l-8 -4v8z", class_="pd-head"))
        parts.append(tag("text", condition, x=x - 10, y=end_y - 4, class_="pd-label", text_anchor="end"))
    return join(*parts)


def _box(service: dict[str, Any], place: tuple[int, int, int], numbers: dict[str, int]) -> Markup:
    x, y, height = place
    state = states(service)
    tone = next((tone for word, tone in _TONES.items() if state.endswith(word)), "pd-up" if state[0] == "●" else "")
    if state.startswith("○ exited") and "(0)" not in state:
        tone = "pd-bad"
    rows = [(service["image"], ""), (state, tone)]
    rows += [(f"⇥ {port}", "") for port in service["ports"]]
    rows += [(f"▤ {volume}", "") for volume in service["volumes"]]
    parts = [
        tag("rect", x=x, y=y, width=_BOX_W, height=height, rx=6, class_="pd-box"),
        tag("text", _cut(service["name"], 20), x=x + 12, y=y + 20, class_="pd-strong"),
    ]
    for row, (text, tone_) in enumerate(rows, 1):
        class_ = f"pd-label {tone_}".strip()
        parts.append(tag("text", _cut(text, 33), x=x + 12, y=y + 20 + row * _LINE_H, class_=class_))
    for column, name in enumerate(reversed(service["networks"])):
        if name in numbers:
            centre = x + _BOX_W - 16 - column * 19
            parts.append(tag("circle", cx=centre, cy=y + 16, r=8, class_="pd-badge"))
            parts.append(
                tag("text", str(numbers[name]), x=centre, y=y + 20, class_="pd-badge-text", text_anchor="middle")
            )
    return join(*parts)


def _legend(networks: list[dict[str, Any]], numbers: dict[str, int]) -> Markup | None:
    if not networks:
        return None
    entries = []
    for network in networks:
        no_way = tag("span", "no way out", class_="pd-chip") if network["internal"] else None
        name = tag("b", network["name"])
        number = tag("span", str(numbers[network["name"]]), class_="pd-number")
        entries.append(tag("li", number, " ", name, f" {network['subnet']} ", no_way))
    note = tag("li", "⇥ a port of this host → of the container; ▤ a volume or directory → where it is mounted")
    return tag("ul", *entries, note, class_="pd-legend", aria_label="Networks of the project")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
