"""The way of a packet to each published port, and who reaches whom: what the network map tells in words.

Read from `/lab/network`, which reads the kernel; a Docker engine has no such route.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydock_lab.notebook.html import Markup, join, scroll, tag

_DIRECTIONS = (("from_host", "from this host"), ("from_outside", "from another machine"))


def ways(published: Iterable[dict[str, Any]]) -> Markup:
    """Each port's way, folded up but for the first."""
    parts: list[Markup] = []
    for port in published:
        where = port["host_ip"] if ":" not in port["host_ip"] else f"[{port['host_ip']}]"
        title = f"The way to {where}:{port['host_port']}/{port['protocol']}, {port['name']}"
        steps = [
            join(tag("p", f"A packet {words}:", class_="pd-note"), _steps(port[key]))
            for key, words in _DIRECTIONS
            if port[key]
        ]
        parts.append(tag("details", tag("summary", title), *steps, open=None if parts else ""))
    return join(*parts)


def plain(published: Iterable[dict[str, Any]]) -> list[str]:
    """The way from this host to the first of them, as text."""
    lines: list[str] = []
    for port in list(published)[:1]:
        lines.append(f"  the way to {port['host_ip']}:{port['host_port']}/{port['protocol']}, from this host")
        for number, step in enumerate(port["from_host"], 1):
            lines.append(f"      {number}. {step['where']}: {step['what']}")
            if step["rule"]:
                lines.append(f"             {step['rule']}")
    return lines


def reach(pairs: list[dict[str, str]], names: list[str]) -> Markup | None:
    """Who reaches whom, as a square: row reaches column."""
    if not names:
        return None
    found: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        found.setdefault((pair["from"], pair["to"]), []).append(pair["network"])
    columns = [*names, "outside"]
    head = tag("tr", tag("th", "reaches →", scope="col"), *(tag("th", name, scope="col") for name in columns))
    rows = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", _cell(name, other, found)) for other in columns))
        for name in names
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table pd-lines")
    return tag("details", tag("summary", "Who reaches whom"), scroll(table, "Who reaches whom"))


def rules(found: list[dict[str, Any]], backend: str) -> Markup | None:
    """The packet filter's rules as the kernel has them, chain by chain."""
    if not found:
        return None
    chains: dict[str, list[str]] = {}
    for rule in found:
        chains.setdefault(rule["chain"], []).append(rule["text"])
    parts = [
        join(tag("p", tag("b", chain), class_="pd-note"), *(tag("div", tag("code", text)) for text in texts))
        for chain, texts in chains.items()
    ]
    return tag("details", tag("summary", f"Rules in the kernel ({backend})"), *parts)


def _steps(steps: list[dict[str, str]]) -> Markup:
    return tag(
        "ol",
        *(
            tag("li", tag("b", step["where"]), f" {step['what']}", tag("code", step["rule"]) if step["rule"] else None)
            for step in steps
        ),
        class_="pd-way",
    )


def _cell(name: str, other: str, found: dict[tuple[str, str], list[str]]) -> Markup | str:
    if name == other:
        return "·"
    networks = found.get((name, other))
    if not networks:
        return tag("span", "no", class_="pd-soft")
    return tag("span", "yes", class_="pd-A", title=f"over {', '.join(networks)}")
