"""`%lab layers IMAGE`: what each instruction of an image made.

From the lab's own engine the whole story (files, cache, reasons); from a real
Docker what its history tells (instructions and sizes).
"""

from __future__ import annotations

from typing import Any

from IPython.display import display

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Bundle, Markup, bar, frame, join, tag
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.units import byte_count, plural

_MARKS = {"A": "+", "C": "~", "D": "−"}
_WORDS = {"A": "added", "C": "changed", "D": "deleted"}
_FILES_SHOWN = 12


def show(image: str, connection: Connection, steady: Steady) -> None:
    """Display the view: the live one over its still picture."""
    from pydock_lab.notebook.widgets.layers import LayersWidget

    view = read(image, connection)

    def entries_of(step: int, directory: str, offset: int, search: str) -> dict[str, Any]:
        path = f"images/{view['id']}/layers/{step}"
        page: dict[str, Any] = connection.lab(path, directory=directory, offset=str(offset), search=search)
        return page

    live = LayersWidget(view, entries_of)
    display(live._repr_mimebundle_()[0] | bundle(view, steady), raw=True)


def read(image: str, connection: Connection) -> dict[str, Any]:
    """Return the document that widgets/layers.js describes."""
    if connection.is_lab:
        view: dict[str, Any] = connection.lab(f"images/{image}/layers")
        return view
    found = connection.request("GET", f"/images/{image}/json").json()
    history = connection.request("GET", f"/images/{image}/history").json()
    steps = []
    for entry in reversed(history):
        by_shell = entry["CreatedBy"].startswith("/bin/sh -c ")
        text = entry["CreatedBy"].removeprefix("/bin/sh -c ").removeprefix("#(nop) ").strip()
        keyword, _, arguments = text.partition(" ")
        known = keyword.isupper()
        steps.append(
            {
                "keyword": keyword if known else "RUN" if by_shell else "",
                "text": arguments.strip() if known else text,
                "size": entry["Size"],
                "empty": entry["Size"] == 0,
                "base": False,
                "cached": None,
                "reason": "",
                "added": 0,
                "changed": 0,
                "deleted": 0,
                "files": [],
            }
        )
    return {"image": image, "id": found["Id"], "size": found["Size"], "explained": False, "steps": steps}


def bundle(view: dict[str, Any], steady: Steady) -> Bundle:
    """The still picture."""
    view = steady.data(view)
    return steady.bundle(plain(view), str(html(view)))


def plain(view: dict[str, Any]) -> str:
    """The steps as lines of text."""
    lines = [f"{view['image']}: {_summary(view)}"]
    for number, step in enumerate(view["steps"], 1):
        size = "-" if step["empty"] else byte_count(step["size"])
        counts = " ".join(f"{_MARKS[kind]}{count}" for kind, count in _counts(step))
        text = f"{step['keyword']} {step['text']}".strip()
        text = text if len(text) <= 56 else text[:55] + "…"
        lines.append(f"{number:>3}  {text:<56} {size:>8}  {_origin(step):<9} {counts}".rstrip())
    return "\n".join([*lines, *_wasted(view)])


def html(view: dict[str, Any]) -> Markup:
    """The steps as a table; the files of each in a list that opens without a script."""
    largest = max((step["size"] for step in view["steps"]), default=0) or 1
    names = ("Instruction", "Size", "", "From", "Files")
    head = tag("tr", *(tag("th", name, scope="col", class_="pd-num" if name == "Size" else None) for name in names))
    rows = [_row(step, largest) for step in view["steps"]]
    caption = tag("caption", f"Layers of {view['image']}: {_summary(view)}")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="pd-table")
    first, *paths = _wasted(view) or [""]
    items = [tag("div", tag("code", path.strip())) for path in paths]
    waste = tag("details", tag("summary", first), *items) if paths else tag("p", first, class_="pd-note")
    return frame(table, waste if first else None)


def _wasted(view: dict[str, Any]) -> list[str]:
    """What is stored for nothing, worst first; nothing where the engine does not tell."""
    waste = view.get("waste")
    if not waste:
        return []
    if not waste["wasted_bytes"]:
        return ["Efficiency 100 %: no layer replaces or removes a file of another"]
    share = f"{100 * waste['efficiency']:.1f}".removesuffix(".0")
    lost = f"{byte_count(waste['wasted_bytes'])} of files that a later layer replaces or removes"
    paths = [f"{byte_count(each['size']):>10}  {each['path']}" for each in waste["wasted"]]
    left = waste["wasted_paths"] - len(paths)
    return [f"Efficiency {share} %: {lost}", *paths, *([f"and {left:,} more"] if left > 0 else [])]


def _row(step: dict[str, Any], largest: int) -> Markup:
    share = (step["size"] / largest) ** 0.5
    return tag(
        "tr",
        tag("td", tag("code", tag("b", step["keyword"]), " ", step["text"])),
        tag("td", "" if step["empty"] else byte_count(step["size"]), class_="pd-num"),
        tag("td", None if step["empty"] else bar(share)),
        tag("td", tag("span", _origin(step), title=step["reason"] or None), style="white-space:nowrap"),
        tag("td", _files(step)),
    )


def _files(step: dict[str, Any]) -> Markup:
    if step["empty"]:
        return tag("span", "none: metadata only", class_="pd-soft")
    counts = [
        tag("span", f"{_MARKS[kind]}{count:,} {_WORDS[kind]} ", class_=f"pd-{kind}") for kind, count in _counts(step)
    ]
    if not counts:
        return tag("span", "none", class_="pd-soft")
    items = [
        tag("div", tag("code", tag("span", _MARKS[kind], class_=f"pd-{kind}"), f" {path}"))
        for kind, path, _size in step["files"][:_FILES_SHOWN]
    ]
    left = sum(count for _, count in _counts(step)) - len(items)
    more = tag("div", f"and {left:,} more", class_="pd-soft") if left > 0 else None
    return tag("details", tag("summary", join(*counts)), *items, more)


def _counts(step: dict[str, Any]) -> list[tuple[str, int]]:
    pairs = [("A", step["added"]), ("C", step["changed"]), ("D", step["deleted"])]
    return [(kind, count) for kind, count in pairs if count]


def _origin(step: dict[str, Any]) -> str:
    if step["base"]:
        return "base"
    if step["empty"] or step["cached"] is None:
        return ""
    return "↺ cached" if step["cached"] else "● built"


def _summary(view: dict[str, Any]) -> str:
    layers = sum(not step["empty"] for step in view["steps"])
    return f"{plural(len(view['steps']), 'instruction')}, {plural(layers, 'layer')}, {byte_count(view['size'])}"
